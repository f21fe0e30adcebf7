from policies.judge.labels import after, steps_of, within
from tests.policies.situations import situation

PHRASES = [
    {"start_s": 0.4, "end_s": 2.0, "label": "interrupt"},
    {"start_s": 3.0, "end_s": 4.0, "label": "silence"},
    {"start_s": 5.0, "end_s": 6.0, "label": "respond"},
]


def steps():
    heard = [situation("some words", time_s=0.16 * n) for n in range(60)]
    return steps_of({"tags": []}, heard, PHRASES)


def labels(start, end):
    return {(s.label, s.weight > 0) for s in steps() if start < s.situation.time_s <= end}


def test_cutting_in_is_right_late_in_an_interrupt_phrase():
    assert labels(0.4, 1.3) == {("silence", True)}
    assert labels(1.4, 2.9) == {("interrupt", True)}


def test_silence_after_an_interrupt_does_not_count():
    assert labels(4.0, 5.1) == {("silence", False)}


def test_the_last_pause_carries_its_label_and_ends():
    assert labels(6.0, 7.6) == {("respond", True)}
    assert max(s.situation.time_s for s in steps()) <= 7.6


def test_short_pauses_weigh_little():
    assert after(0.16, 10) < after(0.4, 10) < after(0.8, 10)


def test_the_very_end_of_a_phrase_does_not_count():
    assert within("respond", 0.9, 0.2) == ("silence", 0.0)
