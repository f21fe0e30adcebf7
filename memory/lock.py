"""One owner at a time for a folder, across processes, released by the system when a process dies.

A lock on an open file, not a file that exists: a crash leaves nothing to clean up. Knows nothing of what is
in the folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

from memory.records import StoreError, StoreLockedError

NAME = ".owner"


class FolderLock:
    """Holds a folder from creation until ``release``."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; StoreLockedError where somebody has it, StoreError where it cannot be written."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] | None = (folder / NAME).open("a+", encoding="ascii")
        except OSError as error:
            raise StoreError(
                f"The memory folder {folder} cannot be written ({error.strerror}).",
                "Make it writable, or choose another with POISE_HOME.",
            ) from error
        try:
            _lock(self._file)
        except OSError as error:
            self._file.seek(0)
            owner = self._file.read(20).strip() or "unknown"
            self.release()
            raise StoreLockedError(
                f"The memory folder {folder} is in use by process {owner}.",
                "Stop that process first, or choose another folder with POISE_HOME.",
            ) from error
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Give the folder back; harmless twice."""
        if self._file is not None:
            self._file.close()  # closing frees the lock
            self._file = None


def _lock(file: IO[str]) -> None:
    """Lock without waiting; OSError where it is taken."""
    if sys.platform == "win32":  # pragma: no cover
        import msvcrt

        file.seek(1 << 20)  # a byte nobody reads, as Windows locks also bar reading
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        return
    import fcntl

    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
