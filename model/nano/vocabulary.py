"""The words that can be heard: a prefix tree of their phones, and the language model over them.

Immutable and shared by all sessions. It knows what could be said and how likely that is, not what was said:
that is `decoder`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.interface import WeightsError
from model.nano import lexicon, ngram
from model.nano.general import Language, Mixture
from model.nano.lexicon import Pronunciation
from model.nano.phones import COUNT, indices
from model.nano.weights import FOLDER

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
GENERAL = 0.9  # share of general English in the language model


class Vocabulary:
    """Prefix tree in CSR form. Nodes 0..COUNT-1 are roots: node p is "a word has just ended in phone p".

    Node 0 is the start of a turn. All roots share the same children; children of one node lie side by side.
    """

    def __init__(self, entries: Mapping[str, tuple[Pronunciation, ...]], language: Language) -> None:
        """``entries``: words in the order of the language model's symbols, which has two marks more than words."""
        _check(entries, language)
        self.words = list(entries)
        self.language = language
        self.start = language.state([len(self.words)])
        self._grow(list(entries.values()))
        self.outlook = self._outlook(language.unigrams()[: len(self.words)].astype(np.float64))

    @classmethod
    def load(cls, folder: Path | None = None) -> Vocabulary:
        """From ``folder`` (default: the shipped weights). Raises WeightsError."""
        place = folder or FOLDER
        entries, own = lexicon.read(place / "lexicon.txt.xz"), ngram.load(place / "words.ngram")
        _check(entries, own)
        return cls(entries, Mixture(own, list(entries), GENERAL))

    def _grow(self, spelled: list[tuple[Pronunciation, ...]]) -> None:
        """Build the tree level by level from the sorted pronunciations, so that siblings are neighbours."""
        listed = [(indices(list(phones)), word) for word, all_ in enumerate(spelled) for phones in all_]
        listed.sort()
        longest = max(len(phones) for phones, _ in listed)
        table = np.array([phones + [0] * (longest - len(phones)) for phones, _ in listed], np.int64)
        length = np.array([len(phones) for phones, _ in listed])
        owner = np.zeros(len(listed), np.int64)  # node that each pronunciation has reached
        last = owner.copy()
        phone, parent, size = [np.arange(COUNT)], [np.zeros(COUNT, np.int64)], COUNT
        self.levels: list[slice] = []  # nodes of each depth from 1 on
        for depth in range(longest):
            rows = np.flatnonzero(length > depth)
            steps, back = np.unique(owner[rows] * COUNT + table[rows, depth], return_inverse=True)
            parent.append(steps // COUNT)
            phone.append(steps % COUNT)
            owner[rows] = size + back
            last[rows] = owner[rows]
            self.levels.append(slice(size, size + len(steps)))
            size += len(steps)
        self.phone, self.parent = np.concatenate(phone), np.concatenate(parent)
        self.depth = np.repeat(np.arange(longest + 1), [COUNT, *(level.stop - level.start for level in self.levels)])
        self._index(last, np.array([word for _, word in listed]))

    def _index(self, last: Ints, word: Ints) -> None:
        """Number the children and the words of each node; ``last``, ``word``: node and word of each pronunciation."""
        size = len(self.phone)
        self.fan: Ints = np.bincount(self.parent[COUNT:], minlength=size)
        self.first: Ints = COUNT + np.cumsum(self.fan) - self.fan
        self.fan[:COUNT], self.first[:COUNT] = self.fan[0], self.first[0]
        self.openings: Ints = np.zeros(COUNT, np.int64)  # for each phone the node of words that begin with it
        openings = np.arange(self.first[0], self.first[0] + self.fan[0])
        self.openings[self.phone[openings]] = openings
        pairs = np.unique(np.stack([last, word], 1), axis=0)
        self.word: Ints = pairs[:, 1]
        self.word_fan: Ints = np.bincount(pairs[:, 0], minlength=size)
        self.word_first: Ints = np.cumsum(self.word_fan) - self.word_fan

    def _outlook(self, unigrams: Floats) -> Floats:
        """For each node the ln probability of the best word at or below it, relative to the best of all."""
        best = np.full(len(self.phone), -np.inf)
        owners = np.repeat(np.arange(len(self.phone)), self.word_fan)
        np.maximum.at(best, owners, unigrams[self.word])
        for level in reversed(self.levels):
            np.maximum.at(best, self.parent[level], best[level])
        best[:COUNT] = best[0]
        return np.asarray(best - best[0], np.float64)


def _check(entries: Mapping[str, tuple[Pronunciation, ...]], language: Language) -> None:
    if language.size != len(entries) + 2:
        wrong = f"The language model has {language.size} symbols and the word list {len(entries)} words."
        raise WeightsError(wrong, "Restore both with 'git checkout -- model/weights', or train both anew.")


@lru_cache(maxsize=1)
def default() -> Vocabulary:
    """The vocabulary of the repository, loaded once; raises WeightsError where a file is missing or damaged."""
    return Vocabulary.load()
