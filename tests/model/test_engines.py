"""One suite for every speech model: what the house relies on, whoever is behind the interface."""

import functools
import gc

import numpy as np
import pytest

from model.interface import CHUNK_SAMPLES, DELIVERIES, EMOTIONS, Chunk, PoiseError, ReplyPrompt, Said, Turn
from model.nano import engine as nano
from model.opens2s import engine as opens2s
from model.opens2s import tiny

PROMPT = ReplyPrompt(
    action="respond", instruction="Answer briefly.", opening="", delivery="warm", max_words=12, persona="maren",
    stance="You are Maren.", boundary="", heard="i had a long day", confidence=0.8, emotion=None,
    memory=("Likes tea.",), history=(),
)  # fmt: skip


@functools.cache
def nano_model():
    return nano.load()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("tiny"), seed=1)


@pytest.fixture(params=["nano", "opens2s"])
def model(request, folder):
    if request.param == "nano":
        yield nano_model()
        return
    built = opens2s.load(str(folder), device="cpu", sessions=2)
    yield built
    built.close()


def chunk(index, speaking=True):
    chance = np.random.default_rng(index)
    pcm = chance.normal(0, 0.1 if speaking else 1e-4, CHUNK_SAMPLES).astype(np.float32).clip(-1, 1)
    return Chunk(index=index, pcm=pcm, speech=0.9 if speaking else 0.01)


def taken_up(listener, chunks=6):
    percepts = [listener.hear(chunk(index)) for index in range(chunks)]
    listener.end_turn(Turn(user=Said(who="user", text=percepts[-1].transcript), agent=None))
    return percepts


def test_what_is_heard_is_a_percept_of_that_chunk(model):
    listener = model.open(1)
    for index in range(8):
        percept = listener.hear(chunk(index, speaking=2 <= index < 6))
        assert percept.chunk == index
        assert type(percept).model_validate_json(percept.model_dump_json()).chunk == index
        for field in ("emotion", "event"):
            found = getattr(percept, field)
            assert found is None or sum(found.values()) == pytest.approx(1.0, abs=1e-3)
        assert percept.emotion is None or set(percept.emotion) == set(EMOTIONS)


def test_a_reply_is_pieces_that_fit_together(model):
    listener = model.open(1)
    taken_up(listener)
    samples, last = 0, 0
    for piece in listener.reply(PROMPT):
        assert piece.offset == samples
        assert piece.pcm.dtype == np.float32
        assert piece.emotion in DELIVERIES
        assert np.isfinite(piece.pcm).all()
        assert np.abs(piece.pcm).max(initial=0) <= 1
        assert len(piece.word_ends) == len(piece.text.split())
        assert list(piece.word_ends) == sorted(piece.word_ends)
        samples += len(piece.pcm)
        assert all(last <= end <= samples for end in piece.word_ends)
        last = piece.word_ends[-1] if piece.word_ends else last
    assert samples > model.spec.output_rate // 10


def test_the_same_seed_says_the_same(model):
    def said(seed):
        listener = model.open(seed)
        taken_up(listener)
        return np.concatenate([piece.pcm for piece in listener.reply(PROMPT)])

    first = said(7)
    np.testing.assert_allclose(said(7), first, atol=1e-4)


def test_a_reply_can_be_closed_at_any_time_and_another_made(model):
    listener = model.open(1)
    taken_up(listener)
    pieces = listener.reply(PROMPT)
    next(iter(pieces))
    pieces.close()
    listener.end_turn(Turn(user=None, agent=Said(who="agent", text="That", cut=True)))
    listener.hear(chunk(50))
    assert any(len(piece.pcm) for piece in listener.reply(PROMPT))


def test_a_turn_let_go_leaves_no_trace(model):
    listener = model.open(1)
    for index in range(5):
        listener.hear(chunk(index))
    listener.end_turn(Turn(user=None, agent=None))
    percept = listener.hear(chunk(5, speaking=False))
    assert percept.transcript == ""
    assert percept.spoken_s == 0


def test_a_session_let_go_of_frees_its_place(model):
    for seed in range(6):
        taken_up(model.open(seed), chunks=2)
        gc.collect()


def test_an_opens2s_engine_without_a_checkpoint_says_what_to_give():
    with pytest.raises(PoiseError, match="--model FOLDER_OR_HUB_ID"):
        opens2s.load(None)
