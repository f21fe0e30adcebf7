"""The word sequences that a decoder is still considering, as a tree that forgets what is settled.

Knows words by number, their language model scores and when they ended; nothing of phones or frames' contents.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.nano.general import Language

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
ROOM = 1_024


@dataclass(frozen=True)
class Settled:
    """One word of the prefix that will not change any more."""

    word: int
    end: int  # frame after which the word had ended
    quality: float  # mean acoustic log ratio per phone, at most 0


@dataclass
class Histories:
    """Entry 0 is the settled prefix (without its words); each other entry is its parent plus one word.

    Parents always have smaller numbers than their children.
    """

    language: Language
    start: int  # state of the language model at the start
    weight: float
    bonus: float
    settled: list[Settled] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.parent: Ints = np.zeros(ROOM, np.int64)
        self.word: Ints = np.full(ROOM, -1, np.int64)
        self.state: Ints = np.full(ROOM, self.start, np.int64)
        self.score: Floats = np.zeros(ROOM)
        self.end: Ints = np.zeros(ROOM, np.int64)
        self.sound: Floats = np.zeros(ROOM)
        self.quality: Floats = np.zeros(ROOM)
        self.count = 1
        self._known: dict[tuple[int, int], int] = {}

    def extend(self, parents: Ints, words: Ints, sounds: Floats, lengths: Ints, frame: int) -> Ints:
        """Numbers of the entries "parent plus word", made where they are new.

        ``sounds``: acoustic log score of each relative to the best path; ``lengths``: phones of each word.
        """
        pairs = list(zip(parents.tolist(), words.tolist(), strict=True))
        fresh = {pair: n for n, pair in reversed(list(enumerate(pairs))) if pair not in self._known}
        if fresh:
            self._add(np.array(sorted(fresh.values())), parents, words, sounds, lengths, frame)
        return np.array([self._known[pair] for pair in pairs], np.int64)

    def _add(self, rows: Ints, parents: Ints, words: Ints, sounds: Floats, lengths: Ints, frame: int) -> None:
        parents, words, sounds = parents[rows], words[rows], sounds[rows]
        while self.count + len(rows) > len(self.parent):
            self._enlarge()
        logp, states = self.language.score(self.state[parents], words)
        place = slice(self.count, self.count + len(rows))
        self.parent[place], self.word[place], self.state[place] = parents, words, states
        self.score[place] = self.score[parents] + self.weight * logp + self.bonus
        self.end[place], self.sound[place] = frame, sounds
        self.quality[place] = np.minimum(sounds - self.sound[parents], 0) / lengths[rows]
        for number, pair in enumerate(zip(parents.tolist(), words.tolist(), strict=True), self.count):
            self._known[pair] = number
        self.count += len(rows)

    def _enlarge(self) -> None:
        for name in ("parent", "word", "state", "score", "end", "sound", "quality"):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros_like(old)]))

    def path(self, entry: int) -> list[int]:
        """Entries from the settled prefix (exclusive) to ``entry`` (inclusive)."""
        found = []
        while entry:
            found.append(entry)
            entry = int(self.parent[entry])
        return found[::-1]

    def common(self, entries: Ints) -> int:
        """The longest history that all ``entries`` share."""
        left: set[int] = set(entries.tolist())
        while len(left) > 1:
            latest: int = max(left)
            left.remove(latest)
            left.add(int(self.parent[latest]))
        return int(left.pop())

    def within(self, entries: Ints, ancestor: int) -> NDArray[np.bool_]:
        """Which of ``entries`` continue (or are) ``ancestor``."""
        unique, back = np.unique(entries, return_inverse=True)
        return np.array([ancestor == e or ancestor in self.path(e) for e in unique.tolist()])[back]

    def settle(self, entry: int, live: Ints) -> Ints:
        """Make ``entry`` the settled prefix and forget what ``live`` does not need; returns ``live`` renumbered."""
        for number in self.path(entry):
            self.settled.append(Settled(int(self.word[number]), int(self.end[number]), float(self.quality[number])))
        kept = {entry}
        for number in np.unique(live).tolist():
            while number not in kept:
                kept.add(number)
                number = int(self.parent[number])
        order = np.array(sorted(kept))
        number_of = {old: new for new, old in enumerate(order.tolist())}
        base = self.score[entry]
        for name in ("word", "state", "end", "quality", "score", "sound"):
            values = getattr(self, name)
            values[: len(order)] = values[order]
        self.score[: len(order)] -= base
        self.parent[: len(order)] = [number_of.get(p, 0) for p in self.parent[order].tolist()]
        self.parent[0], self.count = 0, len(order)
        pairs = zip(self.parent[1 : self.count].tolist(), self.word[1 : self.count].tolist(), strict=True)
        self._known = {pair: number for number, pair in enumerate(pairs, 1)}
        return np.array([number_of[old] for old in live.tolist()], np.int64)

    def copy(self) -> Histories:
        """An independent copy; the language model is shared."""
        twin = copy.copy(self)
        for name in ("parent", "word", "state", "score", "end", "sound", "quality"):
            setattr(twin, name, getattr(self, name).copy())
        twin._known, twin.settled = dict(self._known), list(self.settled)
        return twin
