"""The account of a pass over data: what was kept, what was lost and why, what was noticed.

Nothing is dropped in this package without an entry here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from model.training.data.item import FieldError

SHOWN = 5  # keys a line


class Counts:
    """Counts by reason, with the key of every sample concerned. ``kept`` is what was written or handed out."""

    def __init__(self) -> None:
        self.kept = 0
        self.lost: dict[str, dict[str, str]] = defaultdict(dict)  # reason -> key -> detail
        self.notes: dict[str, dict[str, str]] = defaultdict(dict)

    def lose(self, reason: str, key: str, detail: str = "") -> None:
        """A sample is left out."""
        self.lost[reason][self._free(self.lost[reason], key)] = detail

    def note(self, reason: str, key: str, detail: str = "") -> None:
        """A sample is kept, but something about it should be known."""
        self.notes[reason][key] = detail

    @contextmanager
    def losing(self, key: str) -> Iterator[None]:
        """What is wrong with one sample inside is counted as a loss and goes no further."""
        try:
            yield
        except FieldError as error:
            self.lose(error.reason, key, error.detail)
        except ValidationError as error:
            first = error.errors()[0]
            self.lose("a field has no usable value", key, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        except UnicodeError as error:
            self.lose("text is not Unicode", key, str(error)[:80])

    @property
    def lost_total(self) -> int:
        """How many samples were left out."""
        return sum(len(keys) for keys in self.lost.values())

    def as_dict(self) -> dict[str, Any]:
        """Everything, as plain data for JSON."""
        return {"kept": self.kept, "lost": _plain(self.lost), "notes": _plain(self.notes)}

    def __str__(self) -> str:
        lines = [f"{self.kept} kept, {self.lost_total} lost"]
        for title, table in (("lost", self.lost), ("note", self.notes)):
            for reason, keys in sorted(table.items(), key=lambda row: -len(row[1])):
                shown = [f"{key} ({detail})" if detail else key for key, detail in list(keys.items())[:SHOWN]]
                more = f", and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
                lines.append(f"  {title} {len(keys):6d}  {reason}: {', '.join(shown)}{more}")
        return "\n".join(lines)

    @staticmethod
    def _free(keys: dict[str, str], key: str) -> str:
        number, free = 2, key
        while free in keys:  # two samples may share a key; both are counted
            free, number = f"{key}~{number}", number + 1
        return free


def _plain(table: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    return {reason: dict(keys) for reason, keys in table.items()}
