import random

import numpy as np
import pytest

from model.evaluation import replies
from model.evaluation.replies import Opening, Reply
from model.training.exchanges import ExchangesError
from tests.model.inference.echo_surface import EchoSurface
from tests.model.nano.reply_parts import bag

THINGS = ("cat", "dog", "bus", "tree", "house", "river", "bird", "fox", "boat", "train", "cake", "king")
VOICES = (("sad", "calm"), ("happy", "warm"))
OPENINGS = [
    Opening(f"I saw a {thing} today.", VOICES[n % 2][0], f"A {thing} is nice.", VOICES[n % 2][1])
    for n, thing in enumerate(THINGS)
]


@pytest.mark.parametrize(
    "text",
    ["...", "Hello there", "I am <|im_end|> here.", "Well \ufffd then.", "One\ntwo\x00.", "[LAUGH] Hello.", "Hi </s>."],
)
def test_what_nobody_could_say_is_broken(text):
    assert replies.broken(text)


@pytest.mark.parametrize("text", ["Hello.", "Is it 3 < 4?", "Oh no!", "Grüß dich.", 'He said "no."'])
def test_what_can_be_said_is_not(text):
    assert not replies.broken(text)


def test_variety():
    assert replies.distinct(["a b a b"], 1) == 0.5
    assert replies.distinct(["a b a b"], 2) == pytest.approx(2 / 3, abs=1e-4)
    assert replies.distinct([""], 2) == 0


def test_fitting_replies_are_nearer_than_shuffled_ones():
    fitting = [opening.answer for opening in OPENINGS]
    heard = [opening.said for opening in OPENINGS]
    found = replies.measure(fitting, fitting, heard, bag)
    assert found["to_reference"] == 1.0
    assert found["to_reference_shuffled"] < 0.9
    assert found["to_words"] > found["to_words_shuffled"]
    same = replies.measure(["Oh. Oh oh oh."] * 12, fitting, heard, bag)
    assert same["to_reference"] == same["to_reference_shuffled"]
    assert (same["said_more_than_once"], same["loops"]) == (pytest.approx(11 / 12, abs=1e-3), 12)
    none = replies.measure([""] * 12, fitting, heard, bag)
    assert (none["empty"], none["broken"]) == (12, 0)


def test_a_delivery_is_measured_against_the_persons_and_the_usual_ones():
    said = [Reply(opening, "", "x", opening.delivery) for opening in OPENINGS]
    right = replies.delivery_match(said, OPENINGS)
    assert (right["same"], right["usual"]) == (1.0, 1.0)
    assert right["same_shuffled"] == right["usual_shuffled"] == 0.0  # moved by an odd number: always the other one
    assert replies.delivery_match([Reply(OPENINGS[0], "", "x", None)], OPENINGS) is None


def test_an_engine_is_asked_with_clean_and_with_misheard_words():
    figures, said = replies.evaluate(EchoSurface(), OPENINGS, OPENINGS, bag)
    assert said[0].heard == "i saw a cat today"
    assert said[0].text == "You said i saw a cat today."
    assert figures["replies"] == 12
    assert figures["clean"]["to_words"] > figures["misheard"]["to_reference"]


def test_mishearing_drops_and_replaces():
    words = " ".join(f"w{n}" for n in range(2_000))
    heard = replies.misheard(words, 0.3, random.Random(0), ["x"]).split()
    assert heard.count("x") / 2_000 == pytest.approx(0.18, abs=0.03)
    assert 1 - len(heard) / 2_000 == pytest.approx(0.12, abs=0.03)
    assert replies.misheard(words, 0.0, random.Random(0), ["x"]) == words


def test_openings_are_the_first_turns_of_a_split(tmp_path):
    block = "@ tags=x\nu: sad | I lost my keys.\na: gentle | Oh no.\nu: sad | Yes.\na: calm | Hm.\n\n"
    (tmp_path / "a.exchanges").write_text(36 * block)
    train, dev = replies.openings(tmp_path, "train"), replies.openings(tmp_path, "dev")
    assert len(train) + len(dev) == 36
    assert {one.delivery for one in train} == {"gentle"}
    with pytest.raises(ExchangesError, match="holds no exchanges"):
        replies.openings(tmp_path / "nowhere")
    (tmp_path / "b.exchanges").write_text("u: sad\n")
    with pytest.raises(ExchangesError, match=r"b\.exchanges:1"):
        replies.openings(tmp_path)


def test_shuffled_embeddings_are_rolled_not_reused():
    assert not np.array_equal(np.roll(np.arange(3), replies.SHIFT), np.arange(3))
