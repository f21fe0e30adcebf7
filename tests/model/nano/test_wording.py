"""Sentence surgery: persons, boundaries, names and length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.nano import remembered, wording


@pytest.mark.parametrize(
    ("boundary", "said"),
    [
        ("never lends money", "I don't lend money"),
        ("no gossip about clients", "No gossip about clients, not from me"),
        ("steers away from her late husband", "I steer away from my late husband"),
        ("gives no stock tips", "I don't give any stock tips"),
        ("will not help to hide debts", "I will not help to hide debts"),
        ("does not talk about his marriage", "I don't talk about my marriage"),
        ("never passes on what members told her", "I don't pass on what members told me"),
        ("buys and signs nothing without the family", "I buy and sign nothing without the family"),
    ],
)
def test_boundary_in_the_first_person(boundary: str, said: str) -> None:
    assert wording.to_first_person(boundary) == said


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        ("The user's dog is called Benno.", "Your dog is called Benno."),
        ("The user likes tea.", "You like tea."),
        ("The user has an exam on Friday.", "You have an exam on Friday."),
        ("The user is allergic to nuts.", "You are allergic to nuts."),
        ("The user promised to stop betting.", "You promised to stop betting."),
    ],
)
def test_fact_in_the_second_person(fact: str, said: str) -> None:
    assert wording.to_second_person(fact) == said


def test_vocatives_are_dropped() -> None:
    text = "Hold on, Paul. Paul, sit down. Ring her, Paul, and wait."
    assert wording.drop_vocatives(text, {"Paul"}) == "Hold on. Sit down. Ring her, and wait."


@given(st.text(max_size=200), st.integers(1, 12))
def test_trim_keeps_the_limit(text: str, limit: int) -> None:
    assert len(wording.trim(text, limit).split()) <= limit


def test_trim_keeps_whole_sentences() -> None:
    assert wording.trim("One two. Three four five.", 4) == "One two."


@pytest.mark.parametrize("heard", ["what should i call my dog", "how do i wash my dog", "what a day", "my dog is old"])
def test_not_every_question_is_about_memory(heard: str) -> None:
    assert not remembered.answer(heard, ("The user likes tea.",)) or not remembered.asks_memory(heard)


def test_loops_are_noticed() -> None:
    assert wording.loops("go on and on and on and on")
    assert not wording.loops("Take your time. I am here.")
