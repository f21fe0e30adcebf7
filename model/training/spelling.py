"""Trains the letters-to-sounds model of `model.nano.spelling` on a pronouncing dictionary.

Each letter is aligned with 0 to 2 phones by expectation maximisation, then a joint n-gram model is estimated.
It knows nothing of word frequency or of how the lexicon is chosen.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
from numpy.typing import NDArray

from model.nano.ngram import Ngram
from model.nano.phones import COUNT, PHONES, indices
from model.nano.spelling import END, LETTERS, START
from model.training.ngram import Recipe, estimate

Entry = tuple[str, tuple[str, ...]]
Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
SOUNDS = COUNT + COUNT * COUNT  # 0: silent; 1..39: one phone; COUNT + a * COUNT + b: two phones
RARE = 4  # pairs seen less often are left out, with the words that need them


def _groups(entries: list[Entry]) -> list[tuple[list[int], Ints, Ints]]:
    """Entries of equal shape together: their numbers, letters [w, n], phones [w, m]."""
    shapes: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, (word, phones) in enumerate(entries):
        if set(word) <= set(LETTERS) and len(phones) <= 2 * len(word) and phones:
            shapes[len(word), len(phones)].append(number)
    return [
        (
            numbers,
            np.array([[LETTERS.index(c) for c in entries[n][0]] for n in numbers]),
            np.array([indices(list(entries[n][1])) for n in numbers]),
        )
        for numbers in shapes.values()
    ]


def _sounds(phones: Ints, end: int, width: int) -> Ints:
    """Sound numbers [w] of the ``width`` phones that end before ``end``."""
    if width == 0:
        return np.zeros(len(phones), np.int64)
    if width == 1:
        return phones[:, end - 1]
    return COUNT + phones[:, end - 2] * COUNT + phones[:, end - 1]


def _forward(letters: Ints, phones: Ints, table: Reals, best: bool) -> Reals:
    """Forward probabilities [n+1, m+1, w]; with ``best``, of the best path instead of the sum."""
    (words, n), m = letters.shape, phones.shape[1]
    alpha = np.zeros((n + 1, m + 1, words))
    alpha[0, 0] = 1
    for i in range(1, n + 1):
        for j in range(max(0, m - 2 * (n - i)), min(m, 2 * i) + 1):
            for width in range(min(2, j) + 1):
                step = alpha[i - 1, j - width] * table[letters[:, i - 1], _sounds(phones, j, width)]
                alpha[i, j] = np.maximum(alpha[i, j], step) if best else alpha[i, j] + step
    return alpha


def _expect(letters: Ints, phones: Ints, table: Reals, counts: Reals) -> None:
    """Add the expected number of uses of each (letter, sound) to ``counts``."""
    n, m = letters.shape[1], phones.shape[1]
    alpha = _forward(letters, phones, table, best=False)
    beta = np.zeros_like(alpha)
    beta[n, m] = 1 / np.maximum(alpha[n, m], 1e-300)
    for i in range(n, 0, -1):
        for j in range(min(m, 2 * i) + 1):
            for width in range(min(2, j) + 1):
                sound = _sounds(phones, j, width)
                p = table[letters[:, i - 1], sound]
                np.add.at(counts, (letters[:, i - 1], sound), alpha[i - 1, j - width] * p * beta[i, j])
                beta[i - 1, j - width] += p * beta[i, j]


def align(entries: list[Entry], rounds: int = 8) -> dict[int, list[int]]:
    """Entry number -> one sound number per letter. Entries that cannot be aligned are missing."""
    groups = _groups(entries)
    table = np.full((len(LETTERS), SOUNDS), 1e-3)
    table[:, 1:COUNT], table[:, 0] = 1.0, 0.1
    for _ in range(rounds):
        counts = np.full_like(table, 1e-9)
        for _, letters, phones in groups:
            _expect(letters, phones, table, counts)
        table = counts / counts.sum(1, keepdims=True)
    found: dict[int, list[int]] = {}
    for numbers, letters, phones in groups:
        for number, path in zip(numbers, _trace(letters, phones, table).tolist(), strict=True):
            found[number] = path
    return found


def _trace(letters: Ints, phones: Ints, table: Reals) -> Ints:
    """Best sound number per letter, [w, n]."""
    (words, n), m = letters.shape, phones.shape[1]
    alpha = _forward(letters, phones, table, best=True)
    path = np.zeros((words, n), np.int64)
    j, rows = np.full(words, m), np.arange(words)
    for i in range(n, 0, -1):
        options, sounds = [], []
        for width in range(3):
            before = np.maximum(j - width, 0)
            first = phones[rows, np.clip(j - 2, 0, m - 1)]
            last = phones[rows, np.clip(j - 1, 0, m - 1)]
            sound = (np.zeros(words, np.int64), last, COUNT + first * COUNT + last)[width]
            p = alpha[i - 1, before, rows] * table[letters[:, i - 1], sound]
            options.append(np.where(j >= width, p, -1))
            sounds.append(sound)
        pick = np.argmax(options, 0)
        path[:, i - 1] = np.array(sounds)[pick, rows]
        j = j - pick
    return path


def _named(sound: int) -> tuple[int, ...]:
    if sound == 0:
        return ()
    return (sound,) if sound < COUNT else divmod(sound - COUNT, COUNT)


def train(
    entries: list[Entry], order: int = 6, cutoff: tuple[float, ...] = (0, 0, 1, 1, 2, 2)
) -> tuple[Ngram, list[Entry]]:
    """An n-gram model over pairs, and the pairs: ``Spelling(*train(entries))`` pronounces."""
    aligned = align(entries)
    used = Counter((entries[n][0][i], sound) for n, path in aligned.items() for i, sound in enumerate(path))
    pairs = sorted(pair for pair, count in used.items() if count >= RARE)
    number = {pair: n for n, pair in enumerate(pairs, 2)}
    sequences = []
    for n, path in aligned.items():
        steps = [number.get(pair, -1) for pair in zip(entries[n][0], path, strict=True)]
        if -1 not in steps:
            sequences.append(np.array([START, *steps, END]))
    discount = (0.5, 0.6, 0.7, 0.8, 0.8, 0.85, 0.9, 0.9)[:order]
    model = estimate(sequences, Recipe(len(pairs) + 2, order, discount, cutoff[:order]))
    return model, [(letter, tuple(PHONES[p - 1] for p in _named(sound))) for letter, sound in pairs]
