"""Streaming transcript: a beam search over phone posteriors that allows listed words only.

CTC prefix search on the tree of `vocabulary`, weighed by its language model; cost per frame does not depend on
how long the turn is. It knows nothing of audio, and nothing of when a turn ends.

Source of the search: Hannun et al., "First-pass large vocabulary continuous speech recognition using
bi-directional recurrent DNNs" (2014), algorithm 1, with words as an added level.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.nano import vocabulary
from model.nano.histories import Histories
from model.nano.phones import BLANK, COUNT, PHONES
from model.nano.vocabulary import Vocabulary

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
FRAME_S = 0.04
CALM = 0.5  # brings confidences nearer to the share of right words: phones are surer of themselves than words


@dataclass(frozen=True)
class Search:
    """How hard to search and what to believe; tuned on development recordings."""

    beam: int = 250  # hypotheses kept per frame
    margin: float = 18.0  # nats below the best at which a hypothesis is dropped
    floor: float = -8.0  # phones less likely than this (ln, against the best of the frame) are not tried
    language: float = 1.05  # weight of the language model
    outlook: float = 0.8  # weight of the unigram look-ahead inside words
    bonus: float = 0.0  # nats per word
    blank: float = -0.7  # nats added to the blank
    patience: int = 120  # frames after which a word is settled even if others are still possible
    rest: int = 5  # blank frames after which an unfinished word is no longer waited for
    unfinished: float = 4.0  # nats by which an unfinished word must lead to hold back the words before it


@dataclass(frozen=True)
class Words:
    """The transcript up to the last frame."""

    stable: str
    tentative: str
    confidence: float | None  # mean over words, 0..1; None while there are none
    ends: tuple[float, ...]  # for each word of both parts: seconds from the start of the turn to its end


@dataclass
class Beam:
    """The live hypotheses: entry of the histories, node of the tree, ln scores of ending in blank or not, all [n]."""

    history: Ints
    node: Ints
    blank: Floats
    sound: Floats

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Beam:
        """The hypotheses ``rows``."""
        return Beam(self.history[rows], self.node[rows], self.blank[rows], self.sound[rows])

    @property
    def total(self) -> Floats:
        """Acoustic ln score [n]."""
        return np.logaddexp(self.blank, self.sound)


class Decoder:
    """One session's transcript in the making."""

    def __init__(self, words: Vocabulary | None = None, search: Search | None = None) -> None:
        self._words = words or vocabulary.default()
        self._search = search or Search()
        self._depth = self._words.depth
        self._openings = self._words.openings
        self.reset()

    def reset(self) -> None:
        """Forget everything: a new turn begins."""
        self._frame, self._silent, self._last = 0, 0, BLANK
        self._greedy: list[int] = []
        self._histories = Histories(self._words.language, self._words.start, self._search.language, self._search.bonus)
        zero = np.zeros(1, np.int64)
        self._beam = Beam(zero, zero.copy(), np.zeros(1), np.full(1, -np.inf))

    def step(self, logp: NDArray[np.floating]) -> None:
        """Take in frames of ln phone posteriors, float [frames, 40]; any number of frames at a time.

        Raises ValueError for another shape or values that are not numbers.
        """
        if logp.ndim != 2 or logp.shape[1] != COUNT or np.isnan(logp).any():
            raise ValueError(f"Expected ln posteriors [frames, {COUNT}], got {logp.shape}.")
        for frame in np.asarray(logp, np.float64):
            self._step(np.maximum(frame - frame.max(), -30.0))

    def _step(self, frame: Floats) -> None:
        self._note(frame)
        frame[BLANK] += self._search.blank
        beam = self._beam
        total = beam.total
        stay = Beam(beam.history, beam.node, total + frame[BLANK], beam.sound + frame[self._words.phone[beam.node]])
        grown = self._grow(beam, total, frame, float(self._rank(stay).max()))
        ended = self._end(grown)
        self._beam = self._prune(_merge([stay, grown, ended], len(self._words.phone)))
        self._frame += 1
        if self._frame % 4 == 0:
            self._settle()

    def _note(self, frame: Floats) -> None:
        """Keep the greedy phones and how long there has been nothing but blank."""
        best = int(np.argmax(frame))
        self._silent = self._silent + 1 if best == BLANK else 0
        if best not in (BLANK, self._last):
            self._greedy.append(best)
        self._last = best

    def _rank(self, beam: Beam) -> Floats:
        """Score by which hypotheses compete [n]."""
        outlook = self._search.outlook * self._words.outlook[beam.node]
        return np.asarray(beam.total + self._histories.score[beam.history] + outlook, np.float64)

    def _grow(self, beam: Beam, total: Floats, frame: Floats, best: float) -> Beam:
        """Hypotheses with one phone more."""
        words = self._words
        rows, children = self._children(beam, np.flatnonzero(frame > self._search.floor))
        phones = words.phone[children]
        # A phone that repeats the last one needs a blank between.
        before = np.where(phones == words.phone[beam.node[rows]], beam.blank[rows], total[rows])
        grown = Beam(beam.history[rows], children, np.full(len(rows), -np.inf), before + frame[phones])
        rank = self._rank(grown)
        best = max(best, float(rank.max(initial=-np.inf)))
        kept = np.flatnonzero(rank > best - self._search.margin)
        if len(kept) > self._search.beam:
            kept = np.sort(kept[np.argpartition(-rank[kept], self._search.beam)[: self._search.beam]])
        return grown.take(kept)

    def _children(self, beam: Beam, heard: Ints) -> tuple[Ints, Ints]:
        """Pairs (row of the beam, node below it) for the phones ``heard``."""
        words = self._words
        roots, inner = np.flatnonzero(beam.node < COUNT), np.flatnonzero(beam.node >= COUNT)
        openings = self._openings[heard]
        openings = openings[openings > 0]
        fan = words.fan[beam.node[inner]]
        rows = np.repeat(inner, fan)
        nodes = words.first[beam.node[rows]] + np.arange(len(rows)) - np.repeat(np.cumsum(fan) - fan, fan)
        wanted = np.zeros(COUNT, np.bool_)
        wanted[heard] = True
        kept = wanted[words.phone[nodes]]
        rows = np.concatenate([np.repeat(roots, len(openings)), rows[kept]])
        return rows, np.concatenate([np.tile(openings, len(roots)), nodes[kept]])

    def _end(self, grown: Beam) -> Beam:
        """For hypotheses that have just completed words: the same, with each word done and a root as node."""
        words = self._words
        fan = words.word_fan[grown.node]
        rows = np.repeat(np.arange(len(fan)), fan)
        nodes = grown.node[rows]
        found = words.word[words.word_first[nodes] + np.arange(len(rows)) - np.repeat(np.cumsum(fan) - fan, fan)]
        entries = self._histories.extend(grown.history[rows], found, grown.sound[rows], self._depth[nodes], self._frame)
        return Beam(entries, words.phone[nodes], grown.blank[rows], grown.sound[rows])

    def _prune(self, beam: Beam) -> Beam:
        """The best hypotheses; of those with the same future only the best one."""
        rank = self._rank(beam)
        order = np.argsort(-rank, kind="stable")
        order = order[rank[order] > rank[order[0]] - self._search.margin][: 2 * self._search.beam]
        future = self._histories.state[beam.history[order]] * len(self._words.phone) + beam.node[order]
        first = np.sort(np.unique(future, return_index=True)[1])
        return beam.take(order[first][: self._search.beam])

    def _settle(self) -> None:
        """Settle what all hypotheses share, and what is older than the patience allows."""
        histories, beam = self._histories, self._beam
        old = [e for e in histories.path(self._best()) if histories.end[e] <= self._frame - self._search.patience]
        if old:
            beam = beam.take(histories.within(beam.history, old[-1]))
        common = histories.common(beam.history)
        if common:
            beam.history = histories.settle(common, beam.history)
        self._beam = beam

    def _best(self) -> int:
        """The history that would be given out now."""
        rank = self._rank(self._beam)
        done = self._beam.node < COUNT
        top = int(np.argmax(rank))
        if done[top] or not done.any():
            return int(self._beam.history[top])
        best = int(np.argmax(np.where(done, rank, -np.inf)))
        waiting = self._silent < self._search.rest and rank[top] > rank[best] + self._search.unfinished
        return int(self._beam.history[top if waiting else best])

    def transcript(self) -> Words:
        """The words so far; changes nothing."""
        histories = self._histories
        settled, live = histories.settled, histories.path(self._best())
        ends = [s.end for s in settled] + [int(histories.end[e]) for e in live]
        quality = [s.quality for s in settled] + [float(histories.quality[e]) for e in live]
        return Words(
            stable=" ".join(self._words.words[s.word] for s in settled),
            tentative=" ".join(self._words.words[int(histories.word[e])] for e in live),
            confidence=float(np.mean(np.exp(CALM * np.asarray(quality)))) if quality else None,
            ends=tuple((end + 1) * FRAME_S for end in ends),
        )

    def phones(self) -> str:
        """The best phone of each frame, without repeats and blanks: what the ear alone would write."""
        return " ".join(PHONES[n - 1] for n in self._greedy)

    def snapshot(self) -> Decoder:
        """An independent copy of the present state; vocabulary and settings are shared."""
        twin = copy.copy(self)
        twin._histories, twin._greedy = self._histories.copy(), list(self._greedy)
        twin._beam = self._beam.take(np.arange(len(self._beam.node)))
        return twin

    def restore(self, state: Decoder) -> None:
        """Go on from a state that ``snapshot`` took, of this or another decoder; the state can be used again."""
        self.__dict__.update(state.snapshot().__dict__)


def _merge(beams: list[Beam], nodes: int) -> Beam:
    """One beam in which each (history, node) stands once, with the probabilities of its duplicates added."""
    history = np.concatenate([b.history for b in beams])
    node = np.concatenate([b.node for b in beams])
    _, first, where = np.unique(history * nodes + node, return_index=True, return_inverse=True)
    order = np.argsort(where, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(where))[:-1]])
    blank = np.concatenate([b.blank for b in beams])[order]
    sound = np.concatenate([b.sound for b in beams])[order]
    with np.errstate(invalid="ignore"):
        return Beam(history[first], node[first], _sum(blank, starts), _sum(sound, starts))


def _sum(values: Floats, starts: Ints) -> Floats:
    return np.asarray(np.logaddexp.reduceat(values, starts), np.float64)
