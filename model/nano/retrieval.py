"""Finds the examples that fit what was heard, and how it was said.

Knows the bank and how to weigh closeness, emotion and words that only fit their own occasion; it changes no text.
The weights were set by reading replies to unseen turns (see docs/replies.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.interface import EMOTIONS
from model.nano.bank import Bank, Example, Floats
from model.nano.wording import content

GROUPS = 40  # looked at more closely
FEELING = 0.22  # weight of the emotion's probability
BOUND = 0.05  # taken off for each word of the answer that was not heard
MOST_BOUND = 5
SOURCE = {"general": 0.12, "exchange": 0.0, "scene": -0.08}


@dataclass(frozen=True)
class Found:
    """An example and why it was found."""

    example: Example
    closeness: float  # cosine of its key and what was heard
    score: float


def blend(voice: dict[str, float] | None, words: dict[str, float]) -> dict[str, float]:
    """Emotion of voice and words together; words count half where the voice is known."""
    share = 0.5 if voice else 1.0
    mixed = {e: max((voice or {}).get(e, 1.0), 1e-3) * max(words[e], 1e-3) ** share for e in EMOTIONS}
    total = sum(mixed.values())
    return {emotion: value / total for emotion, value in mixed.items()}


def retrieve(
    bank: Bank,
    heard: str,
    alone: Floats,
    following: Floats | None,
    feelings: dict[str, float],
    action: str = "respond",
    count: int = 8,
) -> list[Found]:
    """The ``count`` best examples for the action, best first.

    ``alone`` [384] embeds what was heard, ``following`` [384] the agent's turn before together with it (None at the
    start of a conversation); ``feelings`` is the emotion posterior.
    """
    closeness = bank.closeness(alone, following)
    order = np.argsort(-closeness)[: GROUPS * (1 if action == "respond" else 8)]
    rows = [(i, float(closeness[g])) for g in order for i in range(*bank.groups[g].examples)]
    rows = [(i, near) for i, near in rows if bank.examples[i].action == action]
    if not rows:
        return []
    said = content(heard)
    found = [
        Found(bank.examples[i], near, near + _worth(bank.examples[i], said, feelings)) for i, near in rows
    ]
    return sorted(found, key=lambda item: -item.score)[:count]


def _worth(example: Example, said: set[str], feelings: dict[str, float]) -> float:
    feeling = feelings[example.emotion]
    if example.emotion == "neutral" and example.source == "general":
        feeling = max(feeling, 0.3)
    unheard = min(sum(word not in said for word in example.bound), MOST_BOUND)
    return FEELING * feeling - BOUND * unheard + SOURCE[example.source]
