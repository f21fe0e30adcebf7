"""Word errors, and tuning that only ever accepts a better setting."""

from pathlib import Path

import numpy as np
import pytest

from model.nano import lexicon
from model.nano.decoder import Search
from model.nano.phones import BLANK, COUNT, indices
from model.nano.vocabulary import Vocabulary
from model.training import search
from model.training.edits import edit_distance
from model.training.ngram import Recipe, estimate


@pytest.mark.parametrize(
    ("reference", "heard", "errors"),
    [("a b c", "a b c", 0), ("a b c", "a c", 1), ("a b", "a x b", 1), ("a b", "b a", 2), ("", "a", 1), ("a b", "", 2)],
)
def test_word_errors_are_least_edits(reference: str, heard: str, errors: int) -> None:
    assert edit_distance(reference.split(), heard.split()) == errors


def tiny() -> Vocabulary:
    words = ["hello", "home", "no"]
    language = estimate([np.array([3, 0, 1, 4]), np.array([3, 2, 4])], Recipe(5, 2, (0.5, 0.5), (0, 0)))
    return Vocabulary({word: lexicon.pronunciations(word) for word in words}, language)


def archive(path: Path) -> Path:
    frames = [BLANK, *indices([*lexicon.pronounce("hello"), *lexicon.pronounce("home")]), *[BLANK] * 6]
    logp = np.full((len(frames), COUNT), -9.0, np.float16)
    logp[np.arange(len(frames)), frames] = -0.01
    np.savez(path, logp_0=logp, text_0="hello home")
    return path


def test_tuning_never_ends_worse_than_it_began(tmp_path: Path) -> None:
    clips = search.read(archive(tmp_path / "a.npz"), 5)
    words = tiny()
    start = Search(bonus=-30.0)
    best, least = search.tune([clips], words, start, rounds=1)
    assert least == search.error_rate(clips, words, best)
    assert least <= search.error_rate(clips, words, start)
    assert search.error_rate(clips, words, Search()) == 0
