"""Nano as a speech model: hearing, replies and voice behind the one interface.

Puts the parts together and keeps one session's state; what each part does is its own file's business. It
knows nothing of floors, judges or stores.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model.interface import SAMPLE_RATE, Chunk, ModelSpec, Percept, Piece, ReplyPrompt, TextEncoder, Turn
from model.nano.listening import Ears
from model.nano.replies import Replier
from model.nano.voice import Voice, VoicePiece, spoken_words


class NanoModel:
    """The parts, loaded once. ``open`` gives each session its own listener."""

    def __init__(self, ears: Ears, replier: Replier, voice: Voice) -> None:
        self.ears, self.replier, self.voice = ears, replier, voice
        self.spec = ModelSpec(
            name="nano",
            input_rate=SAMPLE_RATE,
            output_rate=SAMPLE_RATE,
            unit_rate=25.0,
            languages=("en",),
            knows=frozenset({"transcript", "emotion", "event", "facing", "states"}),
        )

    def open(self, seed: int) -> NanoListener:
        """Start a session; ``seed`` makes its sampling repeatable."""
        return NanoListener(self, seed)


def load(folder: Path | None = None, embed: TextEncoder | None = None) -> NanoModel:
    """Load nano from ``folder`` (default: the shipped weights).

    ``embed`` finds fitting replies; without it, MiniLM is loaded from its package. Raises WeightsError.
    """
    torch.set_num_threads(1)  # steps are small and sessions many: one thread for each worker
    return NanoModel(Ears.load(folder), Replier.load(folder, embed), Voice.load(folder))


class NanoListener:
    """One session's view of nano."""

    def __init__(self, model: NanoModel, seed: int) -> None:
        self._model = model
        self._hearing = model.ears.open()
        self._generator = torch.Generator().manual_seed(seed)
        self._manner: NDArray[np.float32] | None = None  # how the turn taken up last was said

    def hear(self, chunk: Chunk) -> Percept:
        """Take in the next chunk; its cost does not depend on how long the turn is."""
        return self._hearing.hear(chunk)

    def reply(self, prompt: ReplyPrompt) -> Iterator[Piece]:
        """Speak; closing the iterator stops within one step of the speech decoder."""
        plan = self._model.replier.plan(prompt, self._generator, self._manner)
        written = plan.text.split()
        spoken = 0
        offset = 0
        words = spoken_words(self._model.replier.words(plan))
        for part in self._model.voice.speak(words, plan.delivery, self._generator):
            piece = _piece(part, written[spoken : spoken + len(part.word_ends)], plan.delivery, offset)
            spoken += len(part.word_ends)
            offset += len(part.pcm)
            yield piece

    def end_turn(self, heard: Turn) -> None:
        """Empty the ears for the next turn of the user; a reply alone leaves them as they are."""
        if heard.user is not None or heard.agent is None:
            self._manner = self._hearing.end_turn()


def _piece(part: VoicePiece, words: list[str], delivery: str, offset: int) -> Piece:
    return Piece(
        text=" ".join(words),
        word_ends=tuple(end for _, end in part.word_ends),
        units=tuple(part.units),
        pcm=part.pcm,
        emotion=delivery,
        offset=offset,
    )
