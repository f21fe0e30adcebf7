"""Questions with a fixed set of answers, read off the language model's next-token probabilities.

A label's probability is that of its tokens after the question (of its first token alone, where no two labels
begin alike); what the model would rather say than any label is the probability of ``unknown``. All questions
are branches of one forward, so an answer costs a few tokens and is never invented.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.serving.lanes import Lanes, Row

UNKNOWN = "unknown"
Labels = dict[str, float]  # probability of each label and of ``unknown``; they sum to 1


@dataclass(frozen=True)
class Slot:
    """``question``: the tokens after which the answer stands; ``answers``: the tokens of each label."""

    name: str
    question: tuple[int, ...]
    labels: tuple[str, ...]
    answers: tuple[tuple[int, ...], ...]

    @property
    def distinct(self) -> bool:
        """No two labels begin with the same token."""
        return len({answer[0] for answer in self.answers}) == len(self.answers)

    @property
    def branches(self) -> list[tuple[int, ...]]:
        """What must be run to read the answer: the question, or the question with each label but its last token."""
        return [self.question] if self.distinct else [self.question + answer[:-1] for answer in self.answers]

    def read(self, logits: Sequence[Tensor]) -> Labels:
        """The answer from the next-token logits [n, vocabulary] of each branch."""
        chances = [branch[len(self.question) - 1 :].float().log_softmax(-1) for branch in logits]
        if self.distinct:
            firsts = torch.tensor([answer[0] for answer in self.answers], device=chances[0].device)
            found: list[float] = chances[0][0, firsts].exp().tolist()
        else:
            pairs = zip(chances, self.answers, strict=True)
            found = [float(rows[range(len(answer)), list(answer)].sum().exp()) for rows, answer in pairs]
        total = max(sum(found), 1.0)  # a label that begins another counts its share too
        shares = {label: p / total for label, p in zip(self.labels, found, strict=True)}
        return shares | {UNKNOWN: max(1.0 - sum(shares.values()), 0.0)}


def make(
    encode: Callable[[str], Sequence[int]], name: str, question: str, labels: Sequence[str], lead: str = ""
) -> Slot:
    """A slot of words; each answer begins with ``lead``. Raises ValueError for labels that are spelt alike."""
    answers = tuple(tuple(encode(lead + label)) for label in labels)
    if len(set(answers)) < len(answers):
        raise ValueError(f"Two labels of {name} are spelt alike. Choose labels that differ.")
    return Slot(name, tuple(encode(question)), tuple(labels), answers)


@dataclass(frozen=True)
class Ask:
    """Slots to be asked after the first ``seen`` tokens of a lane and a ``trunk`` [n, dim] that follows them."""

    lane: int
    seen: int
    trunk: Tensor
    slots: tuple[Slot, ...]


def ask(lanes: Lanes, asks: Sequence[Ask]) -> list[dict[str, Labels]]:
    """The answers by name of slot, for each ask; one forward, and nothing of it stays."""
    rows, branches = [], []
    for one in asks:
        told = [branch for slot in one.slots for branch in slot.branches]
        inputs = lanes.embed([token for branch in told for token in branch]).to(one.trunk.dtype)
        lengths = tuple(map(len, told))
        branches.append(lengths)
        rows.append(Row(one.lane, one.seen, torch.cat([one.trunk, inputs]), lengths))
    answers = []
    for one, lengths, states in zip(asks, branches, lanes.run(rows) if rows else [], strict=True):
        parts = iter(lanes.logits(states[len(one.trunk) :]).split(lengths))
        answers.append({slot.name: slot.read([next(parts) for _ in slot.branches]) for slot in one.slots})
    return answers


def known(found: Labels, least: float = 0.5) -> dict[str, float] | None:
    """The labels alone, summing to 1; None where the model knows less than ``least`` about it."""
    sure = 1.0 - found[UNKNOWN]
    if sure < least:
        return None
    return {label: p / sure for label, p in found.items() if label != UNKNOWN}
