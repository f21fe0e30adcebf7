"""Nano's recipe: all stages from data to weights, in order, each time-boxed and each continuing where it stopped.

Knows the order, the shares of the time box and the files that pass from stage to stage; what a stage does is its
own file's business. The judge is trained after it, by ``poise train judge``, on what the new ear hears.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from model.interface import PoiseError, TextEncoder
from model.nano import lexicon, weights
from model.nano.hearing import Encoder
from model.training import aligned, emotion, exchanges, hearing, language, llm, prepare, replies, voice, wording
from model.training import lexicon as words
from model.training.cache import Cache
from model.training.mels import Mels

Scenes = dict[str, list[dict[str, Any]]]  # by the name of their file
HEARD = ("w1", "w2", "w3", "w4")  # scenes the ear learns from; the judge learns and is tuned on unheard ones, too
TRAIN = (*HEARD, "w5", "w6", "w7")
DEV = "w8"
SHARES = {"hearing": 0.5, "units": 0.1, "decoder": 0.25, "llm": 0.15}  # of the time box
TIMED_TEXTS = 1500
STAGES = ("data", "words", "hearing", "emotion", "voice", "replies")


class RecipeError(PoiseError):
    """Training cannot begin."""

    code = "training_input"


class Recipe:
    """One run of the recipe: ``data`` in, ``work`` for caches and checkpoints, ``out`` for weights."""

    def __init__(
        self,
        data: Path,
        scenes: Scenes,
        work: Path,
        out: Path,
        minutes: float,
        embed: TextEncoder,
        tell: Callable[[str], None],
    ) -> None:
        for folder in ("speech", "noise", "exchanges"):
            if not (data / folder).is_dir():
                raise RecipeError(
                    f"{data} has no folder {folder}/.", "Give a data folder as docs/training.md describes."
                )
        self._data, self._scenes, self._work, self._out = data, scenes, work, out
        self._minutes, self._embed, self._tell = minutes, embed, tell
        self._exchanges = [e for path in sorted((data / "exchanges").glob("*.exchanges")) for e in exchanges.read(path)]
        out.mkdir(parents=True, exist_ok=True)
        self._write_scenes()

    def _write_scenes(self) -> None:
        folder = self._work / "scenes"
        folder.mkdir(parents=True, exist_ok=True)
        for name, scenes in self._scenes.items():
            text = "".join(json.dumps(scene) + "\n" for scene in scenes)
            (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")

    def _of(self, names: Sequence[str]) -> list[dict[str, Any]]:
        return [scene for name in names for scene in self._scenes[name]]

    def data(self) -> None:
        """Recorded corpora and rendered texts into caches."""
        cache = self._work / "cache"
        prepare.recorded(self._data / "speech", cache / "speech")
        prepare.sounds(self._data / "noise", cache / "noise")
        prepare.rendered(prepare.phrases_of(self._of((DEV,)), "dev"), cache / "scenes_dev")
        prepare.rendered(prepare.user_turns_of(self._exchanges), cache / "exchanges")
        prepare.rendered(prepare.phrases_of(self._of(TRAIN), "train"), cache / "scenes")
        texts = [phrase["text"].rstrip("-") for scene in self._of(HEARD) for phrase in scene["phrases"]]
        aligned.render(random.Random(5).sample(texts, min(TIMED_TEXTS, len(texts))), cache / "aligned")

    def words(self) -> None:
        """Lexicon, spelling and language model."""
        texts = wording.training_texts(self._work / "scenes", self._data / "exchanges", self._data / "speech", DEV)
        words.make(texts, self._out)
        language.make(texts, list(lexicon.read(self._out / "lexicon.txt.xz")), self._out)

    def hearing(self) -> None:
        """The ear."""
        cache, pronounce = self._work / "cache", lexicon.pronounce
        recorded, rendered, told = (Mels(cache / name) for name in ("speech", "scenes", "exchanges"))
        rendered.clips = [clip for clip in rendered.clips if clip.id.startswith(HEARD)]
        timed = (Mels(cache / "aligned"), aligned.labels(cache / "aligned"))
        turns = hearing.Turns(recorded, [rendered, told], Mels(cache / "noise"), pronounce, self._finished().get, timed)
        dev = {name: (recorded, self._dev(recorded, name)) for name in ("libri", "so762")}
        unseen = Mels(cache / "scenes_dev")
        dev["scenes"] = (unseen, random.Random(0).sample(unseen.clips, min(100, len(unseen.clips))))
        hearing.train(turns, dev, pronounce, self._work, self._out, SHARES["hearing"] * self._minutes)

    def emotion(self) -> None:
        """The emotion head, on the ear as it is now."""
        encoder = Encoder()
        weights.load(encoder, "hearing", self._out)
        cache = {name: Cache(self._work / "cache" / name) for name in ("scenes", "exchanges", "scenes_dev")}
        scenes = [clip for clip in cache["scenes"].clips if clip.id.startswith(HEARD)]
        told = [clip for clip in cache["exchanges"].clips if clip.split == "train"]
        taught = [(cache["scenes"], scenes), (cache["exchanges"], told)]
        figures = emotion.train(encoder, taught, (cache["scenes_dev"], cache["scenes_dev"].clips), self._out)
        self._tell("  ".join(f"{name} {value:.3f}" for name, value in figures.items()))

    @staticmethod
    def _dev(source: Mels, corpus: str) -> list[Any]:
        clips = [clip for clip in source.clips if clip.corpus == corpus and clip.split == "dev"]
        return random.Random(0).sample(clips, min(60, len(clips)))

    def _finished(self) -> dict[str, bool]:
        """Whether a phrase of a scene sounds finished: by its punctuation."""
        return {
            f"{scene['id']}.{number}": phrase["text"].rstrip()[-1] in ".?!"
            for scene in self._of(TRAIN)
            for number, phrase in enumerate(scene["phrases"])
        }

    def voice(self) -> None:
        """Units, token decoder and speech decoder."""
        scenes = [self._work / "scenes" / f"{name}.jsonl" for name in TRAIN]
        units, decoder = (SHARES[name] * self._minutes for name in ("units", "decoder"))
        voice.make(self._data, scenes, self._work / "voice", self._out, units, decoder)

    def replies(self) -> None:
        """The bank of replies, and the LLM."""
        bank = replies.make(self._data / "exchanges", self._embed, self._out)
        minutes = SHARES["llm"] * self._minutes
        llm.train(self._data / "exchanges", self._of(TRAIN), bank, self._work / "llm", self._out, minutes)


def run(
    data: Path,
    scenes: Scenes,
    work: Path,
    out: Path,
    minutes: float,
    embed: TextEncoder,
    only: Sequence[str] = STAGES,
    tell: Callable[[str], None] = print,
) -> None:
    """Run the stages named in ``only``. Raises RecipeError where data is missing or a stage is unknown."""
    for name in only:
        if name not in STAGES:
            raise RecipeError(f"There is no stage {name!r}.", f"Take of {', '.join(STAGES)}.")
    recipe = Recipe(data, scenes, work, out, minutes, embed, tell)
    for name in STAGES:
        if name in only:
            tell(f"stage {name}")
            getattr(recipe, name)()
