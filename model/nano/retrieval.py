"""Finds the examples that fit what was heard, and how it was said.

Knows the bank and how to weigh closeness, emotion and words that only fit their own occasion; it changes no text.
The weights were set by reading replies to unseen turns (see docs/replies.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.interface import EMOTIONS
from model.nano.bank import Bank, Example, Floats
from model.nano.wording import content, form

GROUPS = 40  # looked at more closely
FEELING = 0.22  # weight of the emotion's probability
BOUND = 0.05  # taken off for each word of the answer that was not heard
MOST_BOUND = 5
WORDS = 0.4  # power of the emotion that the words suggest
FLOOR = 0.05  # of its probabilities: a handful of words is weak evidence
ENDING = 0.04  # taken off where only the last words are close
OTHER_FORM = 0.08  # taken off where a statement would get the answer to a question, or the other way round
SOURCE = {"general": 0.12, "exchange": 0.0}


@dataclass(frozen=True)
class Found:
    """An example and why it was found."""

    example: Example
    closeness: float  # cosine of its key and what was heard
    score: float


@dataclass(frozen=True)
class Query:
    """What was heard, and its embeddings [384]."""

    heard: str
    whole: Floats
    tail: Floats  # of its last words
    following: Floats | None  # of the agent's turn before and the whole; None at the start of a conversation


def blend(voice: dict[str, float] | None, words: dict[str, float]) -> dict[str, float]:
    """Emotion of voice and words together; words only tip the scales where the voice leaves it open."""
    mixed = {e: max((voice or {}).get(e, 1.0), 1e-3) * (words[e] + FLOOR) ** WORDS for e in EMOTIONS}
    total = sum(mixed.values())
    return {emotion: value / total for emotion, value in mixed.items()}


def retrieve(bank: Bank, query: Query, feelings: dict[str, float], count: int = 24) -> list[Found]:
    """The ``count`` best examples, best first; ``feelings`` is the emotion posterior."""
    closeness = np.maximum(bank.closeness(query.whole, query.following), bank.closeness(query.tail, None) - ENDING)
    order = np.argsort(-closeness)[:GROUPS]
    rows = [(i, float(closeness[g])) for g in order for i in range(*bank.groups[g].examples)]
    said = content(query.heard)
    asked = form(query.heard)
    found = [Found(bank.examples[i], near, near + _worth(bank.examples[i], said, feelings, asked)) for i, near in rows]
    return sorted(found, key=lambda item: -item.score)[:count]


def _worth(example: Example, said: set[str], feelings: dict[str, float], asked: str) -> float:
    feeling = feelings[example.emotion]
    if example.emotion == "neutral" and example.source == "general":
        feeling = max(feeling, 0.3)
    unheard = min(sum(word not in said for word in example.bound), MOST_BOUND)
    other = OTHER_FORM if (asked == "statement") != (form(example.said) == "statement") else 0.0
    return FEELING * feeling - other - BOUND * unheard + SOURCE[example.source]
