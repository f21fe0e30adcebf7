"""The shipped bank, vocabulary and LLM together, with real sentence embeddings."""

from __future__ import annotations

import pytest

from model.nano.replies import Replier
from tests.model.nano.reply_parts import prompt, seeded

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shipped() -> Replier:
    return Replier.load()


@pytest.mark.parametrize(
    ("heard", "emotion", "part"),
    [
        ("i had soup for lunch", "neutral", "?"),
        ("my dog ran away", "sad", "?"),
        ("turn on the lights in the kitchen", "neutral", "cannot"),
        ("will it rain tomorrow", "neutral", "forecast"),
        ("good night", "neutral", "."),
    ],
)
def test_everyday_words_get_a_fitting_reply(shipped: Replier, heard: str, emotion: str, part: str) -> None:
    plan = shipped.plan(prompt(heard, emotion={emotion: 1.0}), seeded())
    assert plan.source in {"general", "exchange"}
    assert part in plan.text


def test_each_word_has_its_state(shipped: Replier) -> None:
    plan = shipped.plan(prompt("i passed my exam", emotion={"happy": 1.0}), seeded())
    states = [state for _, state in shipped.words(plan)]
    assert len(states) == len(plan.text.split())
    assert all(state.shape == (256,) and bool(state.isfinite().all()) for state in states)
