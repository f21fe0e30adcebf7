"""The one training loop of all stages, on accelerate: one process or many, on CPU or GPUs, sharded (FSDP) or not.

A step is the same whatever dealt it out: its loss is a mean over all labels of the step, over micro-batches and
processes alike. What is logged, killed and resumed goes on bit for bit, for the order of rows follows from seed and
step, and a checkpoint holds weights, optimiser, random states and position.
"""

from __future__ import annotations

import json
import logging
import math
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, broadcast
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils.data import DataLoader

from model.interface import Record
from model.training.loop import plot
from model.training.stages.data import Rows, deal
from model.training.stages.examples import StageError
from model.training.stages.learner import Packed

PATIENCE = 5  # steps in a row whose loss is no number


class Plan(Record):
    """How to train. The defaults are the published scripts' (8 GPUs x 4 rows x 16 micro-batches = 512 rows a step)."""

    rate: float = 1e-4
    warmup: int = 1000  # steps, but never more than a tenth of all
    weight_decay: float = 0.05
    clip: float = 1.0
    epochs: int = 1
    steps: int | None = None  # instead of whole epochs
    minutes: float | None = None  # time box; the rate falls with it where it ends sooner than the steps
    batch: int = 4  # rows of a micro-batch
    accumulation: int = 16  # micro-batches of each process in a step
    precision: Literal["no", "bf16"] = "bf16"
    recompute: bool = False  # activations of both language models in the backward pass: less memory, more time
    save_every: int = 200  # steps
    seed: int = 1
    workers: int = 0  # processes that decode ahead


class Summary(Record):
    """One stage, when it is over."""

    stage: str
    steps: int
    rows: int
    lost: dict[str, int]  # rows by reason
    left: int  # rows of the last epoch too few of their kind to be dealt to all processes
    first: dict[str, float]  # mean losses of the first tenth of the steps
    last: dict[str, float]  # and of the last
    minutes: float

    def line(self) -> str:
        """The summary in one line."""
        change = ", ".join(f"{name} {self.first[name]:.3f} -> {self.last[name]:.3f}" for name in self.last)
        lost = sum(self.lost.values()) + self.left
        done = f"{self.steps} steps in {self.minutes:.1f} min"
        return f"{self.stage}: {done}, {self.rows} rows ({lost} lost), nats per token: {change}"


def start(precision: str) -> Accelerator:
    """The accelerator of this process, as ``accelerate launch`` or nobody set it up."""
    logging.getLogger("accelerate.utils.other").setLevel(
        logging.ERROR
    )  # says at every checkpoint that weights are tied
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)  # a micro-batch may have no audio, or no units
    try:
        return Accelerator(mixed_precision=precision, kwargs_handlers=[unused])
    except ValueError as error:
        raise StageError(f"Training cannot be set up ({error}).", "Give all stages of a run one precision.") from error


def run(
    accelerator: Accelerator, learner: Any, rows: Rows, plan: Plan, folder: Path, name: str
) -> tuple[Summary, dict[str, Tensor]]:
    """Train ``learner`` until its steps or its time are over; the summary, and its weights (in the main process).

    ``folder`` gets log.jsonl, loss.png, summary.json and the last checkpoint; called again with it, training goes on
    where that was. Raises StageError if the loss is no number several times in a row.
    """
    return _Run(accelerator, learner, rows, plan, folder, name).run()


