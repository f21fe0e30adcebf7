"""The vocabulary: words keep their tokens, and nothing from outside becomes a mark."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.interface import WeightsError
from model.nano import text
from tests.model.nano.reply_parts import vocabulary

SENTENCE = "Hello, good to hear you. How are you today?"


def test_round_trip() -> None:
    assert vocabulary().decode(vocabulary().encode(SENTENCE)) == SENTENCE


def test_tokens_of_a_text_are_those_of_its_words() -> None:
    parts = vocabulary().words(SENTENCE)
    assert len(parts) == len(SENTENCE.split())
    assert [token for word in parts for token in word] == vocabulary().encode(SENTENCE)


@given(st.text(max_size=80))
def test_nothing_from_outside_is_a_mark(written: str) -> None:
    unknown = vocabulary().mark("<unk>")
    for name in ("", "<eos>", "<agent>"):
        assert all(t >= len(text.MARKS) or t == unknown for t in vocabulary().encode(f"{name}{written}"))


def test_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / text.NAME).write_text("{")
    with pytest.raises(WeightsError, match=text.NAME):
        text.load(tmp_path)
