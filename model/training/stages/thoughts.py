"""Dual thinking (OSUM-EChat): what is thought before a reply, as a line of tags or in plain words, for training.

The line is spelt as `model.serving.thinking` writes it. A slot whose label is not known stands there as ``unknown``
and is neither learnt nor seen by what follows: an unknown is never filled with a default, as the published code does
for one row in seven.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from model.serving.slots import UNKNOWN
from model.serving.thinking import TAGS

Encode = Callable[[str], Sequence[int]]
ACTION = ("action", ("interrupt", "refuse", "deflect", "silence", "respond"))
# where a row has the label of a slot, best first: OSUM-EChat's names, then those of `model.training.data`
FIELDS = {
    "age": ("age", "user.labels.age"),
    "gender": ("gender", "user.labels.gender"),
    "emotion": ("q_emotion", "emotion", "user.labels.emotion"),
    "sound event": ("caption", "event", "user.labels.event"),
    "reply emotion": ("reply_emotion", "agent.emotion"),
    "action": ("action",),
}
WORDS = ("think_str", "agent.thought")  # where it has a thought in words
ALIASES = {
    "youth": "adult", "middle_age": "adult", "middle": "adult", "m": "male", "f": "female",
    "anger": "angry", "fear": "afraid", "surprise": "surprised",
    # emotions of a reply
    "neutral": "calm", "happy": "cheerful", "joyful": "cheerful", "comforting": "gentle", "sorry": "gentle",
}  # fmt: skip


@dataclass(frozen=True)
class Thought:
    """Ids between the thinking marks; of each, whether it is learnt, and whether anything after it sees it."""

    ids: tuple[int, ...]
    learnt: tuple[bool, ...]
    seen: tuple[bool, ...]


def tags(encode: Encode, extra: Mapping[str, Any], slots: Sequence[tuple[str, tuple[str, ...]]] = TAGS) -> Thought:
    """The line of tags for a row with these labels.

    Neither an unknown slot nor the token after it, which only that slot predicts, is learnt: so what stands in an
    unknown slot has no gradient at all.
    """
    ids: list[int] = []
    learnt: list[bool] = []
    seen: list[bool] = []
    for n, (name, labels) in enumerate(slots):
        question = encode(f"{', ' if n else ''}{name}:<")
        label = label_of(extra, name, labels)
        answer = encode(f"{label or UNKNOWN}>")
        follows_unknown = bool(seen) and not seen[-1]
        ids += [*question, *answer]
        learnt += [not follows_unknown, *[True] * (len(question) - 1), *[label is not None] * len(answer)]
        seen += [*[True] * len(question), *[label is not None] * len(answer)]
    return Thought(tuple(ids), tuple(learnt), tuple(seen))


def natural(encode: Encode, words: str) -> Thought:
    """One to three sentences about what was said and how."""
    ids = tuple(encode(words.strip()))
    return Thought(ids, (True,) * len(ids), (True,) * len(ids))


def label_of(extra: Mapping[str, Any], name: str, labels: Sequence[str]) -> str | None:
    """The label that a row gives to a slot; None where it has none, or one that the slot does not know."""
    for field in FIELDS.get(name, (name,)):
        value = str(extra.get(field) or "").strip().strip("<>").lower()
        value = value if value in labels else ALIASES.get(value, value)
        if value in labels:
            return value
    return None
