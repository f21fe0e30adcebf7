"""Letters to sounds: how a word that stands in no list is most likely pronounced.

A joint n-gram model over letter-with-sounds symbols, searched with a small beam. It knows spelling only;
word lists, possessives and digits are the business of `lexicon`. Trained by `model.training.spelling`.

Source of the model class: Bisani and Ney, "Joint-sequence models for grapheme-to-phoneme conversion" (2008).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from model.nano import ngram
from model.nano.phones import PHONES
from model.nano.weights import FOLDER

LETTERS = "abcdefghijklmnopqrstuvwxyz'"
BEAM = 24
START, END = 0, 1  # symbols of the n-gram model; pairs follow


class Spelling:
    """Pronounces letter strings. ``pairs``: for each n-gram symbol from 2 on, a letter and 0 to 2 phones."""

    def __init__(self, model: ngram.Ngram, pairs: list[tuple[str, tuple[str, ...]]]) -> None:
        self._model = model
        self._phones: list[tuple[str, ...]] = [(), (), *(phones for _, phones in pairs)]
        self._symbols = {
            letter: np.array([n for n, pair in enumerate(pairs, 2) if pair[0] == letter], np.int64)
            for letter in LETTERS
        }

    def pronounce(self, letters: str) -> tuple[str, ...]:
        """Most likely phones of ``letters`` (a-z and apostrophes; anything else is skipped)."""
        states, scores = np.array([self._model.state([START])]), np.zeros(1, np.float32)
        paths: list[tuple[int, ...]] = [()]
        for letter in letters:
            if letter not in self._symbols:
                continue
            symbols = self._symbols[letter]
            logp, following = self._model.score(np.repeat(states, len(symbols)), np.tile(symbols, len(states)))
            total = np.repeat(scores, len(symbols)) + logp
            best = np.argsort(-total)[:BEAM]
            paths = [(*paths[b // len(symbols)], int(symbols[b % len(symbols)])) for b in best]
            states, scores = following[best], total[best]
        ending, _ = self._model.score(states, np.full(len(states), END, np.int64))
        chosen = paths[int(np.argmax(scores + ending))]
        return tuple(phone for symbol in chosen for phone in self._phones[symbol])


def write_pairs(path: Path, pairs: list[tuple[str, tuple[str, ...]]]) -> None:
    """Store the symbol table: one line per pair, the letter and then its phones."""
    path.write_text("".join(" ".join((letter, *phones)) + "\n" for letter, phones in pairs), encoding="ascii")


def read_pairs(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """The symbol table that ``write_pairs`` stored; raises ValueError for an unknown phone."""
    pairs = []
    for line in path.read_text(encoding="ascii").splitlines():
        letter, *phones = line.split(" ")
        if not set(phones) <= set(PHONES):
            raise ValueError(f"{path} has an unknown phone in {line!r}.")
        pairs.append((letter, tuple(phones)))
    return pairs


@lru_cache(maxsize=1)
def default() -> Spelling:
    """The trained model of the repository, loaded once; raises WeightsError where it is missing."""
    return Spelling(ngram.load(FOLDER / "spelling.ngram"), read_pairs(FOLDER / "spelling.txt"))
