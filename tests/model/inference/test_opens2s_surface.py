"""The large model behind the tasks, with tiny random weights."""

import json

import numpy as np
import pytest

from model.inference.opens2s import slot
from model.inference.surfaces import load
from model.inference.tasks import LABELS, TASKS, UNKNOWN, Request, TaskError
from model.interface import PoiseError
from model.opens2s import tiny


@pytest.fixture(scope="module")
def surface(tmp_path_factory):
    folder = tiny.write(tmp_path_factory.mktemp("tiny"), seed=1)
    for limits, most in ((folder / "generation_config.json", 24), (folder / "tts" / "generation_config.json", 30)):
        limits.write_text(json.dumps(json.loads(limits.read_text()) | {"max_new_tokens": most}))
    built = load("opens2s", lambda samples: [], model=str(folder), device="cpu")
    yield built
    built.close()


def sound(seconds=1.0):
    return (0.1 * np.random.default_rng(0).standard_normal(int(16_000 * seconds))).astype(np.float32)


def test_every_task_is_answered_in_order(surface):
    order = ["chat", *reversed(TASKS[:5]), "speak", "text-chat"]
    answers = surface.do(order, Request(samples=sound(), text="A long day."))
    assert [answer.task for answer in answers] == order
    found = {answer.task: answer for answer in answers}
    for task, names in LABELS.items():
        assert set(found[task].probabilities) == {*names, UNKNOWN}
        assert sum(found[task].probabilities.values()) == pytest.approx(1.0, abs=1e-3)
        assert found[task].text in (*names, UNKNOWN)
    assert 0 <= found["transcribe"].confidence <= 1
    for task in ("chat", "speak"):
        assert len(found[task].pcm) > 0
        assert np.isfinite(found[task].pcm).all()


def test_random_weights_know_nothing_of_the_speaker(surface):
    (answer,) = surface.do(["gender"], Request(samples=sound()))
    assert answer.text == UNKNOWN


def test_what_is_spoken_is_the_text_and_no_more(surface):
    (answer,) = surface.do(["speak"], Request(text="It is a long day."))
    assert answer.text == "It is a long day."


def test_the_same_request_gets_the_same_answer(surface):
    request = Request(samples=sound(), text="hello", seed=5)
    first, second = (surface.do(["transcribe", "text-chat", "chat"], request) for _ in range(2))
    assert [answer.text for answer in first] == [answer.text for answer in second]


def test_too_little_sound_is_unknown(surface):
    words, emotion = surface.do(["transcribe", "emotion"], Request(samples=sound(0.005)))
    assert (words.text, emotion.text) == ("", UNKNOWN)


def test_a_text_too_long_to_speak_is_refused_and_the_next_is_spoken(surface):
    with pytest.raises(TaskError, match="at once"):
        surface.do(["speak"], Request(text="long " * 200))
    assert surface.do(["speak"], Request(text="short"))[0].text == "short"


def test_sessions_are_given_back(surface):
    for _ in range(4):
        with pytest.raises(PoiseError):
            surface.do(["text-chat"], Request(text="word " * 5_000))
    assert surface.do(["emotion"], Request(samples=sound()))[0].probabilities


def test_labels_begin_with_the_blank_after_the_question():
    asked = slot(lambda text: list(text.encode()), "age")
    assert bytes(asked.answers[0]) == b" child"
    assert not bytes(asked.question).endswith(b" ")


def test_without_a_checkpoint_it_says_what_to_give():
    with pytest.raises(PoiseError, match="--model"):
        load("opens2s", lambda samples: [])
