"""General English beside our own: pocketsphinx's trigrams, mixed with the n-gram model of our texts.

pocketsphinx brings them in its package; its recogniser is not used. Knows words and probabilities, not sounds. Our
texts alone make a model that expects its own sentences everywhere; the mixture is better on every kind of speech.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pocketsphinx import NGramModel, get_model_path

from model.nano.ngram import Ngram

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
LN = 1e-4  # natural log of the base 1.0001 in which the library counts
LEAST = -25.0  # nats; what the general model gives a word that it does not know
_BITS = 17  # of a word's number in a state
_MASK = (1 << _BITS) - 1


class Language(Protocol):
    """What the search asks of a language model; a state stands for the words before."""

    @property
    def size(self) -> int:
        """Number of symbols: the words, then the marks of start and end."""

    def score(self, states: Ints, symbols: Ints) -> tuple[Floats, Ints]:
        """ln probability of each symbol after each state [n], and the states that follow [n]."""

    def state(self, symbols: list[int]) -> int:
        """The state after a sequence of symbols."""

    def unigrams(self) -> Floats:
        """ln probabilities [size] without any context."""


@lru_cache(maxsize=1)
def model() -> NGramModel:
    """The general model, read once."""
    return NGramModel.readfile(get_model_path("en-us/en-us.lm.bin"))


class Mixture:
    """``share`` of the general trigrams, the rest of ``own``; a state packs own's and the two last words."""

    def __init__(self, own: Ngram, words: Sequence[str], share: float) -> None:
        """``words`` in the order of own's symbols, which has the marks of start and end beside them."""
        if own.size != len(words) + 2 or own.size > _MASK:
            raise ValueError(f"Expected {own.size - 2} words (at most {_MASK - 2}), got {len(words)}.")
        self._own, self._general = own, model()
        self._words = [*words, "<s>", "</s>"]
        self._start = len(words)  # also stands where there are no words yet
        self._shares = np.log([share, 1.0 - share])

    @property
    def size(self) -> int:
        """Number of symbols."""
        return self._own.size

    def state(self, symbols: list[int]) -> int:
        """The state after a sequence of symbols."""
        last, before = ([*symbols[:-3:-1], self._start, self._start])[:2]
        return self._own.state(symbols) << 2 * _BITS | last << _BITS | before

    def unigrams(self) -> Floats:
        """ln probabilities [size] without any context."""
        return self._mixed([self._general.prob([word]) for word in self._words], self._own.unigrams())

    def score(self, states: Ints, symbols: Ints) -> tuple[Floats, Ints]:
        """ln probability of each symbol after each state [n], and the states that follow [n]."""
        states, symbols = np.asarray(states, np.int64), np.asarray(symbols, np.int64)
        last, before = states >> _BITS & _MASK, states & _MASK
        prob, words = self._general.prob, self._words  # asked for hundreds of words every 160 ms
        rows = zip(symbols.tolist(), last.tolist(), before.tolist(), strict=True)
        broad = [prob([words[symbol], words[one], words[two]]) for symbol, one, two in rows]  # the newest word first
        near, own = self._own.score(states >> 2 * _BITS, symbols)
        return self._mixed(broad, near), own << 2 * _BITS | symbols << _BITS | last

    def _mixed(self, broad: list[int], own: Floats) -> Floats:
        general = np.maximum(LN * np.array(broad), LEAST)
        mixed: Floats = np.logaddexp(self._shares[0] + general, self._shares[1] + own).astype(np.float32)
        return mixed
