"""The query that is put to the store."""

from __future__ import annotations

from dataclasses import dataclass

from memory.recall import query, recall
from memory.store import MemoryStore
from tests.memory.test_store import words


@dataclass
class Turn:
    who: str
    text: str


def test_words_that_stand_alone_are_the_query():
    assert query("which medicine did the doctor forbid me", [Turn("agent", "Hello.")]) == (
        "which medicine did the doctor forbid me"
    )


def test_words_that_lean_take_the_turn_before_along():
    assert query("and when is it", [Turn("user", "the concert"), Turn("agent", "The concert in Cork?")]) == (
        "The concert in Cork? and when is it"
    )


def test_nothing_heard_asks_nothing(tmp_path):
    with MemoryStore(tmp_path, words) as store:
        assert recall(store, "ann", "  ", [Turn("agent", "dog")]) == []


def test_what_was_told_in_one_session_is_recalled_in_the_next(tmp_path):
    with MemoryStore(tmp_path, words) as store:
        store.remember("ann", ["The user's dog is called Benno.", "The user lives in Cork."], session="one")
    with MemoryStore(tmp_path, words) as store:
        assert recall(store, "ann", "what is my dog called", [], k=1) == ["The user's dog is called Benno."]
        store.forget("ann", matching="Benno")
        assert "The user's dog is called Benno." not in recall(store, "ann", "what is my dog called", [])
