"""Error rates over clips, with intervals: every rate here is errors by reference items, summed over the clips.

Knows sequences and counts, nothing of sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.training.edits import edit_distance

DRAWS = 1_000  # of the bootstrap
LEVEL = 0.95


@dataclass
class Rate:
    """Errors and reference items of each clip."""

    errors: list[int] = field(default_factory=list)
    items: list[int] = field(default_factory=list)

    def add(self, reference: Sequence[Any], heard: Sequence[Any]) -> int:
        """Count one clip; returns its errors."""
        self.errors.append(edit_distance(reference, heard))
        self.items.append(len(reference))
        return self.errors[-1]

    @property
    def value(self) -> float | None:
        """Errors per item; None where there is no item."""
        return sum(self.errors) / sum(self.items) if sum(self.items) else None

    def interval(self, seed: int = 0) -> tuple[float, float] | None:
        """95 % bootstrap interval over clips (Bisani & Ney 2004); None where there is no item."""
        if self.value is None:
            return None
        errors, items = np.array(self.errors), np.array(self.items)
        rates = errors[drawn := draws(len(items), seed)].sum(1) / np.maximum(items[drawn].sum(1), 1)
        low, high = np.quantile(rates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)

    def figures(self) -> dict[str, Any]:
        """Rate, interval and number of items."""
        interval = self.interval()
        return {
            "rate": None if self.value is None else round(self.value, 4),
            "interval": None if interval is None else [round(bound, 4) for bound in interval],
            "items": sum(self.items),
        }


def difference(one: Rate, other: Rate, seed: int = 0) -> list[float] | None:
    """95 % interval of ``one - other``, both counted on the same clips: paired bootstrap. None without items."""
    if one.value is None:
        return None
    first, second, items = np.array(one.errors), np.array(other.errors), np.array(one.items)
    drawn = draws(len(items), seed)
    found = (first - second)[drawn].sum(1) / np.maximum(items[drawn].sum(1), 1)
    return [round(float(bound), 4) for bound in np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])]


def draws(count: int, seed: int) -> NDArray[np.int64]:
    """Indices [DRAWS, count] of clips, drawn with repetition by a private generator."""
    return np.random.default_rng(seed).integers(0, count, (DRAWS, count))
