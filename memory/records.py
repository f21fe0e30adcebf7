"""What a memory is, and what can go wrong with one.

Records and errors only, so that whoever lists, shows or erases memories needs no database to be loaded.
Knows nothing of Chroma, of embeddings or of the agent. Text in a memory is data: it is shown, never obeyed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

Now = Callable[[], datetime]  # aware; the caller's clock
EmbedTexts = Callable[[list[str]], NDArray[np.float32]]  # n texts -> float32 [n, d], L2-normalised

LONGEST_TEXT = 2_000  # characters of one memory
_PERSON = re.compile(r"[A-Za-z0-9._-]{1,64}")


class StoreError(Exception):
    """The memory cannot do what was asked; nothing that was stored is lost by it.

    ``wrong`` names what is wrong, ``mend`` how to mend it, ``code`` is stable for programs.
    """

    code = "memory_unusable"

    def __init__(self, wrong: str, mend: str) -> None:
        super().__init__(f"{wrong} {mend}")
        self.wrong, self.mend = wrong, mend


class StoreLockedError(StoreError):
    """Another process (or another store of this one) has the folder open."""

    code = "memory_locked"


class StoreDamagedError(StoreError):
    """The database on disk cannot be read."""

    code = "memory_damaged"


class BadMemoryError(StoreError):
    """A person, an id or a text that cannot be stored."""

    code = "memory_bad_request"


@dataclass(frozen=True, slots=True)
class Memory:
    """One remembered statement about (or wish of) one person."""

    id: str
    person: str
    text: str  # verbatim, as it was given
    kind: str  # where it comes from: "user" (told), "agent" (promised), "import", ...
    created: str  # ISO 8601 with offset: when it was told, or last told again
    session: str
    score: float = 0.0  # cosine to the query; 0 where nothing was asked

    def as_dict(self) -> dict[str, str]:
        """All fields but the score, for export."""
        return {name: value for name, value in asdict(self).items() if name != "score"}


def check_person(person: str) -> str:
    """``person`` itself, or BadMemoryError where it is no usable id."""
    if not _PERSON.fullmatch(person):
        raise BadMemoryError(
            f"{person[:70]!r} is not a person id.", "Use 1 to 64 of the characters A-Z a-z 0-9 . _ - for it."
        )
    return person


def check_text(text: str) -> str:
    """``text`` without outer blanks, or BadMemoryError where it is empty, too long or not Unicode text."""
    text = text.strip()
    if not 0 < len(text) <= LONGEST_TEXT:
        raise BadMemoryError(f"A memory of {len(text)} characters cannot be stored.", f"Give it 1 to {LONGEST_TEXT}.")
    if "\0" in text or (not text.isascii() and any(0xD800 <= ord(c) <= 0xDFFF for c in text)):
        raise BadMemoryError("A memory holds characters that are no text.", "Remove NUL and lone surrogates from it.")
    return text
