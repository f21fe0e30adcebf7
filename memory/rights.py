"""Everything a person may ask about what is kept of him: see it, correct it, take it with him, have it erased.

What is kept lies in more places than the memory store (traces, checkpoints, recordings). Whoever keeps something
hands in a Keeper; this file asks them all, in order, and knows nothing of how any of them keeps. Traces are found by
the line in which they name their person. Who is asking is not checked here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from memory.records import Memory, StoreError, check_person

HEAD_LINES = 8  # a trace names its person among its first lines


class Keeper(Protocol):
    """A place where something of a person is kept; blocking."""

    @property
    def name(self) -> str:
        """What the place is called in an export."""

    def export(self, person: str) -> Any:
        """All of it, ready for JSON."""

    def forget(self, person: str) -> int:
        """Erase all of it; how many things went."""


class Store(Protocol):
    """What is asked of a memory store."""

    def list(self, person: str) -> list[Memory]:
        """Every memory, oldest first."""

    def correct(self, person: str, id: str, text: str) -> Memory:
        """Replace a text."""

    def forget(self, person: str, id: str | None = None, matching: str | None = None) -> int:
        """Erase one, some, all."""

    def export(self, person: str) -> dict[str, Any]:
        """All, for JSON."""


class TraceFiles:
    """The traces (JSON lines) in a folder: a keeper of whole sessions.

    ``also``: called with the session's name before its trace is erased, for what is filed under sessions
    (checkpoints, recordings).
    """

    name = "traces"

    def __init__(self, folder: Path, also: Sequence[Callable[[str], object]] = ()) -> None:
        self.folder, self._also = Path(folder), tuple(also)

    def files(self, person: str) -> list[Path]:
        """The traces of one person, by name."""
        return [path for path in sorted(self.folder.glob("*.jsonl")) if _person_of(path) == person]

    def export(self, person: str) -> dict[str, list[Any]]:
        """For each session its lines; a torn line is given as it stands."""
        return {path.stem: [_parsed(line) for line in _lines(path)] for path in self.files(person)}

    def forget(self, person: str) -> int:
        """Erase the files. Raises StoreError where one cannot be erased; what went before stays erased."""
        paths = self.files(person)
        for path in paths:
            for forget in self._also:
                forget(path.stem)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise StoreError(
                    f"The trace {path} cannot be erased ({error.strerror}).", "Make its folder writable and try again."
                ) from error
        return len(paths)


def list_all(store: Store, person: str) -> list[Memory]:
    """Every memory of ``person``, oldest first."""
    return store.list(check_person(person))


def correct(store: Store, person: str, id: str, text: str) -> Memory:
    """Replace the words of one memory; BadMemoryError where there is none of this id."""
    return store.correct(check_person(person), id, text)


def export_all(store: Store, person: str, keepers: Iterable[Keeper] = ()) -> dict[str, Any]:
    """All that is kept of ``person`` anywhere, ready for JSON: the store's export, and one entry per keeper."""
    return store.export(check_person(person)) | {keeper.name: keeper.export(person) for keeper in keepers}


def forget_all(store: Store, person: str, keepers: Iterable[Keeper] = ()) -> dict[str, int]:
    """Erase all that is kept of ``person`` anywhere; how many things went, by place.

    The memory goes first, so that an error later leaves the least behind; asking again is harmless.
    """
    gone = {"memories": store.forget(check_person(person))}
    for keeper in keepers:
        gone[keeper.name] = keeper.forget(person)
    return gone


def _person_of(path: Path) -> str | None:
    for line in _lines(path)[:HEAD_LINES]:
        found = _parsed(line)
        if isinstance(found, dict) and isinstance(found.get("person"), str):
            return str(found["person"])
    return None


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return line
