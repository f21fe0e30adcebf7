"""A back-off n-gram model over integer symbols, kept as sorted numpy arrays.

Knows counts that became probabilities, not what the symbols mean: `lexicon` gives them as words, `spelling`
as letters with their sounds. It is estimated by `model.training.ngram`.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.interface import WeightsError

STEP = 1 / 12  # nats per level of the 8-bit logarithms in the file
_RESTORE = "Restore it with 'git checkout -- model/weights', or train it with 'poise train nano'."

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Level:
    """All n-grams of one length, sorted by context and then by symbol."""

    symbols: NDArray[np.uint16]  # [n] last symbol of each n-gram
    fan: NDArray[np.uint16]  # [nodes of the level below] how many n-grams extend each of them
    logp: NDArray[np.uint8]  # [n] -ln p(symbol | context) / STEP
    backoff: NDArray[np.uint8]  # [n] -ln of the mass left to shorter contexts / STEP


class Ngram:
    """A trie of n-grams with back-off links; a state is a node number, 0 being the empty context."""

    def __init__(self, levels: list[Level]) -> None:
        self.levels = levels
        self.size = len(levels[0].symbols)
        sizes = [1, *(len(level.symbols) for level in levels)]
        first = np.cumsum([0, *sizes])
        keys = []
        for depth, level in enumerate(levels):
            parents = np.repeat(np.arange(sizes[depth]) + first[depth], level.fan.astype(np.int64))
            keys.append(parents * self.size + level.symbols)
        self._keys: Ints = np.concatenate(keys).astype(np.int64)
        root = [np.zeros(1, np.float32)]
        self._logp: Floats = np.concatenate(root + [-STEP * level.logp.astype(np.float32) for level in levels])
        self._backoff: Floats = np.concatenate(root + [-STEP * level.backoff.astype(np.float32) for level in levels])
        self._suffix = self._links(first)
        self._inner = int(first[len(levels)])  # nodes from here on have no children

    def _links(self, first: Ints) -> Ints:
        """For each node, the node of the same n-gram without its first symbol."""
        suffix = np.zeros(len(self._keys) + 1, np.int64)
        for depth in range(1, len(self.levels)):
            nodes = np.arange(first[depth + 1], first[depth + 2])
            parents, symbols = np.divmod(self._keys[nodes - 1], self.size)
            suffix[nodes] = self._child(suffix[parents], symbols)
        return suffix

    def _child(self, states: Ints, symbols: Ints) -> Ints:
        """Node that extends each state by each symbol, 0 where there is none."""
        keys = states * self.size + symbols
        found = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[found] == keys, found + 1, 0)

    def score(self, states: Ints, symbols: Ints) -> tuple[Floats, Ints]:
        """Natural log probability of each symbol after each state, and the states that follow.

        ``states`` and ``symbols``: int64 [n], symbols in 0..size-1. Returns float32 [n] and int64 [n].
        """
        states, symbols = np.asarray(states, np.int64), np.asarray(symbols, np.int64)
        logp = np.zeros(len(symbols), np.float32)
        nodes = np.zeros(len(symbols), np.int64)
        open_ = np.arange(len(symbols))
        while len(open_):
            at = states[open_]
            child = self._child(at, symbols[open_])
            hit = child > 0
            nodes[open_[hit]] = child[hit]
            missed = open_[~hit]
            logp[missed] += self._backoff[at[~hit]]
            states = states.copy() if len(missed) else states
            states[missed] = self._suffix[at[~hit]]
            open_ = missed
        logp += self._logp[nodes]
        return logp, np.where(nodes >= self._inner, self._suffix[nodes], nodes)

    def unigrams(self) -> Floats:
        """Natural log probabilities [size] of the symbols without any context."""
        return self._logp[1 : self.size + 1]

    def state(self, symbols: list[int]) -> int:
        """The state after a sequence of symbols."""
        state = np.zeros(1, np.int64)
        for symbol in symbols:
            state = self.score(state, np.array([symbol]))[1]
        return int(state[0])

    def save(self, path: Path) -> None:
        """Write the model as one compressed file."""
        arrays = {
            f"{name}{depth}": getattr(level, name)
            for depth, level in enumerate(self.levels)
            for name in ("symbols", "fan", "logp", "backoff")
        }
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        buffer.seek(0)
        with zipfile.ZipFile(buffer) as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as packed:
            for name in plain.namelist():
                packed.writestr(zipfile.ZipInfo(name), plain.read(name), zipfile.ZIP_LZMA)


def load(path: Path) -> Ngram:
    """Read a model; raises WeightsError where the file is missing or damaged."""
    if not path.is_file():
        raise WeightsError(f"The n-gram model {path} is missing.", _RESTORE)
    try:
        with np.load(path) as file:
            depth = sum(name.startswith("symbols") for name in file.files)
            names = ("symbols", "fan", "logp", "backoff")
            return Ngram([Level(*(file[f"{name}{n}"] for name in names)) for n in range(depth)])
    except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile, EOFError) as error:
        raise WeightsError(f"The n-gram model {path} cannot be read ({error}).", _RESTORE) from error
