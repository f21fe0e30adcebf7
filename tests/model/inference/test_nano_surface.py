"""Nano behind the tasks, with the shipped weights and the recordings that come with the tests."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from model.inference.nano import padded
from model.inference.surfaces import load
from model.inference.tasks import EMOTIONS, EVENTS, UNKNOWN, Request, TaskError
from model.interface import CHUNK_SAMPLES, DELIVERIES, PoiseError

RECORDING = Path(__file__).resolve().parents[2] / "recordings" / "long_day.flac"


def loudness(samples):
    return [float(np.abs(part).max() > 0.02) for part in samples.reshape(-1, CHUNK_SAMPLES)]


@pytest.fixture(scope="module")
def surface():
    return load("nano", loudness)


@pytest.fixture(scope="module")
def recording():
    return sf.read(RECORDING, dtype="float32")[0]


def test_all_that_can_be_asked_of_a_recording(surface, recording):
    tasks = ["emotion", "transcribe", "event", "age", "gender"]
    answers = surface.do(tasks, Request(samples=recording))
    assert [answer.task for answer in answers] == tasks
    emotion, words, event, age, gender = answers
    assert words.text
    assert 0 < words.confidence <= 1
    assert set(emotion.probabilities) == {*EMOTIONS, UNKNOWN}
    assert set(event.probabilities) == {*EVENTS, UNKNOWN}
    for answer in (emotion, event):
        assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-2)
    assert (age.text, gender.text) == (UNKNOWN, UNKNOWN)


def test_the_transcript_is_that_of_a_session(surface, recording):
    from model.interface import Chunk

    listener = surface._model.open(0)
    for index, pcm in enumerate(padded(recording).reshape(-1, CHUNK_SAMPLES)):
        percept = listener.hear(Chunk(index=index, pcm=pcm, speech=1.0))
    (words,) = surface.do(["transcribe"], Request(samples=recording))
    assert words.text == percept.transcript


def test_no_speech_has_no_emotion(surface):
    emotion, words = surface.do(["emotion", "transcribe"], Request(samples=np.zeros(8_000, np.float32)))
    assert (emotion.text, emotion.probabilities) == (UNKNOWN, {UNKNOWN: 1.0})
    assert words.text == ""


def test_a_spoken_turn_gets_a_spoken_reply(surface, recording):
    words, reply = surface.do(["transcribe", "chat"], Request(samples=recording, seed=3))
    assert words.text
    assert reply.text.endswith((".", "?", "!"))
    assert reply.delivery in DELIVERIES
    assert len(reply.pcm) > reply.rate // 2
    again = surface.do(["chat"], Request(samples=recording, seed=3))[0]
    assert again.text == reply.text


def test_text_is_answered_and_spoken(surface):
    chat, speech = surface.do(["text-chat", "speak"], Request(text="I lost my keys.", delivery="calm"))
    assert chat.pcm is None
    assert chat.text
    assert (speech.text, speech.delivery) == ("I lost my keys.", "calm")
    assert 0.01 < np.abs(speech.pcm).max() <= 1


def test_what_is_missing_is_said(surface, recording):
    with pytest.raises(TaskError, match="needs text"):
        surface.do(["transcribe", "speak"], Request(samples=recording))
    with pytest.raises(PoiseError, match="'cascade'"):
        load("cascade", loudness)
