"""A stage's journal: one line a result, so that a run that was killed goes on where it stopped.

A line is complete or it does not count: a torn last line is cut off when the journal is opened. A result belongs to
what it was made from (``made_from``, a digest); when that changes, the result is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from model.interface import Record


class Journal:
    """Results by key. Use as a context manager to add to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, dict[str, Any]] = {}
        whole = 0
        raw = path.read_bytes() if path.exists() else b""
        for line in raw.splitlines(keepends=True):
            try:
                row = json.loads(line) if line.endswith(b"\n") else None
            except json.JSONDecodeError:
                row = None
            if row is None:
                break
            self._rows[row["key"]] = row
            whole += len(line)
        if whole < len(raw):
            os.truncate(path, whole)

    def __enter__(self) -> Journal:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def get(self, key: str, made_from: str) -> dict[str, Any] | None:
        """The result of a key, if it was made from this."""
        row = self._rows.get(key)
        return row["result"] if row is not None and row["made_from"] == made_from else None

    def add(self, key: str, made_from: str, result: dict[str, Any]) -> None:
        """Write a result down."""
        self._rows[key] = row = {"key": key, "made_from": made_from, "result": result}
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.flush()


def digest(*parts: Any) -> str:
    """What a result is made from, as a short name: records, strings and numbers."""
    plain = [part.model_dump(mode="json") if isinstance(part, Record) else part for part in parts]
    return hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=8).hexdigest()
