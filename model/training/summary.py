"""What a recipe's stages have reached: first and last loss, first and last figures on kept-back data, from their logs.

Reads the log.jsonl that `loop.run` writes; knows no stage by name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

COUNTED = ("step", "spent_s", "minutes")
SHARE = 10  # the first and the last tenth of the rows are averaged


@dataclass(frozen=True)
class Reached:
    """One stage: minutes spent, steps, losses at both ends, kept-back figures at both ends."""

    stage: str
    minutes: float
    steps: int
    losses: tuple[float, float]
    before: dict[str, float]
    after: dict[str, float]

    @property
    def line(self) -> str:
        """One line for people."""
        figures = " ".join(f"{name} {self.before[name]:.3f} → {self.after[name]:.3f}" for name in self.after)
        first, last = self.losses
        spent = f"{self.stage:16s} {self.minutes:6.1f} min {self.steps:6d} steps"
        return f"{spent}  loss {first:.3f} → {last:.3f}  {figures}"


def stages(work: Path) -> list[Reached]:
    """All stages that have left a log under ``work``, in order of their folders' names."""
    found = (read(path) for path in sorted(work.rglob("log.jsonl")))
    return [reached for reached in found if reached is not None]


def read(log: Path) -> Reached | None:
    """What one log tells; None where it holds no loss yet."""
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line]
    losses = [row["loss"] for row in rows if "loss" in row]
    kept = [row for row in rows if "loss" not in row]
    figures = [{name: value for name, value in row.items() if name not in COUNTED} for row in kept]
    if not losses:
        return None
    many = max(len(losses) // SHARE, 1)
    ends = sum(losses[:many]) / many, sum(losses[-many:]) / many
    before, after = (figures[0], figures[-1]) if figures else ({}, {})
    last = rows[-1]
    minutes = max(row.get("minutes", row.get("spent_s", 0.0) / 60) for row in rows)
    return Reached(log.parent.name, minutes, last["step"], ends, before, after)
