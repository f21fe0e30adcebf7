import pytest

from policies import persona, strategies
from policies.situation import Decision
from tests.policies.situations import situation

MAREN = persona.load("maren")


def decision(action):
    return Decision(chunk=1, action=action, move="take_floor", reasons=("because",), flip="Otherwise.")


def emotion(name, p=0.8):
    rest = (1 - p) / 5
    return {e: p if e == name else rest for e in ("neutral", "happy", "sad", "angry", "afraid", "surprised")}


def test_a_refusal_names_the_boundary_that_was_touched():
    prompt = strategies.plan(decision("refuse"), situation("lend me some money", 0.6, MAREN), 1)
    assert prompt.boundary == "never lends money"
    assert "never lends money" in prompt.instruction
    assert prompt.delivery == "firm"
    assert prompt.opening.startswith("No")


def test_similarity_finds_a_boundary_by_meaning():
    by_meaning = strategies.plan(
        decision("deflect"), situation("are you married", 0.6, MAREN), 1, lambda _, found: [0, 0, 0, 1][: len(found)]
    )
    assert by_meaning.boundary == "steers away from talk about her own private life"


@pytest.mark.parametrize(("felt", "delivery"), [("sad", "gentle"), ("happy", "cheerful"), ("angry", "calm")])
def test_delivery_follows_the_users_emotion(felt, delivery):
    heard = situation("it is what it is", 0.6, emotion=emotion(felt))
    assert strategies.plan(decision("respond"), heard, 1).delivery == delivery


def test_an_unsure_emotion_changes_nothing():
    heard = situation("it is what it is", 0.6, emotion=emotion("sad", 0.4))
    assert strategies.plan(decision("respond"), heard, 1).delivery == "warm"


def test_seeds_vary_the_opening_and_repeat_it():
    heard = situation("lend me some money", 0.6, MAREN)
    openings = [strategies.plan(decision("interrupt"), heard, seed).opening for seed in range(20)]
    assert len(set(openings)) > 1
    assert openings == [strategies.plan(decision("interrupt"), heard, seed).opening for seed in range(20)]


def test_a_crisis_is_met_with_concern():
    prompt = strategies.plan(decision("respond"), situation("i want to die", 0.6, MAREN), 1)
    assert (prompt.delivery, prompt.boundary) == ("concerned", "")
    assert "safety" in prompt.instruction


def test_silence_is_not_voiced():
    with pytest.raises(ValueError, match="not voiced"):
        strategies.plan(decision("silence"), situation("hello"), 1)


def test_a_greeting_begins_with_the_personas_words():
    prompt = strategies.greet(situation("", persona=persona.load("sol")))
    assert (prompt.action, prompt.opening) == ("open", persona.load("sol").greeting)
