"""An engine in under forty lines, written against model/interface.py alone. It hears one word per speech chunk."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from model.interface import CHUNK_S, Chunk, ModelSpec, Percept, Piece, ReplyPrompt, Turn


class TinyModel:
    spec = ModelSpec(name="tiny", input_rate=16000, output_rate=16000, unit_rate=4, languages=(), knows=frozenset())

    def __init__(
        self, words: str = "one two three four five six seven eight", word_s: float = 0.25, hears: str = "w{}"
    ) -> None:
        self.words, self.word_s, self.hears = words.split(), word_s, hears

    def open(self, seed: int) -> "TinyListener":
        return TinyListener(self)


class TinyListener:
    def __init__(self, model: TinyModel) -> None:
        self.model, self.turns, self.heard, self.pause = model, list[Turn](), 0, 0.0

    def hear(self, chunk: Chunk) -> Percept:
        voiced = chunk.speech >= 0.5
        self.heard, self.pause = self.heard + voiced, 0.0 if voiced or not self.heard else self.pause + CHUNK_S
        words = [self.model.hears.format(n) for n in range(self.heard)]
        known: dict[str, Any] = dict.fromkeys(("emotion", "event", "facing", "states"))
        known |= {"chunk": chunk.index, "stable": " ".join(words[:-1]), "tentative": " ".join(words[-1:])}
        known |= {"speech": chunk.speech, "pause_s": self.pause, "spoken_s": self.heard * CHUNK_S}
        return Percept(confidence=0.9, level_db=-20.0, **known)

    def reply(self, prompt: ReplyPrompt) -> Iterator[Piece]:
        size = round(self.model.word_s * 16000)
        for n, word in enumerate((prompt.opening.split() + self.model.words)[: prompt.max_words]):
            sound: dict[str, Any] = {
                "pcm": np.full(size, (n + 1) / 64, np.float32),
                "offset": n * size,
                "word_ends": ((n + 1) * size,),
            }
            yield Piece(text=word, units=(n,), emotion=prompt.delivery, **sound)

    def end_turn(self, heard: Turn) -> None:
        self.turns.append(heard)
        if heard.user is not None or heard.agent is None:
            self.heard, self.pause = 0, 0.0
