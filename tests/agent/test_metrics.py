"""Numbers of the server, as Prometheus reads them."""

from __future__ import annotations

import re

from agent import events
from agent.metrics import BUCKETS, Metrics

LINE = re.compile(r"[a-z_]+(\{[a-z]+=\"[^\"]*\"(,[a-z]+=\"[^\"]*\")*\})? -?[0-9.e+]+")


def turn(**times: float | None) -> events.TurnTimed:
    named = ("user_stopped_ms", "decided_ms", "first_audio_ms", "barge_in_ms", "silent_ms")
    return events.TurnTimed(at_ms=1, generation=1, reply="resp_1", **{name: times.get(name) for name in named})


def test_every_line_can_be_read() -> None:
    metrics = Metrics()
    metrics.count("poise_ws_frames_total", 'direction="in"')
    metrics.time("poise_chunk_seconds", 0.02, 'stage="hear"')
    metrics.see(turn(user_stopped_ms=100, decided_ms=400, first_audio_ms=700, barge_in_ms=900, silent_ms=1100))
    for line in metrics.text("1.2.3").splitlines():
        assert LINE.fullmatch(line), line


def test_a_turn_is_split_into_waiting_and_speaking() -> None:
    metrics = Metrics()
    metrics.see(turn(user_stopped_ms=100, decided_ms=400, first_audio_ms=700))
    text = metrics.text("1")
    for part, seconds in (("all", 0.6), ("wait", 0.3), ("speak", 0.3)):
        assert f'poise_first_audio_seconds_sum{{part="{part}"}} {seconds:.6f}' in text
    assert "poise_barge_in_seconds" not in text


def test_buckets_add_up() -> None:
    metrics = Metrics()
    for seconds in (0.001, BUCKETS[0], 0.3, 99.0):
        metrics.time("poise_chunk_seconds", seconds)
    text = metrics.text("1")
    assert f'poise_chunk_seconds_bucket{{le="{BUCKETS[0]}"}} 2' in text
    assert 'poise_chunk_seconds_bucket{le="+Inf"} 4' in text
    assert "poise_chunk_seconds_count 4" in text


def test_failures_and_facts_are_counted_without_their_words() -> None:
    metrics = Metrics()
    metrics.see(events.Failed(at_ms=1, generation=1, code="engine_error", message="secret"))
    metrics.see(events.MemoryWritten(at_ms=1, generation=1, texts=("secret", "secret too")))
    text = metrics.text("1")
    assert 'poise_errors_total{type="engine_error"} 1' in text
    assert 'poise_memory_facts_total{op="write"} 2' in text
    assert "secret" not in text


def test_quantiles_of_nothing_are_nothing() -> None:
    assert Metrics().quantile(0.5) == 0.0
