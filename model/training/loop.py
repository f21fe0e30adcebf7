"""The training loop of every stage: time-boxed, resumable, bf16 autocast, progress bar, loss log and plot.

Knows nothing of models or data: a stage gives it a module, an endless stream of batches and a loss.
The learning rate follows the time box (linear warm-up, then cosine to a tenth), so that a run of any
length ends annealed; a resumed run continues at the share of the box that is already spent.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn


@dataclass(frozen=True)
class Plan:
    """How to train: time box in minutes, peak learning rate, and bookkeeping intervals in seconds."""

    minutes: float
    rate: float = 1e-3
    warmup: float = 0.04  # share of the box
    floor: float = 0.02  # final learning rate as a share of the peak
    weight_decay: float = 0.01
    clip: float = 1.0
    save_s: float = 180.0
    seed: int = 0


def run(
    module: nn.Module,
    batches: Callable[[random.Random], Iterator[Any]],
    loss_of: Callable[[nn.Module, Any], tuple[torch.Tensor, dict[str, float]]],
    folder: Path,
    plan: Plan,
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
    evaluate_s: float = 300.0,
) -> dict[str, float]:
    """Train ``module`` in place until the box is spent; returns the last figures.

    ``folder`` gets checkpoint.pt (weights, optimiser, spent time), log.jsonl and loss.png. A second call
    with the same folder continues. Raises FloatingPointError if the loss is not finite five times in a row.
    """
    folder.mkdir(parents=True, exist_ok=True)
    decay = [p for p in module.parameters() if p.requires_grad and p.ndim >= 2]
    plain = [p for p in module.parameters() if p.requires_grad and p.ndim < 2]
    groups = [{"params": decay, "weight_decay": plan.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.98), foreach=True)
    step, spent = _resume(module, optimiser, folder)
    stream = batches(random.Random(f"{plan.seed}:{step}"))
    box, bad = plan.minutes * 60.0, 0
    figures: dict[str, float] = {}
    mean: dict[str, float] = {}
    module.train()
    saved = evaluated = spent
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), TextColumn("{task.fields[loss]}"))
    with Progress(*columns) as bar, (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        task = bar.add_task(folder.name, total=box, completed=int(spent), loss="")
        if evaluate is not None and step == 0:
            _evaluate(module, evaluate, step, spent, log)  # what the figures at the end are compared with
        while spent < box:
            began = time.monotonic()
            for group in optimiser.param_groups:
                group["lr"] = plan.rate * schedule(spent / box, plan)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss, parts = loss_of(module, next(stream))
            optimiser.zero_grad(set_to_none=True)
            if not torch.isfinite(loss):
                bad += 1
                if bad >= 5:
                    raise FloatingPointError(f"The loss of {folder.name} is not finite. Lower the learning rate.")
                continue
            bad = 0
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), plan.clip)
            optimiser.step()
            step += 1
            for name, value in {"loss": float(loss.detach()), **parts}.items():
                mean[name] = value if name not in mean else 0.98 * mean[name] + 0.02 * value
            spent += time.monotonic() - began
            bar.update(task, completed=spent, loss=" ".join(f"{k} {v:.3f}" for k, v in mean.items()))
            if step % 20 == 0 or step == 1:
                log.write(json.dumps({"step": step, "spent_s": round(spent, 1), **mean}) + "\n")
                log.flush()
            if spent - saved > plan.save_s:
                _save(module, optimiser, step, spent, folder)
                saved = spent
            if evaluate is not None and spent - evaluated > evaluate_s:
                figures = _evaluate(module, evaluate, step, spent, log)
                evaluated = spent
        log.write(json.dumps({"step": step, "spent_s": round(spent, 1), **mean}) + "\n")
        if evaluate is not None:
            figures = _evaluate(module, evaluate, step, spent, log)
    _save(module, optimiser, step, spent, folder)
    plot(folder)
    return {**mean, **figures, "steps": step}


def schedule(share: float, plan: Plan) -> float:
    """Learning rate as a share of the peak, after ``share`` (0..1) of the time box."""
    if share < plan.warmup:
        return max(share / plan.warmup, 1e-3)
    swing = (share - plan.warmup) / (1 - plan.warmup)
    return plan.floor + (1 - plan.floor) * 0.5 * (1 + math.cos(math.pi * min(swing, 1.0)))


def _evaluate(
    module: nn.Module, evaluate: Callable[[nn.Module], dict[str, float]], step: int, spent: float, log: Any
) -> dict[str, float]:
    module.eval()
    with torch.inference_mode():
        figures = evaluate(module)
    module.train()
    log.write(json.dumps({"step": step, "spent_s": round(spent, 1), **figures}) + "\n")
    log.flush()
    return figures


def _save(module: nn.Module, optimiser: torch.optim.Optimizer, step: int, spent: float, folder: Path) -> None:
    state = {"module": module.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "spent_s": spent}
    torch.save(state, folder / "checkpoint.tmp")
    (folder / "checkpoint.tmp").replace(folder / "checkpoint.pt")


def _resume(module: nn.Module, optimiser: torch.optim.Optimizer, folder: Path) -> tuple[int, float]:
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    module.load_state_dict(state["module"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"]), float(state["spent_s"])


def plot(folder: Path) -> None:
    """Draw every figure of log.jsonl over steps into loss.png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    names = sorted({name for row in rows for name in row} - {"step", "spent_s"})
    figure, axes = pyplot.subplots(len(names) or 1, 1, figsize=(8, 2.2 * (len(names) or 1)), squeeze=False)
    for axis, name in zip(axes[:, 0], names, strict=False):
        points = np.array([(row["step"], row[name]) for row in rows if name in row])
        axis.plot(points[:, 0], points[:, 1])
        axis.set_ylabel(name)
    figure.tight_layout()
    figure.savefig(folder / "loss.png", dpi=80)
    pyplot.close(figure)
