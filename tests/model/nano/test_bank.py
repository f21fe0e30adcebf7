"""The bank of replies: searched by meaning, stored small, and plain about damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.interface import EMOTIONS, WeightsError
from model.nano import bank as banks
from model.training.replies import Row, cleaned, from_exchanges, general
from tests.model.nano.reply_parts import bag, bank


def test_own_key_is_nearest() -> None:
    near = bank().closeness(bag(["i lost my phone"])[0], None)
    group = bank().groups[int(near.argmax())]
    assert "i cannot find my keys" in {e.said for e in bank().examples[slice(*group.examples)]}


def test_feelings_are_probabilities() -> None:
    feelings = bank().feelings(bag(["i am sad"])[0])
    assert set(feelings) == set(EMOTIONS)
    assert sum(feelings.values()) == pytest.approx(1.0)


def test_stored_bank_finds_the_same(tmp_path: Path) -> None:
    banks.save(bank(), tmp_path)
    again = banks.load(tmp_path)
    assert again.examples == bank().examples
    query = bag(["my dog ran away"])[0]
    np.testing.assert_allclose(again.closeness(query, None), bank().closeness(query, None), atol=0.02)


@pytest.mark.parametrize("name", ["replies.jsonl.xz", "replies.safetensors"])
def test_missing_or_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    banks.save(bank(), tmp_path)
    (tmp_path / name).write_bytes(b"not what it was")
    with pytest.raises(WeightsError, match=name):
        banks.load(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(WeightsError, match=name):
        banks.load(tmp_path)


def test_general_replies_have_every_part() -> None:
    for row in general():
        assert row.keys
        assert row.examples
        assert {example.emotion for example in row.examples} <= set(EMOTIONS)


def test_names_of_others_do_not_leak() -> None:
    turn = {"user": "I won.", "emotion": "happy", "delivery": "warm", "agent": "Well done, Paul. Does Ines know?"}
    rows = from_exchanges([{"split": "train", "turns": [turn]}])
    assert cleaned(rows) == []
    calm = from_exchanges([{"split": "train", "turns": [{**turn, "agent": "Well done, Paul. Who knows?"}]}])
    assert cleaned(calm)[0].examples[0].text == "Well done. Who knows?"


def test_later_turns_are_found_by_what_came_before() -> None:
    turns = [
        {"user": "Hi.", "emotion": "neutral", "delivery": "warm", "agent": "Which colour?"},
        {"user": "Blue.", "emotion": "neutral", "delivery": "warm", "agent": "Blue it is."},
    ]
    rows: list[Row] = from_exchanges([{"split": "train", "turns": turns}])
    assert [row.keys[0] for row in rows] == ["hi", "which colour blue"]
    assert [row.kind for row in rows] == [banks.ALONE, banks.FOLLOWING]
