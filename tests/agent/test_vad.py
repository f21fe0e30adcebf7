"""The network, and the rule that makes onsets and ends of its probabilities."""

import sys

import numpy as np

from agent.vad import WINDOW, Activity, SileroVad


def test_the_network_runs_by_stream_without_torch_being_asked_for():
    vad, rng = SileroVad(), np.random.default_rng(0)
    one, other = vad.open(), vad.open()
    chunks = [rng.normal(0, 0.05, 2560).astype(np.float32) for _ in range(4)]
    alone = [one.probabilities(c) for c in chunks]
    again = []
    for c in chunks:
        again.append(other.probabilities(c))
        vad.open().probabilities(c)
    assert alone == again
    assert all(len(p) == 5 and max(p) < 0.5 for p in alone)
    assert "silero_vad" not in sys.modules


def test_silence_is_no_speech():
    assert max(SileroVad().open().probabilities(np.zeros(2560, np.float32))) < 0.3


def test_speech_begins_with_its_first_window():
    activity = Activity()
    activity.feed((0.1, 0.1, 0.1, 0.6, 0.1))
    assert not activity.speaking
    activity.feed((0.1, 0.9, 0.9, 0.9, 0.9))
    assert (activity.speaking, activity.began, activity.ended) == (True, 6 * WINDOW, 10 * WINDOW)


def test_a_dip_is_no_end():
    activity = Activity()
    activity.feed((0.9, 0.9, 0.4, 0.2, 0.2))
    activity.feed((0.1, 0.1, 0.9, 0.9, 0.9))
    assert (activity.speaking, activity.began) == (True, 0)


def test_the_end_is_where_speech_was_last_heard():
    activity = Activity()
    activity.feed((0.9, 0.9, 0.9, 0.1, 0.1))
    activity.feed((0.1,) * 5)
    assert (activity.speaking, activity.ended) == (False, 3 * WINDOW)
