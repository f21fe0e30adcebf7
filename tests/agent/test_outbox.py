"""What waits for a slow client is bounded; what comes from a fast one is slowed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.outbox import InputPace, Outbox


def drained(box: Outbox) -> list[str]:
    texts = []
    while (text := box.take()) is not None:
        texts.append(text)
    return texts


def test_frames_leave_in_the_order_they_came() -> None:
    box = Outbox()
    for text in ("a", "b", "c"):
        assert box.put(text)
    assert drained(box) == ["a", "b", "c"]
    assert box.size == len(box) == 0


def test_judgements_are_dropped_before_audio_is_refused() -> None:
    box = Outbox(limit=10)
    assert box.put("judge", droppable=True)
    assert box.put("audio")
    assert box.put("more!")
    assert box.dropped == 1
    assert drained(box) == ["audio", "more!"]


def test_a_judgement_that_does_not_fit_is_dropped_itself() -> None:
    box = Outbox(limit=4)
    box.put("full")
    assert box.put("judge", droppable=True)
    assert (drained(box), box.dropped) == (["full"], 1)


def test_too_much_audio_overflows() -> None:
    box = Outbox(limit=4)
    assert box.put("full")
    assert not box.put("x")


@given(st.lists(st.tuples(st.text(max_size=9), st.booleans(), st.booleans()), max_size=60))
def test_the_size_is_what_waits_and_never_above_the_limit(steps: list[tuple[str, bool, bool]]) -> None:
    box = Outbox(limit=20)
    for text, droppable, take in steps:
        box.put(text, droppable)
        assert box.size <= 20
        if take:
            box.take()
    size = box.size
    assert size == sum(map(len, drained(box)))


def test_real_time_and_bursts_are_never_slowed() -> None:
    pace = InputPace()
    assert pace.take(30.0, now=100.0) == 0
    assert all(pace.take(1.0, now=100.0 + second) == 0 for second in range(1, 3_600))


def test_who_sends_too_fast_for_long_is_read_at_twice_real_time() -> None:
    pace, now, audio = InputPace(), 0.0, 0.0
    while audio < 300.0:
        now += pace.take(0.5, now)
        audio += 0.5
    assert abs(now - (300.0 - 30.0) / 2) < 1.0
