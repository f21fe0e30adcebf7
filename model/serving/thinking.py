"""Thinking before speaking (OSUM-EChat's dual thinking): what was said and how, in a bounded number of tokens.

Two forms. ``tags`` fills a fixed line of slots, each with the probabilities of its labels, ``unknown`` where
the model does not know. ``natural`` writes one to three sentences. Thoughts are made while the speaker pauses,
so that they are there when the reply begins; a reply takes what is there. Nothing of them is ever spoken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from model.serving.lanes import Lanes, Row
from model.serving.slots import Ask, Labels, Slot, ask, make

Style = Literal["none", "tags", "natural"]
LEAST = 0.5  # probability below which a slot stays unknown
TAGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("age", ("child", "adult", "old")),
    ("gender", ("male", "female")),
    ("emotion", ("neutral", "happy", "sad", "angry", "afraid", "surprised")),
    ("sound event", ("laugh", "cough", "sigh", "cry", "none")),
    ("reply emotion", ("warm", "calm", "cheerful", "firm", "gentle", "serious")),
)


@dataclass(eq=False)
class Thought:
    """One thought in the making, or made; ``ids`` stand between the thinking marks."""

    lane: int
    seen: int  # inputs in the lane
    last: Tensor  # state [dim] that predicts the next token
    ids: list[int] = field(default_factory=list)
    labels: dict[str, Labels] = field(default_factory=dict)
    done: bool = False


class Thinker:
    """Steps thoughts of one style; ``ends`` are the tokens that end a natural one."""

    def __init__(
        self,
        lanes: Lanes,
        encode: Callable[[str], Sequence[int]],
        style: Style,
        budget: int,
        ends: Sequence[int],
        tags: Sequence[tuple[str, tuple[str, ...]]] = TAGS,
    ) -> None:
        self._lanes, self._encode, self._style = lanes, encode, style
        self._budget, self._ends = budget, frozenset(ends)
        self._slots: tuple[Slot, ...] = ()
        if style == "tags":
            self._slots = tuple(
                make(encode, name, f"{', ' if n else ''}{name}:<", labels) for n, (name, labels) in enumerate(tags)
            )

    def step(self, thoughts: Sequence[Thought]) -> None:
        """One more token or slot of each thought that is not done."""
        busy = [thought for thought in thoughts if not thought.done]
        if busy and self._style == "tags":
            self._fill(busy)
        elif busy:
            self._write(busy)

    def _write(self, thoughts: list[Thought]) -> None:
        """Greedy text; it ends at its mark, or where the budget does."""
        drawn = self._lanes.logits(torch.stack([thought.last for thought in thoughts])).argmax(-1).tolist()
        going = []
        for thought, token in zip(thoughts, drawn, strict=True):
            if token in self._ends:
                thought.done = True
                continue
            thought.ids.append(token)
            thought.done = len(thought.ids) >= self._budget
            if not thought.done:
                going.append((thought, [token]))
        self._feed(going)

    def _fill(self, thoughts: list[Thought]) -> None:
        """The next slot is asked, then written down with its likeliest label."""
        slots = [self._slots[len(thought.labels)] for thought in thoughts]
        none = self._lanes.embed([])
        asks = [Ask(t.lane, t.seen, none, (slot,)) for t, slot in zip(thoughts, slots, strict=True)]
        going = []
        for thought, slot, found in zip(thoughts, slots, ask(self._lanes, asks), strict=True):
            labels = found[slot.name]
            best = max(slot.labels, key=labels.__getitem__)
            # An unknown slot stays empty: in training, too, nothing sees what stands in one.
            answer = self._encode(f"{best}>") if labels[best] >= LEAST else ()
            thought.labels[slot.name] = labels
            thought.ids += [*slot.question, *answer]
            thought.done = len(thought.labels) == len(self._slots) or len(thought.ids) >= self._budget
            going.append((thought, [*slot.question, *answer]))
        self._feed([one for one in going if not one[0].done])

    def _feed(self, given: Sequence[tuple[Thought, Sequence[int]]]) -> None:
        if not given:
            return
        rows = [Row(thought.lane, thought.seen, self._lanes.embed(list(ids))) for thought, ids in given]
        for (thought, _), row, found in zip(given, rows, self._lanes.run(rows), strict=True):
            thought.seen += len(row.inputs)
            thought.last = found[-1]
