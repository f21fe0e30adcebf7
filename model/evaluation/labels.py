"""Labels that were given against labels that are true: accuracies, confusion, and what was not answered.

Knows how corpora name emotions, ages, genders and events, and their names here. A truth that has no name here
("disgust") is counted apart, as is an answer ``unknown``: neither is right or wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from model.inference.tasks import LABELS, UNKNOWN

FIVE = ("neutral", "happy", "sad", "angry", "afraid")  # emotions but surprise, the rarest
CHILD_BELOW, OLD_FROM = 14, 60  # years
_SAME = {
    "emotion": {"calm": "neutral", "fearful": "afraid", "fear": "afraid", "surprise": "surprised", "anger": "angry"},
    "gender": {"m": "male", "f": "female"},
    "event": {"laughing": "laugh", "laughter": "laugh", "coughing": "cough", "crying": "cry", "crying baby": "cry"},
}
_DECADES = {
    "teens": "adult", "twenties": "adult", "thirties": "adult", "fourties": "adult", "forties": "adult",
    "fifties": "adult", "sixties": "old", "seventies": "old", "eighties": "old", "nineties": "old",
}  # fmt: skip


def named(task: str, value: object) -> str | None:
    """A corpus' label (age: years or a decade) by its name here; None where it has none."""
    text = str(value).strip().lower()
    if task == "age":
        if not text.isdigit():
            return text if text in LABELS["age"] else _DECADES.get(text)
        return "child" if int(text) < CHILD_BELOW else "old" if int(text) >= OLD_FROM else "adult"
    found = _SAME[task].get(text, text)
    return found if found in LABELS[task] else None


@dataclass
class LabelTally:
    """Answers to one task over the clips of a set."""

    task: str
    nameless: Counter[str] = field(default_factory=Counter)  # true labels that have no name here
    confusion: dict[str, Counter[str]] = field(default_factory=dict)  # truth -> answers, ``unknown`` among them
    five: dict[str, Counter[str]] = field(default_factory=dict)  # the same where only FIVE may be told

    def add(self, truth: object, answer: str, probabilities: Mapping[str, float] | None) -> None:
        """Count one clip whose corpus says ``truth``."""
        name = named(self.task, truth)
        if name is None:
            self.nameless[str(truth)] += 1
            return
        self.confusion.setdefault(name, Counter())[answer] += 1
        if self.task == "emotion" and name in FIVE:
            told = answer
            if answer != UNKNOWN and probabilities:
                told = max(FIVE, key=lambda one: probabilities.get(one, 0.0))
            self.five.setdefault(name, Counter())[told] += 1

    def figures(self) -> dict[str, Any]:
        """Counts, accuracies over answered clips, and the confusion."""
        rows = self.confusion.values()
        count, unknown = sum(row.total() for row in rows), sum(row[UNKNOWN] for row in rows)
        found: dict[str, Any] = {
            "clips": count,
            "answered": count - unknown,
            "not_answered": unknown,
            "accuracy": accuracy(self.confusion),
            "balanced": balanced(self.confusion),
            "classes": len(self.confusion),
            "confusion": {truth: dict(row) for truth, row in sorted(self.confusion.items())},
            "nameless": dict(self.nameless),
        }
        if self.task == "emotion":
            found["balanced_five"] = balanced(self.five)
        return found


def accuracy(confusion: Mapping[str, Counter[str]]) -> float | None:
    """Share of right answers among answers; None where nothing was answered."""
    answered = sum(row.total() - row[UNKNOWN] for row in confusion.values())
    return round(sum(row[truth] for truth, row in confusion.items()) / answered, 4) if answered else None


def balanced(confusion: Mapping[str, Counter[str]]) -> float | None:
    """Mean over true classes of the share of right answers among answers; classes without an answer do not count."""
    shares = [row[truth] / n for truth, row in confusion.items() if (n := row.total() - row[UNKNOWN])]
    return round(sum(shares) / len(shares), 4) if shares else None
