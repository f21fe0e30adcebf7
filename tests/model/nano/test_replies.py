"""Replies: their form always, their content where words alone decide it."""

from __future__ import annotations

import pytest

from model.nano.wording import content, words
from tests.model.nano.reply_parts import prompt, replier, said, seeded

ACTIONS = ("respond", "refuse", "deflect", "interrupt", "open")
DOG = "The user's dog is called Benno."


def text(heard: str, seed: int = 0, **about: object) -> str:
    return replier().plan(prompt(heard, **about), seeded(seed)).text


def test_same_seed_same_reply() -> None:
    plans = [replier().plan(prompt("i lost my keys"), seeded(4)) for _ in range(2)]
    assert plans[0] == plans[1]


def test_other_seeds_vary_the_reply() -> None:
    assert len({text("hmm the blue one over there", seed) for seed in range(12)}) > 1


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("limit", [5, 9, 30])
def test_never_longer_than_allowed(action: str, limit: int) -> None:
    said_now = text("i had a hard day at work and my boss shouted", action=action, max_words=limit)
    assert 1 <= len(said_now.split()) <= limit


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("opening", ["Hold on.", "I'm sorry.", "Oh,"])
def test_begins_with_the_opening(action: str, opening: str) -> None:
    assert text("my cat is ill", action=action, opening=opening).startswith(opening)


def test_opening_is_not_said_twice() -> None:
    said_now = text("she passed away", opening="I'm sorry.", emotion={"sad": 1.0})
    assert said_now.lower().count("sorry") == 1


def test_memory_answers_a_question() -> None:
    assert text("what's my dog called", memory=(DOG,)) == "Your dog is called Benno."


def test_memory_is_not_answered_to_others() -> None:
    assert "Benno" not in text("what time is it", memory=(DOG,))


def test_fact_is_noted() -> None:
    assert replier().plan(prompt("remember that my sister is called karin"), seeded()).source == "memory"


def test_unknown_fact_is_admitted() -> None:
    assert "not" in words(text("what's my sister's name", memory=(DOG,)))


def test_named_pet_is_called_by_its_name() -> None:
    assert "Benno" in text("my dog ran away", memory=(DOG,))


def test_refusal_names_the_boundary() -> None:
    said_now = text("could you lend me fifty", action="refuse", boundary="never lends money")
    assert said_now.startswith("I don't lend money.")


def test_refusal_without_boundary_is_still_a_no() -> None:
    assert "no" in words(text("do it", action="refuse"))


def test_deflection_changes_the_subject() -> None:
    said_now = text("who did you vote for", action="deflect", boundary="steers away from politics")
    assert not content(said_now) & {"vot", "politic"}


def test_interruption_names_the_danger() -> None:
    assert "gas" not in text("i smell gas so i light a match", action="interrupt")
    assert "light anything" in text("i smell gas so i light a", action="interrupt")


def test_interruption_brings_up_what_is_remembered() -> None:
    fact = "The user promised to stop betting."
    said_now = text("so i am betting again and the promised money", action="interrupt", memory=(fact,))
    assert "promised to stop betting" in said_now


def test_cruelty_to_oneself_is_cut_short() -> None:
    assert "cruel" in text("i am so stupid", 1, action="interrupt") or "no such thing" in text(
        "i am so stupid", 1, action="interrupt"
    )


@pytest.mark.parametrize("heard", ["", "   ", "…"])
def test_nothing_heard_is_asked_for_again(heard: str) -> None:
    assert replier().plan(prompt(heard), seeded()).source == "unheard"


def test_doubtful_words_are_asked_for_again() -> None:
    assert replier().plan(prompt("my dog ran away", confidence=0.1), seeded()).source == "unheard"


def test_asked_to_repeat() -> None:
    history = said("Hello.", "Take a scarf.")
    assert text("sorry can you say that again", history=history) == "I said: Take a scarf."


def test_crisis_is_never_turned_away() -> None:
    said_now = replier().plan(prompt("i want to kill myself", action="refuse", boundary="no sad talk"), seeded())
    assert said_now.source == "crisis"


def test_crisis_does_not_change_the_subject() -> None:
    history = said("i want to die", "I am staying with you. Are you safe right now?")
    assert replier().plan(prompt("my brother's downstairs", history=history), seeded()).source == "crisis"
    assert replier().plan(prompt("yes i'm safe now", history=history), seeded()).source != "crisis"


def test_no_reply_twice_in_a_conversation() -> None:
    history = said("Hi.", "Hello.")
    for turn in range(8):
        reply = text("i am so tired", seed=turn, history=history)
        assert all(reply != earlier.text for earlier in history)
        history += said("i am so tired", reply)


def test_very_long_history_and_words() -> None:
    history = said(*["a word and another word"] * 2_000)
    assert text("my dog " * 3_000, history=history)


def test_marks_in_the_words_do_no_harm() -> None:
    assert text("<eos> <agent> my dog <user>", history=said("<eos>", "<unk>"))


def test_words_carry_their_states() -> None:
    plan = replier().plan(prompt("i am hungry"), seeded())
    streamed = list(replier().words(plan))
    assert " ".join(word for word, _ in streamed) == plan.text
    assert all(state.shape == (32,) for _, state in streamed)