class _Run:
    """One run of the loop."""

    def __init__(self, accelerator: Accelerator, learner: Any, rows: Rows, plan: Plan, folder: Path, name: str) -> None:
        self._gpu, self._rows, self._plan, self._folder, self._name = accelerator, rows, plan, folder, name
        self._parts, self._weights = learner.parts, torch.tensor(learner.weights, device=accelerator.device)
        self._batch = plan.batch * plan.accumulation * accelerator.num_processes
        self._epoch = -(-len(rows) // self._batch)  # steps
        self._total = plan.steps or plan.epochs * self._epoch
        self._step, self._spent, self._bad = 0, 0.0, 0
        self._left: list[int] = []
        optimiser = torch.optim.AdamW(_groups(learner, plan.weight_decay), lr=plan.rate, betas=(0.9, 0.999))
        self._learner, self._optimiser = accelerator.prepare(learner, optimiser)
        folder.mkdir(parents=True, exist_ok=True)

    def run(self) -> tuple[Summary, dict[str, Tensor]]:
        self._resume()
        box = (self._plan.minutes or math.inf) * 60
        main = self._gpu.is_main_process
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[loss]}"),
        )
        with Progress(*columns, console=Console(stderr=True), disable=not main) as bar:
            task = bar.add_task(self._name, total=self._total, completed=self._step, loss="")
            steps = self._steps()
            began = time.monotonic() - self._spent
            while self._step < self._total and self._spent < box:
                rate = rate_at(self._plan, self._step, self._total, self._spent / box)
                means = self._learn(next(steps), rate)
                self._step += 1
                self._spent = self._agreed(time.monotonic() - began)
                if main:
                    self._log({"step": self._step, **means, "rate": rate, "spent_s": round(self._spent, 3)})
                bar.update(task, completed=self._step, loss=" ".join(f"{k} {v:.3f}" for k, v in means.items()))
                if self._step % self._plan.save_every == 0:
                    self._save()
        self._save()
        return self._end(), self._gpu.get_state_dict(self._learner)

    def _steps(self) -> Iterator[list[Packed]]:
        """This process's micro-batches of each step, from the present step on."""
        plan, rank = self._plan, self._gpu.process_index
        for epoch in range(self._step // self._epoch, -(-self._total // self._epoch)):
            self._left, done = [], max(self._step - epoch * self._epoch, 0)
            chance = random.Random(f"{plan.seed}:{epoch}")
            dealt = deal(self._rows.entries, plan.batch, self._batch, self._gpu.num_processes, chance, self._left)
            steps = list(dealt)[done:]
            mine = [micro[rank] for step in steps for micro in step]
            loader = DataLoader(
                self._rows, sampler=mine, batch_size=None, num_workers=plan.workers, generator=torch.Generator()
            )
            source = iter(loader)
            for step in steps:
                yield [next(source) for _ in step]

    def _learn(self, micro: Sequence[Packed], rate: float) -> dict[str, float]:
        """One step; the mean nats of each part."""
        gpu, size = self._gpu, len(self._parts)
        counts = torch.zeros(size, dtype=torch.long, device=gpu.device)
        for packed in micro:
            counts += torch.tensor(packed.counts[:size], device=gpu.device)
        counts = gpu.reduce(counts, "sum").clamp(min=1)
        nats = torch.zeros(size, device=gpu.device)
        for number, packed in enumerate(micro, 1):
            with nullcontext() if number == len(micro) else gpu.no_sync(self._learner):
                found = self._learner(packed.to(gpu.device))
                # gradients are averaged over processes, the loss is not
                gpu.backward((found * self._weights / counts).sum() * gpu.num_processes)
                nats += found.detach()
        means = (gpu.reduce(nats, "sum") / counts).tolist()
        self._update(rate, all(map(math.isfinite, means)))
        weighed = list(zip(self._parts, self._weights.tolist(), means, strict=True))
        named = {part: nats for part, weight, nats in weighed if weight}
        return {"loss": sum(weight * nats for _, weight, nats in weighed), **named}

    def _update(self, rate: float, sound: bool) -> None:
        """Change the weights, unless the loss is no number."""
        self._bad = 0 if sound else self._bad + 1
        if self._bad == PATIENCE:
            wrong = f"The loss of {self._name} is no number since step {self._step - PATIENCE + 2}."
            raise StageError(wrong, "Lower the rate, and start again: the last checkpoint is sound.")
        if sound:
            self._gpu.clip_grad_norm_(self._learner.parameters(), self._plan.clip)
            for group in self._optimiser.param_groups:
                group["lr"] = rate
            self._optimiser.step()
        self._optimiser.zero_grad()

    def _agreed(self, spent: float) -> float:
        """The main process's clock, so that all stop at the same step."""
        if self._gpu.num_processes == 1:
            return spent
        return float(broadcast(torch.tensor([spent], device=self._gpu.device)))

    def _log(self, figures: dict[str, Any]) -> None:
        with (self._folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(figures) + "\n")

    def _save(self) -> None:
        """A checkpoint in a new folder, which gets its name when it is complete; then the older ones go."""
        gpu, whole = self._gpu, self._folder / f"checkpoint-{self._step:08d}"
        if self._bad or whole.exists():
            return
        partial = self._folder / "checkpoint.partial"
        if gpu.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
        gpu.wait_for_everyone()
        gpu.save_state(str(partial))
        gpu.wait_for_everyone()
        if gpu.is_main_process:
            position = {"step": self._step, "spent_s": self._spent}
            (partial / "position.json").write_text(json.dumps(position), encoding="utf-8")
            older = _checkpoints(self._folder)
            partial.replace(whole)
            for path in older:
                shutil.rmtree(path)
        gpu.wait_for_everyone()

    def _resume(self) -> None:
        """Go back to the last checkpoint, and forget what was logged after it."""
        found = _checkpoints(self._folder)
        if found:
            position = json.loads((found[-1] / "position.json").read_text(encoding="utf-8"))
            self._step, self._spent = position["step"], position["spent_s"]
            try:
                self._gpu.load_state(str(found[-1]))
            except (RuntimeError, ValueError, KeyError, OSError, SafetensorError) as error:
                wrong = f"{found[-1]} does not fit this run ({(str(error).splitlines() or ['damaged'])[0]})."
                raise StageError(wrong, "Train into another folder, or with the settings it began with.") from error
        log = self._folder / "log.jsonl"
        if self._gpu.is_main_process and log.is_file():
            kept = [line for line in _whole_lines(log) if json.loads(line)["step"] <= self._step]
            log.write_text("".join(kept), encoding="utf-8")
        self._gpu.wait_for_everyone()

    def _end(self) -> Summary:
        if not self._gpu.is_main_process:
            return self._summary([])
        rows = [json.loads(line) for line in _whole_lines(self._folder / "log.jsonl")]
        summary = self._summary(rows)
        (self._folder / "summary.json").write_text(summary.model_dump_json(indent=2), encoding="utf-8")
        plot(self._folder)
        return summary

    def _summary(self, rows: Sequence[dict[str, float]]) -> Summary:
        tenth = max(len(rows) // 10, 1)

        def means(part: Sequence[dict[str, float]]) -> dict[str, float]:
            return {name: sum(row[name] for row in part) / tenth for name in self._parts if part and name in part[0]}

        return Summary(
            stage=self._name, steps=self._step, rows=len(self._rows), lost=dict(self._rows.lost), left=len(self._left),
            first=means(rows[:tenth]), last=means(rows[-tenth:]), minutes=self._spent / 60,
        )  # fmt: skip


def rate_at(plan: Plan, step: int, total: int, share: float) -> float:
    """Learning rate of a step: linear up, then linear down to nothing (DeepSpeed's WarmupDecayLR).

    ``share`` of the time box is spent; the rate falls with whichever of steps and time is further on.
    """
    warmup = min(plan.warmup, max(total // 10, 1))
    left = 1 - max(step / total, share)
    return plan.rate * min((step + 1) / warmup, left * total / max(total - warmup, 1), 1.0)


def _groups(learner: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Matrices decay; gains, biases and rows of added tokens do not. Raises StageError if nothing is trained."""
    trained = [(name, p) for name, p in learner.named_parameters() if p.requires_grad]
    if not trained:
        raise StageError("No parameter is trained.", "Name parts of the model to be trained.")
    shrinks = [p for name, p in trained if p.ndim >= 2 and not name.endswith(".rows")]
    others = [p for name, p in trained if p.ndim < 2 or name.endswith(".rows")]
    groups = [{"params": shrinks, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("checkpoint-*") if path.is_dir())


def _whole_lines(path: Path) -> list[str]:
    """Lines that were written to their end."""
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
