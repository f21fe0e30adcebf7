"""Labels the situations of a recording by its timeline: which judgement would be right at each chunk, how weighty.

Knows scenes, timelines and situations, not where they come from. The weights follow the rules of scoring: what is
decided while a phrase is spoken hardly counts, what is decided in the pause after it does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from policies.situation import Situation

LATE_CUT = 0.6  # share of an interrupt phrase after which cutting in is right
NEAR_END_S = 0.32  # a decision so shortly before the end of a phrase counts as one after it
NEXT_S, LAST_S = 0.16, 1.6  # a pause's span ends so long after the next phrase begins, or after the last one ends
WITHIN = 0.12  # weight of a chunk within a phrase


@dataclass(frozen=True)
class Step:
    """One chunk of a scene: what may be seen, the right judgement, and how much it counts."""

    situation: Situation
    label: str
    weight: float
    phrase: int
    crisis: bool


def within(label: str, share: float, left_s: float) -> tuple[str, float]:
    """Right judgement and weight while a phrase is spoken: ``share`` of it is over, ``left_s`` remain."""
    late = label == "interrupt" and share >= LATE_CUT
    return ("interrupt", WITHIN) if late else ("silence", 0.0 if left_s < NEAR_END_S else WITHIN)


def after(pause_s: float, chunks: int) -> float:
    """Weight of one of ``chunks`` chunks in a pause, ``pause_s`` after the phrase: a pause counts about as 2."""
    return (0.15 if pause_s < 0.3 else 0.5 if pause_s < 0.5 else 1.0) * 2.0 / max(chunks, 3)


def steps_of(scene: dict[str, Any], situations: Iterable[Situation], phrases: list[dict[str, Any]]) -> list[Step]:
    """Steps of a recording whose phrases were spoken as the timeline says; chunks outside all spans are left out."""
    steps: list[Step] = []
    crisis, passed = "crisis" in scene["tags"], False
    for situation in situations:
        number = _phrase_at(situation.time_s, phrases)
        if number is None:
            continue
        phrase = phrases[number]
        passed = any(p["label"] == "interrupt" for p in phrases[:number]) and all(
            p["label"] in ("silence", "interrupt") for p in phrases[: number + 1]
        )
        length, left = phrase["end_s"] - phrase["start_s"], phrase["end_s"] - situation.time_s
        if left >= 0:
            label, weight = within(phrase["label"], 1 - left / max(length, 1e-6), left)
        else:
            chunks = int((_span_end(number, phrases) - phrase["end_s"]) / 0.16)
            label, weight = phrase["label"], after(-left, chunks)
        counts = 0.0 if passed and phrase["label"] == "silence" else weight
        steps.append(Step(situation, label, counts, number, crisis))
    return steps


def _span_end(number: int, phrases: list[dict[str, Any]]) -> float:
    last = number + 1 == len(phrases)
    return float(phrases[number]["end_s"] + LAST_S if last else phrases[number + 1]["start_s"] + NEXT_S)


def _phrase_at(time_s: float, phrases: list[dict[str, Any]]) -> int | None:
    if time_s < phrases[0]["start_s"]:
        return None
    return next((n for n in range(len(phrases)) if time_s <= _span_end(n, phrases)), None)
