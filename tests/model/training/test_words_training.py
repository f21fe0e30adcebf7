"""Training of lexicon, spelling and language model on a handful of words."""

import json
from pathlib import Path

import numpy as np
import pytest

from model.nano import vocabulary
from model.nano.spelling import Spelling, read_pairs, write_pairs
from model.training import language, lexicon, spelling, wording
from model.training.ngram import Recipe, estimate
from model.training.wording import Saying

ENTRIES = [(first + "a" + last, (first.upper(), "AE", last.upper())) for first in "bdfgklmnprst" for last in "bdgkmnpt"]


def test_spelling_learns_regular_words(tmp_path: Path) -> None:
    model, pairs = spelling.train([*ENTRIES, *ENTRIES], 3, (0.0, 0.0, 0.0))
    write_pairs(tmp_path / "pairs.txt", pairs)
    speller = Spelling(model, read_pairs(tmp_path / "pairs.txt"))
    assert speller.pronounce("tapnag") == ("T", "AE", "P", "N", "AE", "G")


def test_alignment_finds_silent_and_double_letters() -> None:
    found = spelling.align([*ENTRIES, ("axx", ("AE", "K", "S"))] * 2)
    assert all(len(path) == len((ENTRIES * 2)[0][0]) for path in found.values())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It’s “late”, isn't it?", "it's late isn't it"),
        ("A well-known café -- 24 of 'em!", "a well known cafe of 'em"),
        ("'Quoted' words'", "quoted words"),
        ("", ""),
    ],
)
def test_written_text_becomes_spoken_words(text: str, words: str) -> None:
    assert wording.spoken(text) == tuple(words.split())


def test_scenes_give_both_sides(tmp_path: Path) -> None:
    scene = {"phrases": [{"text": "Hi."}], "history": [{"who": "agent", "text": "Yes?"}], "reply": {"text": "Oh."}}
    (tmp_path / "w1.jsonl").write_text(json.dumps(scene))
    found = [(s.who, s.words) for s in wording.scenes([tmp_path / "w1.jsonl"])]
    assert ("agent", ("yes",)) in found
    assert ("agent", ("oh",)) in found
    assert ("user", ("hi",)) in found


def test_unlisted_words_part_a_sequence() -> None:
    sequences, _ = language.coded([Saying(("a", "zz", "b"), "user", "t")], {"a": 0, "b": 1})
    assert [s.tolist() for s in sequences] == [[2, 0], [1, 3]]


def test_a_language_model_knows_what_it_read() -> None:
    words = ["home", "i'm", "kettle", "the"]
    texts = [Saying(("i'm", "home"), "user", "t")] * 4 + [Saying(("the", "kettle"), "agent", "t")] * 4
    model = language.train(texts, words, np.log(np.full(4, 0.25)))
    good, unlisted = language.perplexity(model, [Saying(("i'm", "home"), "user", "t")], words)
    poor, _ = language.perplexity(model, [Saying(("home", "the"), "user", "t")], words)
    assert good < poor
    assert unlisted == 0


def test_a_symbol_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        estimate([np.array([0, 7])], Recipe(3, 2, (0.5, 0.5), (0, 0)))


def test_dictionary_lines_are_read_with_alternates(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("read R EH D\nread(2) R IY D\nx.y EH\n")
    assert lexicon.cmudict(tmp_path / "d") == {"read": [("R", "EH", "D"), ("R", "IY", "D")]}


def test_vocabulary_refuses_a_foreign_language_model() -> None:
    model = estimate([np.array([0, 1])], Recipe(4, 2, (0.5, 0.5), (0, 0)))
    with pytest.raises(vocabulary.WeightsError, match="4 symbols"):
        vocabulary.Vocabulary({"a": (("AH",),)}, model)
