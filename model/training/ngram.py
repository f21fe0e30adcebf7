"""Estimates back-off n-gram models with interpolated Kneser-Ney smoothing.

Knows sequences of integers and their weights. It does not know where the texts come from
(`model.training.wording` gathers them) nor what the symbols stand for.

Source: Chen and Goodman, "An empirical study of smoothing techniques for language modeling" (1998), section 2.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.nano.ngram import STEP, Level, Ngram

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Recipe:
    """How to smooth: one entry per n-gram length where a tuple is asked for."""

    size: int  # symbols are 0..size-1
    order: int
    discount: tuple[float, ...]  # subtracted from each count, as a share of one occurrence
    cutoff: tuple[float, ...]  # n-grams of smaller weighted count are left out; must not fall with the length
    continuation: bool = True  # Kneser-Ney: shorter contexts count distinct left neighbours, not occurrences
    general: Reals | None = None  # [size] a broad distribution mixed into the unigrams
    share: float = 0.0  # of ``general``


def grams(sequences: Sequence[Ints], weights: Reals, length: int, size: int) -> tuple[Ints, Reals, Ints]:
    """All n-grams of one length: sorted keys [n] (base ``size``), weights, whether each starts a sequence."""
    keys, shares, starts = [], [], []
    for sequence, weight in zip(sequences, weights, strict=True):
        count = len(sequence) - length + 1
        if count < 1:
            continue
        key = np.zeros(count, np.int64)
        for place in range(length):
            key = key * size + sequence[place : place + count]
        keys.append(key)
        shares.append(np.full(count, weight))
        starts.append(np.arange(count) == 0)
    if not keys:
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64)
    unique, index = np.unique(np.concatenate(keys), return_inverse=True)
    total: Reals = np.bincount(index, np.concatenate(shares), len(unique)).astype(np.float64)
    first = np.bincount(index, np.concatenate(starts), len(unique))
    return unique, total, (first > 0).astype(np.int64)


def estimate(sequences: Sequence[Ints], recipe: Recipe, weights: Reals | None = None) -> Ngram:
    """An Ngram from integer sequences, optionally weighted; start and end marks are the caller's symbols.

    Raises ValueError for symbols outside 0..size-1.
    """
    if any(len(s) and (s.min() < 0 or s.max() >= recipe.size) for s in sequences):
        raise ValueError(f"A symbol lies outside 0..{recipe.size - 1}.")
    shares = np.ones(len(sequences)) if weights is None else weights
    tables = [grams(sequences, shares, n, recipe.size) for n in range(1, recipe.order + 1)]
    counts = [_effective(tables, n, recipe) for n in range(recipe.order)]
    unigram = _unigrams(tables[0][0], counts[0], recipe)
    levels = [
        Level(
            np.arange(recipe.size).astype(np.uint16),
            np.array([recipe.size], np.uint16),
            _pack(unigram),
            np.zeros(recipe.size, np.uint8),
        )
    ]
    keys: Ints = np.arange(recipe.size, dtype=np.int64)
    lower: tuple[Ints, Reals] = (keys, unigram)
    for n in range(1, recipe.order):
        keys, level, lower, levels[-1] = _extend(tables[n], counts[n], n, lower, levels[-1], recipe)
        levels.append(level)
    return Ngram(levels)


def _effective(tables: list[tuple[Ints, Reals, Ints]], n: int, recipe: Recipe) -> Reals:
    """Counts [grams] to be smoothed: occurrences, or distinct left neighbours for shorter n-grams."""
    keys, occurrences, starts = tables[n]
    if not recipe.continuation or n == recipe.order - 1:
        return occurrences
    tails = tables[n + 1][0] % recipe.size ** (n + 1)
    distinct = np.bincount(np.searchsorted(keys, tails), minlength=len(keys)).astype(float)
    return np.where(starts > 0, np.maximum(occurrences, distinct), distinct)


def _unigrams(keys: Ints, counts: Reals, recipe: Recipe) -> Reals:
    full = np.zeros(recipe.size)
    full[keys] = counts
    discounted = np.maximum(full - recipe.discount[0], 0)
    left = 1 - discounted.sum() / full.sum()
    own: Reals = np.asarray(discounted / full.sum() + left / recipe.size, np.float64)
    if recipe.general is None:
        return own
    return np.asarray((1 - recipe.share) * own + recipe.share * recipe.general / recipe.general.sum(), np.float64)


def _extend(
    table: tuple[Ints, Reals, Ints], counts: Reals, n: int, lower: tuple[Ints, Reals], below: Level, recipe: Recipe
) -> tuple[Ints, Level, tuple[Ints, Reals], Level]:
    """One level more: n-grams of length n+1 over those of length n. Returns keys, level, (keys, p), level below."""
    keys, occurrences, _ = table
    contexts, tails = keys // recipe.size, keys % recipe.size**n
    parent = np.searchsorted(lower[0], contexts)
    parent = np.where(parent < len(lower[0]), parent, 0)
    known = lower[0][parent] == contexts
    kept = known & (occurrences >= recipe.cutoff[n])
    total = np.bincount(parent[known], counts[known], len(lower[0]))
    gain = np.maximum(counts - recipe.discount[n] * np.minimum(counts, 1), 0) * kept
    share = np.divide(gain, total[parent], out=np.zeros(len(keys)), where=total[parent] > 0)
    held = np.bincount(parent[kept], share[kept], len(lower[0]))
    left: Reals = np.clip(1 - held, 1e-6, 1).astype(np.float64)
    keys, parent, share, tails = keys[kept], parent[kept], share[kept], tails[kept]
    shorter = lower[1][np.searchsorted(lower[0], tails)]
    p = share + left[parent] * shorter
    fan = np.bincount(parent, minlength=len(lower[0])).astype(np.uint16)
    level = Level((keys % recipe.size).astype(np.uint16), fan, _pack(p), np.zeros(len(keys), np.uint8))
    linked = Level(below.symbols, below.fan, below.logp, _pack(left))
    return keys, level, (keys, p), linked


def _pack(p: Reals) -> NDArray[np.uint8]:
    return np.clip(np.round(-np.log(np.maximum(p, 1e-30)) / STEP), 0, 255).astype(np.uint8)
