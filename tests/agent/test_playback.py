"""Pacing, cut and heard text, without a clock."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.playback import DUCK, BadPieceError, Frame, Playback
from model.interface import Piece

RATE = 16_000


def piece(offset: int, samples: int, text: str = "", ends: tuple[int, ...] = ()) -> Piece:
    pcm = np.arange(offset, offset + samples, dtype=np.float32) + 1
    return Piece(text=text, word_ends=ends, units=(), pcm=pcm, emotion="calm", offset=offset)


def drained(playback: Playback, now: float) -> list[Frame]:
    frames = []
    while (frame := playback.release(now)) is not None:
        frames.append(frame)
    return frames


def three_words() -> Playback:
    playback = Playback(RATE)
    playback.push(piece(0, 8000, "One, two", (3000, 8000)))
    playback.push(piece(8000, 8000, "three.", (15000,)))
    playback.finish()
    return playback


def test_only_the_lead_leaves_at_once():
    frames = drained(three_words(), 0.0)
    assert sum(len(f.pcm) for f in frames) == 0.4 * RATE
    assert max(len(f.pcm) for f in frames) <= 0.08 * RATE


def test_words_leave_with_the_samples_they_end_in():
    frames = drained(three_words(), 0.0)
    assert [f.text for f in frames if f.text] == ["One,"]
    assert next(f.offset for f in frames if f.text) <= 3000


def test_a_starved_client_starts_again_where_it_stopped():
    playback = Playback(RATE)
    playback.push(piece(0, 1600))
    drained(playback, 0.0)
    assert playback.played(5.0) == 1600
    playback.push(piece(1600, 1600))
    drained(playback, 5.0)
    assert playback.played(5.05) == 1600 + 800


def test_heard_ends_at_the_last_whole_word():
    playback = three_words()
    drained(playback, 0.0)
    assert playback.cut(0.3) == 4800
    assert playback.heard(9.0) == "One,"
    assert playback.release(9.0) is None


def test_cutting_twice_is_cutting_once():
    playback = three_words()
    drained(playback, 0.0)
    assert playback.cut(0.2) == playback.cut(0.4) == 3200


def test_nothing_is_taken_after_a_cut():
    playback = Playback(RATE)
    playback.cut(0.0)
    playback.push(piece(0, 1600, "late", (1600,)))
    assert playback.made == 0
    assert playback.text == ""


def test_an_acknowledgement_overrules_the_guess():
    playback = three_words()
    drained(playback, 0.0)
    playback.acknowledge(1600, 0.4)
    assert playback.played(0.4) == 1600
    assert playback.played(0.5) == 3200


def test_the_client_cannot_have_played_what_was_not_sent():
    playback = three_words()
    drained(playback, 0.0)
    playback.acknowledge(99_999, 0.1)
    assert playback.played(0.1) == 6400


def test_a_late_acknowledgement_corrects_a_cut():
    playback = three_words()
    drained(playback, 0.0)
    playback.cut(0.1)
    playback.acknowledge(3200, 0.6)
    assert (playback.played(9.0), playback.heard(9.0)) == (3200, "One,")
    playback.acknowledge(-5, 0.7)
    assert playback.heard(9.0) == ""


def test_ducking_is_smooth_and_comes_back():
    playback = Playback(RATE)
    playback.push(Piece(text="", word_ends=(), units=(), pcm=np.ones(16000, np.float32), emotion="calm", offset=0))
    loud = playback.release(0.0)
    playback.duck(True)
    quiet = playback.release(0.0)
    playback.duck(False)
    again = playback.release(0.0)
    assert loud is not None
    assert quiet is not None
    assert again is not None
    line = np.concatenate([loud.pcm, quiet.pcm, again.pcm])
    assert np.abs(np.diff(line)).max() <= 1.01 * (1 - DUCK) / 320
    assert quiet.pcm[-1] == pytest.approx(DUCK)
    assert again.pcm[-1] == 1.0


def test_played_out():
    playback = three_words()
    for tick in range(200):
        drained(playback, tick / 100)
    assert playback.sent == 16_000
    assert not playback.is_played_out(0.99)
    assert playback.is_played_out(1.0)
    assert playback.heard(1.0) == playback.text == "One, two three."


@pytest.mark.parametrize(
    "bad",
    [
        piece(1, 10),
        piece(0, 10, "two words", (5,)),
        Piece(text="", word_ends=(), units=(), pcm=np.array([np.nan], np.float32), emotion="calm", offset=0),
        Piece(text="", word_ends=(), units=(), pcm=np.zeros((2, 2), np.float32), emotion="calm", offset=0),
    ],
)
def test_a_piece_that_breaks_the_contract_is_refused(bad: Piece):
    with pytest.raises(BadPieceError) as caught:
        Playback(RATE).push(bad)
    assert caught.value.wrong
    assert caught.value.mend


SIZES = st.lists(st.integers(0, 5000), min_size=1, max_size=6)
TIMES = st.lists(st.floats(0, 0.3), min_size=1, max_size=30)


@settings(max_examples=200, deadline=None)
@given(SIZES, TIMES, st.integers(0, 30))
def test_whatever_the_timing_the_samples_leave_whole_and_in_order(sizes: list[int], gaps: list[float], cut_at: int):
    playback, now, made, sent = Playback(RATE), 0.0, 0, list[Frame]()
    for tick, gap in enumerate(gaps):
        now += gap
        if sizes:
            size = sizes.pop()
            playback.push(piece(made, size, "word", (made + size,)))
            made += size
        sent += drained(playback, now)
        assert playback.sent / RATE <= now + playback.lead_s + 1e-6
        if tick == cut_at:
            break
    line = np.concatenate([f.pcm for f in sent]) if sent else np.zeros(0)
    assert np.array_equal(line, np.arange(1, len(line) + 1))
    played = playback.cut(now)
    assert 0 <= played <= len(line)
    assert playback.heard(now).split() == ["word"] * sum(w.end <= played for w in playback.words)
    assert drained(playback, now + 100) == []
