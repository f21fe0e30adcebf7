"""The least number of edits between two sequences; what every error rate here is counted with.

Knows nothing of what the items are: words, phones, letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def edit_distance(reference: Sequence[Any], heard: Sequence[Any]) -> int:
    """Least number of items to insert, delete or replace (Levenshtein distance)."""
    row = list(range(len(heard) + 1))
    for number, item in enumerate(reference, 1):
        corner, row[0] = row[0], number
        for place, other in enumerate(heard, 1):
            corner, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, corner + (item != other))
    return row[-1]
