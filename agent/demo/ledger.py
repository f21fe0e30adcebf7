"""Sums up the latencies of conversations: medians and 95th percentiles against the goals.

Arithmetic over wire events; it prints and measures nothing itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from agent.demo.player import Conversation

# name, goal for the median in ms (None where none is set)
ROWS: tuple[tuple[str, float | None], ...] = (
    ("judgement cost per chunk", 60.0),
    ("lateness of a judgement", None),
    ("user stop to first audio", 900.0),
    ("  of which waiting for the end of turn", None),
    ("barge-in to silence", 250.0),
)


def collect(talks: Iterable[Conversation]) -> dict[str, list[float]]:
    """All measured values in ms, by row name."""
    values: dict[str, list[float]] = {name: [] for name, _ in ROWS}
    for talk in talks:
        for event in talk.of("poise.judgement.created"):
            _chunk(event["stage_ms"], values)
        for event in talk.of("poise.turn.timed"):
            _turn(event, values)
    return values


def _chunk(spent: dict[str, float], values: dict[str, list[float]]) -> None:
    cost = sum(ms for stage, ms in spent.items() if stage not in ("late", "graph"))
    values["judgement cost per chunk"].append(cost)
    values["lateness of a judgement"].append(spent.get("late", 0.0))


def _turn(event: dict[str, Any], values: dict[str, list[float]]) -> None:
    stop, decided, first = (event.get(f"{name}_ms") for name in ("user_stopped", "decided", "first_audio"))
    # An interruption does not wait for the user to stop.
    if stop is not None and decided is not None and first is not None and decided >= stop:
        values["user stop to first audio"].append(first - stop)
        values["  of which waiting for the end of turn"].append(decided - stop)
    if event.get("barge_in_ms") is not None and event.get("silent_ms") is not None:
        values["barge-in to silence"].append(event["silent_ms"] - event["barge_in_ms"])


def table(values: dict[str, list[float]]) -> list[tuple[str, str, str, str, str]]:
    """Rows of (what, count, p50, p95, goal) as text; a dash where nothing was measured."""
    rows = []
    for name, goal in ROWS:
        found = values[name]
        p50, p95 = (f"{np.percentile(found, q):.0f} ms" if found else "–" for q in (50, 95))
        rows.append((name, str(len(found)), p50, p95, f"p50 ≤ {goal:.0f} ms" if goal else ""))
    return rows


def late_chunks(values: dict[str, list[float]], limit_ms: float = 160.0) -> int:
    """How many chunks were judged later than ``limit_ms`` after they arrived."""
    return sum(ms > limit_ms for ms in values["lateness of a judgement"])
