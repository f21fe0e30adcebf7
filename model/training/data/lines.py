"""JSON Lines: objects with their line, and a writer that leaves either the whole file or none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from model.training.data.counts import Counts
from model.training.data.item import DataError, Item


def objects(path: Path, counts: Counts) -> Iterator[tuple[str, dict[str, Any]]]:
    """(``file:line``, object) of every line; a line that is no object is counted. Raises DataError."""
    for where, line in text(path):
        try:
            found = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            counts.lose("line is not JSON", where, str(error))
            continue
        if isinstance(found, dict):
            yield where, found
        else:
            counts.lose("line is no JSON object", where, type(found).__name__)


def text(path: Path) -> Iterator[tuple[str, str]]:
    """(``file:line``, line) of every line that is not blank. Raises DataError where the file cannot be read."""
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                if line := raw.decode("utf-8", "surrogateescape").strip("\ufeff \t\r\n"):
                    yield f"{path.name}:{number}", line
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).", "Give the path of a list file.") from error


def unique(items: Iterable[Item], counts: Counts) -> Iterator[Item]:
    """Items with keys that occur once; a key's second item becomes ``KEY~2``, which is noted."""
    seen: dict[str, int] = {}
    for item in items:
        seen[item.key] = number = seen.get(item.key, 0) + 1
        key = item.key
        while number > 1 and (key := f"{item.key}~{number}") in seen:
            number += 1
        if key != item.key:
            seen[item.key], seen[key] = number, 1
            counts.note("key occurs again", item.key, f"written as {key}")
            item = item.model_copy(update={"key": key})
        yield item


class Writer:
    """Objects, one a line; the file appears under its name when all are written."""

    def __init__(self, path: Path) -> None:
        self._path, self._part = path, path.with_name(path.name + ".part")

    def __enter__(self) -> Writer:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._part.open("w", encoding="utf-8")
        return self

    def write(self, found: dict[str, Any]) -> None:
        """Add one object."""
        self._file.write(json.dumps(found, ensure_ascii=False) + "\n")  # UnicodeError: a lone surrogate

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is None:
            self._part.replace(self._path)
