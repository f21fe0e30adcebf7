"""Makes the word list of `model.nano.lexicon` and trains its letters-to-sounds model, from CMUdict.

Knows which words are worth listing: all of our own texts, then the most frequent of general English. It does
not know how they are decoded. Run: ``python -m model.training.lexicon --scenes S --exchanges X --speech C``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pocketsphinx import get_model_path

from model.nano import general, lexicon, spelling
from model.nano.lexicon import Pronunciation
from model.nano.weights import FOLDER
from model.training import spelling as spelling_training
from model.training import wording

SIZE = 60_000  # words
ALTERNATES = 3  # pronunciations per word at most
_WORD = re.compile(r"[a-z']*[a-z][a-z']*")
CUTOFF = (0.0, 0.0, 2.0, 2.0, 3.0, 4.0)  # of the letters-to-sounds model: 0.4 MB


def cmudict(path: Path) -> dict[str, list[Pronunciation]]:
    """Words with their pronunciations, from a file of lines ``word(2) PH ON ES``."""
    found: dict[str, list[Pronunciation]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *phones = line.split()
        word = re.sub(r"\(\d+\)$", "", word)
        if _WORD.fullmatch(word) and phones:
            found.setdefault(word, []).append(tuple(phones))
    return found


def general_logp(words: Iterable[str]) -> NDArray[np.float64]:
    """Natural log unigram probabilities of ``words`` in pocketsphinx's general model (-99 where unknown)."""
    return np.array([max(-99.0, general.LN * general.model().prob([word])) for word in words])


def choose(own: Counter[str], dictionary: dict[str, list[Pronunciation]], size: int) -> list[str]:
    """All own words that look like words, filled up to ``size`` with the most frequent of the dictionary."""
    slips = {word.replace("'", "") for word in dictionary if word.endswith(("n't", "'re", "'ve"))}
    chosen = {
        word
        for word, count in own.items()
        if word in dictionary or (count >= 2 and len(word) > 1 and word not in slips)  # no "dont", no "couldnt"
    }
    others = sorted(word for word in dictionary if word not in chosen)
    order = np.argsort(-general_logp(others), kind="stable")
    return sorted(chosen | {others[n] for n in order[: max(0, size - len(chosen))]})


def entries_of(
    chosen: Iterable[str], dictionary: dict[str, list[Pronunciation]], speller: spelling.Spelling
) -> dict[str, tuple[Pronunciation, ...]]:
    """Pronunciations of the chosen words; guessed where the dictionary has none, left out where that fails."""
    known = {word: tuple(all_[:ALTERNATES]) for word, all_ in dictionary.items()}
    listed = {word: known.get(word) or (lexicon.guess(word, known, speller),) for word in chosen}
    return {word: all_ for word, all_ in listed.items() if all(all_)}


def make(texts: Iterable[wording.Saying], out: Path) -> None:
    """Train the letters-to-sounds model, choose the words, and write both into ``out``."""
    dictionary = cmudict(Path(get_model_path("en-us/cmudict-en-us.dict")))
    entries = [(word, phones) for word, all_ in dictionary.items() for phones in all_]
    model, pairs = spelling_training.train(entries, len(CUTOFF), CUTOFF)
    model.save(out / "spelling.ngram")
    spelling.write_pairs(out / "spelling.txt", pairs)
    own = Counter(word for saying in texts for word in saying.words)
    listed = entries_of(choose(own, dictionary, SIZE), dictionary, spelling.Spelling(model, pairs))
    lexicon.write(out / "lexicon.txt.xz", listed)


def main() -> None:
    """Command line: words and spelling into the weights folder."""
    given = wording.options(__doc__, FOLDER)
    make(wording.training_texts(given.scenes, given.exchanges, given.speech, given.held_out), given.out)


if __name__ == "__main__":
    main()
