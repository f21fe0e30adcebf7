"""Trains the judge's network on examples, within a time box, and finds the lean of its actions.

Knows networks, losses and examples; nothing of scenes or of how the examples came about. Reads only the clock's
monotonic time, to keep to its box; all chance comes from one private generator.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from policies.judge import features
from policies.judge.examples import Examples
from policies.judge.network import JudgeNetwork, Shape

YIELDED = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])  # of ACTIONS: refuse, deflect, respond follow a yielded floor
Evaluate = Callable[[JudgeNetwork], dict[str, float]]


@dataclass(frozen=True)
class Recipe:
    """How long and how hard to train."""

    minutes: float
    batch: int = 256
    rate: float = 8e-4
    warmup: float = 0.05
    smoothing: float = 0.05
    decay: float = 0.05
    most_steps: int = 1_000_000
    evaluate_minutes: float = 5.0
    seed: int = 0


def fresh(shape: Shape | None = None, seed: int = 0) -> JudgeNetwork:
    """A network with random weights from a private generator."""
    network = JudgeNetwork(shape or Shape(features=features.SIZE))
    chance = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if parameter.dim() == 2:
            parameter.data.normal_(
                0.0, 0.02 if name.endswith("places") else parameter.shape[1] ** -0.5, generator=chance
            )
        elif name.endswith("bias"):
            parameter.data.zero_()
    return network


def forward(network: JudgeNetwork, examples: Examples, rows: Tensor) -> Tensor:
    """Logits [len(rows), OUTPUTS]; equal words over equal contexts are compared once."""
    both = torch.stack([examples.text[rows], examples.context[rows]], 1)
    unique, which = torch.unique(both, dim=0, return_inverse=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        words = examples.gather(unique[:, 0], left=True)
        contexts, over = torch.unique(unique[:, 1], return_inverse=True)
        compared = network.comparer(*words, *examples.gather(contexts, left=False), over).float()
    numbers, states = examples.numbers[rows], examples.states[rows].float()
    return network.head(compared[which], numbers, states, examples.known[rows])  # type: ignore[no-any-return]


def loss(logits: Tensor, examples: Examples, rows: Tensor, smoothing: float) -> Tensor:
    """Weighed cross-entropy of the actions, plus a little for "has yielded" and "crisis"."""
    label, weight = examples.label[rows], examples.weight[rows]
    action = functional.cross_entropy(logits[:, :5], label, reduction="none", label_smoothing=smoothing)
    done = functional.binary_cross_entropy_with_logits(logits[:, 5], YIELDED[label], reduction="none")
    crisis = functional.binary_cross_entropy_with_logits(logits[:, 6], examples.crisis[rows], reduction="none")
    return (weight * (action + 0.3 * done + 0.2 * crisis)).sum() / weight.sum().clamp(min=1e-6)


def train(
    network: JudgeNetwork, examples: Examples, recipe: Recipe, folder: Path, evaluate: Evaluate | None = None
) -> None:
    """Train for ``recipe.minutes``; the log and the weights go to ``folder`` (log.jsonl, judge.pt)."""
    folder.mkdir(parents=True, exist_ok=True)
    optimiser = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=recipe.decay, betas=(0.9, 0.98))
    chance = torch.Generator().manual_seed(recipe.seed)
    began, step, mean, evaluated = time.monotonic(), 0, 0.0, 0.0
    order = torch.empty(0, dtype=torch.int64)
    while (spent := (time.monotonic() - began) / 60) < recipe.minutes and step < recipe.most_steps:
        if len(order) < recipe.batch:
            order = _order(examples, recipe.batch, chance)
        rows, order = order[: recipe.batch], order[recipe.batch :]
        network.train()
        share = max(spent / recipe.minutes, step / recipe.most_steps)
        value = _step(network, examples, rows, recipe, optimiser, share)
        step += 1
        mean = value if step == 1 else 0.98 * mean + 0.02 * value
        if step % 50 == 0 or step == 1:
            _log(folder, {"step": step, "minutes": round(spent, 2), "loss": round(mean, 4)})
        if spent - evaluated > recipe.evaluate_minutes:
            evaluated = spent
            _report(network, evaluate, folder, step)
    _report(network, evaluate, folder, step)


def _step(
    network: JudgeNetwork,
    examples: Examples,
    rows: Tensor,
    recipe: Recipe,
    optimiser: torch.optim.Optimizer,
    share: float,
) -> float:
    for group in optimiser.param_groups:
        group["lr"] = recipe.rate * schedule(share, recipe.warmup)
    value = loss(forward(network, examples, rows), examples, rows, recipe.smoothing)
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(value)
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return float(value.detach())


def schedule(share: float, warmup: float) -> float:
    """Learning rate as a share of the peak, after ``share`` (0..1) of the time box."""
    if share < warmup:
        return max(share / warmup, 0.01)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min((share - warmup) / (1 - warmup), 1.0)))


def _order(examples: Examples, batch: int, chance: torch.Generator) -> Tensor:
    """All rows in random order, in runs of 16 neighbours: they share contexts and texts, which saves reading."""
    runs = torch.split(torch.arange(len(examples.label)), 16)
    return torch.cat([runs[i] for i in torch.randperm(len(runs), generator=chance).tolist()])


def _report(network: JudgeNetwork, evaluate: Evaluate | None, folder: Path, step: int) -> None:
    torch.save(network.state_dict(), folder / "judge.pt")
    if evaluate is not None:
        network.eval()
        _log(folder, {"step": step, **evaluate(network)})


def _log(folder: Path, row: dict[str, float]) -> None:
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(row) + "\n")
