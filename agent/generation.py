"""The one cancellation object of a session: a counter.

Only the session raises it, on the event loop; anybody may read it from any thread, as reading an int is atomic.
Whoever works for a reply keeps the number the reply began with and stops once it is no longer current. It does
not know what is being cancelled.
"""

from __future__ import annotations


class Generation:
    """The session's generation number; it only ever grows."""

    def __init__(self) -> None:
        self._number = 0

    @property
    def number(self) -> int:
        """The current generation."""
        return self._number

    def advance(self) -> int:
        """Everything begun before is stale from now on; returns the new number."""
        self._number += 1
        return self._number

    def is_current(self, number: int) -> bool:
        """Whether work that began at ``number`` may go on."""
        return number == self._number
