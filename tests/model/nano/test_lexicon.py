"""Pronunciations: listed, guessed, and never refused."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.interface import WeightsError
from model.nano import lexicon
from model.nano.phones import PHONES


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("hello", "HH AH L OW"),
        ("Hello,", "HH AH L OW"),
        ("it's", "IH T S"),
        ("it’s", "IH T S"),
        ("'em", "AH M"),
        ("bbc", "B IY B IY S IY"),
        ("42", "F AO R T UW"),
        ("x-ray", "EH K S R EY"),
        ("kettle's", "K EH T AH L Z"),
        ("cats'", "K AE T S"),
        ("zoë", "Z OW IY"),
    ],
)
def test_words_are_pronounced(word: str, phones: str) -> None:
    assert lexicon.pronounce(word) == tuple(phones.split())


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=12))
def test_any_text_has_a_pronunciation_of_known_phones(text: str) -> None:
    assert set(lexicon.pronounce(text)) <= set(PHONES)


@pytest.mark.parametrize("name", ["quibblewick", "Tamsinora", "zzz", "q", "o'dowdell", "grrl", "''''"])
def test_made_up_words_are_guessed(name: str) -> None:
    assert bool(lexicon.pronounce(name)) == any(c.isalpha() for c in name)


def test_every_listed_word_has_phones_and_they_are_known() -> None:
    listed = lexicon.words()
    assert list(listed) == sorted(listed)
    assert len(listed) > 20_000
    assert all(phones and set(phones) <= set(PHONES) for all_ in listed.values() for phones in all_)


def test_alternates_come_most_usual_first() -> None:
    assert len(lexicon.pronunciations("either")) == 2
    assert lexicon.pronounce("either") == lexicon.pronunciations("either")[0]


@pytest.mark.parametrize(("word", "ending"), [("cat", "S"), ("dog", "Z"), ("bus", "IH Z")])
def test_plural_endings_follow_the_last_sound(word: str, ending: str) -> None:
    assert " ".join(lexicon.plural(lexicon.pronounce(word))).endswith(ending)


def test_a_list_is_read_as_it_was_written(tmp_path: Path) -> None:
    entries = {"a": (("AH",), ("EY",)), "be": (("B", "IY"),)}
    lexicon.write(tmp_path / "list.xz", entries)
    assert lexicon.read(tmp_path / "list.xz") == entries


@pytest.mark.parametrize("content", [None, b"", b"not xz"])
def test_a_bad_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "lexicon.txt.xz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"lexicon\.txt\.xz") as error:
        lexicon.read(path)
    assert error.value.mend
