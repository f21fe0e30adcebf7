"""Chunk sequences as tensors, with every text read once: what the tuned judge is trained on.

Takes steps from any source (the simulated ear, percepts of rendered audio) and a frozen reader. It knows nothing of
networks or losses; a set of examples can be saved, loaded and joined with others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from policies.judge import features
from policies.judge.labels import Step
from policies.judge.minilm import MiniLM
from policies.judge.tuned import context_ids, words_ids
from policies.situation import ACTIONS

BALANCE = {"silence": 1.0, "respond": 1.8, "interrupt": 1.8, "refuse": 2.4, "deflect": 2.4}  # against rarity


@dataclass(frozen=True)
class Examples:
    """Chunks as rows; tokens of all texts and contexts lie behind one another in ``tokens``."""

    tokens: Tensor  # float16 [all tokens, WIDTH]
    spans: Tensor  # int64 [texts and contexts, 2]: first token and length
    text: Tensor  # int64 [n]: which span was heard
    context: Tensor  # int64 [n]: which span it is heard in
    numbers: Tensor  # float32 [n, features]
    states: Tensor  # float16 [n, 768]
    known: Tensor  # float32 [n]
    label: Tensor  # int64 [n]
    weight: Tensor  # float32 [n]
    crisis: Tensor  # float32 [n]

    def save(self, path: Path) -> None:
        """Write all tensors."""
        torch.save({f.name: getattr(self, f.name) for f in fields(self)}, path)

    @classmethod
    def load(cls, path: Path) -> Examples:
        """Read what `save` wrote."""
        return cls(**torch.load(path, weights_only=True))

    @classmethod
    def join(cls, parts: list[Examples]) -> Examples:
        """Several sets as one."""
        tokens, spans = 0, 0
        moved = []
        for part in parts:
            shift = torch.tensor([tokens, 0])
            moved.append({"spans": part.spans + shift, "text": part.text + spans, "context": part.context + spans})
            tokens, spans = tokens + len(part.tokens), spans + len(part.spans)
        joined = {}
        for field in fields(cls):
            joined[field.name] = torch.cat(
                [m.get(field.name, getattr(p, field.name)) for p, m in zip(parts, moved, strict=True)]
            )
        return cls(**joined)

    def gather(self, spans: Tensor, left: bool) -> tuple[Tensor, Tensor]:
        """States of these spans, float32 [n, longest, WIDTH], and their mask; padded on the left or right."""
        chosen = self.spans[spans]
        longest = int(chosen[:, 1].max())
        places = torch.arange(longest)[None]
        lengths = chosen[:, 1:]
        offset = places - (longest - lengths) if left else places
        mask = (offset >= 0) & (offset < lengths)
        index = chosen[:, :1] + offset.clamp(min=0).minimum(lengths - 1)
        return self.tokens[index].float(), mask


def thin(steps: list[Step], chance: Generator, chunks: int = 4, cuts: int = 1) -> list[Step]:
    """A sample of one sequence: ``chunks`` of every pause, ``cuts`` from within every phrase (more to interrupt)."""
    kept: list[Step] = []
    for phrase in sorted({step.phrase for step in steps}):
        own = [step for step in steps if step.phrase == phrase and step.weight > 0]
        within = [step for step in own if step.situation.percept.pause_s == 0]
        pauses = [step for step in own if step.situation.percept.pause_s > 0]
        more = 2 * any(step.label == "interrupt" for step in within)
        kept += _sample(within, cuts + more, chance) + _sample(pauses, chunks, chance)
    return kept


def _sample(steps: list[Step], count: int, chance: Generator) -> list[Step]:
    """At most ``count`` of the steps, carrying the weight of all of them."""
    if len(steps) <= count:
        return steps
    chosen = [steps[i] for i in sorted(chance.choice(len(steps), count, replace=False))]
    scale = sum(s.weight for s in steps) / sum(s.weight for s in chosen)
    return [Step(s.situation, s.label, s.weight * scale, s.phrase, s.crisis) for s in chosen]


def make(steps: Iterable[Step], reader: MiniLM) -> Examples:
    """Examples of these steps; equal texts are read once."""
    rows: list[list[int]] = []
    known: dict[tuple[str, bool], int] = {}

    def span(text: str, context: bool) -> int:
        if (text, context) not in known:
            known[text, context] = len(rows)
            rows.append(context_ids(reader, text) if context else words_ids(reader, text))
        return known[text, context]

    columns: dict[str, list[float]] = defaultdict(list)
    numbers, states = [], []
    for step in steps:
        columns["text"].append(span(features.words_text(step.situation), False))
        columns["context"].append(span(features.context_text(step.situation), True))
        columns["label"].append(ACTIONS.index(step.label))
        columns["weight"].append(step.weight * BALANCE[step.label])
        columns["crisis"].append(float(step.crisis))
        numbers.append(features.vector(step.situation))
        heard = features.states(step.situation)
        columns["known"].append(float(heard is not None))
        states.append(np.zeros(features.STATES, np.float16) if heard is None else heard.astype(np.float16))
    whole = {name: torch.tensor(columns[name], dtype=torch.int64) for name in ("text", "context", "label")}
    parts = {name: torch.tensor(columns[name], dtype=torch.float32) for name in ("weight", "crisis", "known")}
    tokens, spans = _read(rows, reader)
    heard_states = torch.from_numpy(np.stack(states).reshape(len(states), -1))
    return Examples(
        tokens=tokens, spans=spans, numbers=torch.from_numpy(np.stack(numbers)), states=heard_states, **whole, **parts
    )


def _read(rows: list[list[int]], reader: MiniLM, most: int = 2048) -> tuple[Tensor, Tensor]:
    """Read rows of ids in batches of equal length; tokens behind one another, and each row's span."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        by_length[len(row)].append(number)
    spans = torch.zeros(len(rows), 2, dtype=torch.int64)
    tokens, end = [], 0
    for length, numbers in sorted(by_length.items()):
        size = max(most // length, 1)
        for start in range(0, len(numbers), size):
            some = numbers[start : start + size]
            tokens.append(reader.read([rows[n] for n in some]).half().flatten(0, 1))
            for place, number in enumerate(some):
                spans[number] = torch.tensor([end + place * length, length])
            end += length * len(some)
    return torch.cat(tokens), spans
