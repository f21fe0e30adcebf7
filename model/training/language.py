"""Trains the word language model of nano's decoder on our own texts.

Knows which texts count how much; not how the model is stored or searched.
Run: ``python -m model.training.language --scenes S --exchanges X --speech C``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.nano import lexicon
from model.nano.ngram import Ngram
from model.nano.weights import FOLDER
from model.training import wording
from model.training.lexicon import general_logp
from model.training.ngram import Recipe, estimate
from model.training.wording import Saying

WEIGHTS = {"user": 1.0, "agent": 0.8, "reader": 0.8}
DISCOUNT = (0.6, 0.92, 0.96)
GENERAL = 0.7  # share of general English in the unigrams


def coded(sayings: Iterable[Saying], numbers: dict[str, int]) -> tuple[list[NDArray[np.int64]], list[str]]:
    """Sequences of word numbers with start and end marks, and who says each; unlisted words part a sequence."""
    start, end = len(numbers), len(numbers) + 1
    sequences, speakers = [], []
    for saying in sayings:
        run: list[int] = [start]
        for word in saying.words:
            if word in numbers:
                run.append(numbers[word])
                continue
            sequences.append(np.array(run))
            speakers.append(saying.who)
            run = []
        sequences.append(np.array([*run, end]))
        speakers.append(saying.who)
    return sequences, speakers


def train(sayings: Iterable[Saying], words: list[str], general: NDArray[np.float64], cutoff: float = 0.0) -> Ngram:
    """A trigram model over ``words`` (sorted) and two marks; ``general``: their ln probabilities in broad English."""
    numbers = {word: n for n, word in enumerate(words)}
    sequences, speakers = coded(sayings, numbers)
    broad = np.append(np.exp(general), [1e-9, 1e-9])
    recipe = Recipe(len(words) + 2, 3, DISCOUNT, (0.0, 0.0, cutoff), general=broad, share=GENERAL)
    return estimate(sequences, recipe, np.array([WEIGHTS[who] for who in speakers]))


def perplexity(model: Ngram, sayings: Iterable[Saying], words: list[str]) -> tuple[float, float]:
    """Perplexity per listed word, and the share of words that are not listed."""
    numbers = {word: n for n, word in enumerate(words)}
    sayings = list(sayings)
    sequences, _ = coded(sayings, numbers)
    total, count = 0.0, 0
    for sequence in sequences:
        state, skip = np.zeros(1, np.int64), 0
        for symbol in sequence.tolist():
            logp, state = model.score(state, np.array([symbol]))
            skip = symbol >= len(words)
            total, count = total + (0.0 if skip else float(logp[0])), count + (not skip)
    spoken = sum(len(saying.words) for saying in sayings)
    return float(np.exp(-total / max(count, 1))), 1 - count / max(spoken, 1)


def make(texts: Iterable[Saying], words: list[str], out: Path) -> None:
    """Train on ``texts`` and write the model of ``words`` into ``out``."""
    train(texts, words, general_logp(words)).save(out / "words.ngram")


def main() -> None:
    """Command line: the language model of the listed words into the weights folder."""
    given = wording.options(__doc__, FOLDER)
    texts = wording.training_texts(given.scenes, given.exchanges, given.speech, given.held_out)
    make(texts, list(lexicon.words()), given.out)


if __name__ == "__main__":
    main()
