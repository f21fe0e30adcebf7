"""Trains the tuned judge on what the shipped ear makes of rendered scenes, after a start on simulated hearing.

It lays out scenes, lets VAD and ear hear them, and hands labelled situations to the judge's recipe. How a judge is
trained is not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agent.evaluation import situations_of
from agent.vad import SileroVad
from model.interface import CHUNK_SAMPLES
from model.nano.listening import Ears
from model.training.cache import Cache
from model.training.scenes_audio import SceneAudio
from policies.evaluation import scenes as written
from policies.judge import examples, labels, minilm, recipe, training, tuned
from policies.judge.labels import Step
from policies.judge.minilm import MiniLM

Scene = dict[str, Any]
Tell = Callable[[str], None]
TRAIN, TUNE = ("w1", "w2", "w3", "w4", "w5", "w6"), ("w7",)


class School:
    """Scenes as the real ear hears them."""

    def __init__(self, cache: Path, weights: Path | None = None) -> None:
        """``cache`` holds scenes/ and noise/ (see `model.training.prepare`); ``weights`` the ear (default: shipped)."""
        self._ears, self._vad = Ears.load(weights), SileroVad()
        self._audio = SceneAudio(Cache(cache / "scenes"), Cache(cache / "noise"))

    def hear(self, scene: Scene) -> recipe.Heard:
        """The scene, its labelled steps, its timeline."""
        laid = self._audio.lay(scene)
        whole = np.pad(laid.samples, (0, -len(laid.samples) % CHUNK_SAMPLES)).astype(np.float32)
        voice = self._vad.open()
        speech = [max(voice.probabilities(part)) for part in whole.reshape(-1, CHUNK_SAMPLES)]
        seen = situations_of(scene, self._ears.percepts(whole, speech))
        phrases = laid.timeline["phrases"]
        return scene, labels.steps_of(scene, seen, phrases), phrases

    def write(self, scenes: Sequence[Scene], reader: MiniLM, folder: Path, tell: Tell) -> list[Path]:
        """Files of examples of these scenes; what is there already is kept."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for start in range(0, len(scenes), recipe.PART):
            path = folder / f"heard-{start:05d}.pt"
            paths.append(path)
            if not path.exists():
                chance = np.random.default_rng([99, start])
                steps = self._thinned(scenes[start : start + recipe.PART], chance)
                recipe.write(steps, reader, path)
                tell(f"{path.name}: {len(steps)} chunks")
        return paths

    def _thinned(self, scenes: Iterable[Scene], chance: np.random.Generator) -> list[Step]:
        return [step for scene in scenes for step in examples.thin(self.hear(scene)[1], chance)]


def run(cache: Path, work: Path, out: Path, minutes: float, held_back: int = 100, simulate: bool = True,
        weights: Path | None = None, tell: Tell = print, of_each: int | None = None) -> float:  # fmt: skip
    """Examples, training for ``minutes``, leaning on w7 as really heard, weights to ``out``; returns the macro-F1.

    ``of_each``: only so many scenes of each file.
    """
    reader, school = minilm.load(), School(cache, weights)
    by_file = written.by_file(*TRAIN, *TUNE, of_each=of_each)
    scenes, every = ([scene for name in names for scene in by_file[name]] for names in (TRAIN, TUNE))
    paths = school.write(scenes, reader, work / "examples", tell)
    if simulate:
        paths += recipe.prepare(scenes, reader, work / "examples", 1, tell)
    network = recipe.train(paths, work, training.Recipe(minutes=minutes))
    found = recipe.lean(network, reader, [school.hear(scene) for scene in every[:held_back]], tell)
    tell(f"{out.name}: {tuned.store(network, out)} bytes, macro-F1 {found:.3f} on w7 as heard")
    return found
