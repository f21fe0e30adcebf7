"""What waits to be sent to one client, and how much of that may wait.

A slow reader costs bounded memory: what can be dropped (judgements) is dropped first, then the queue says
that it overflows. It knows of no sockets and never drops audio or words.
"""

from __future__ import annotations

from collections import deque

LIMIT = 1 << 20  # characters that may wait: 16 s of audio at 24 kHz


class Outbox:
    """A bounded queue of encoded frames."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._waiting: deque[tuple[str, bool]] = deque()
        self._size = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def size(self) -> int:
        """Characters that wait."""
        return self._size

    def put(self, text: str, droppable: bool = False) -> bool:
        """Add a frame; False when it does not fit even after dropping all that may be dropped."""
        if self._size + len(text) > self._limit:
            if droppable:
                self.dropped += 1
                return True
            self._drop()
            if self._size + len(text) > self._limit:
                return False
        self._waiting.append((text, droppable))
        self._size += len(text)
        return True

    def take(self) -> str | None:
        """The next frame to send, oldest first."""
        if not self._waiting:
            return None
        text, _ = self._waiting.popleft()
        self._size -= len(text)
        return text

    def _drop(self) -> None:
        kept = [entry for entry in self._waiting if not entry[1]]
        self.dropped += len(self._waiting) - len(kept)
        self._waiting = deque(kept)
        self._size = sum(len(text) for text, _ in kept)


class InputPace:
    """How long to stop reading a client that sends audio faster than twice real time for long."""

    def __init__(self, rate: float = 2.0, slack_s: float = 30.0) -> None:
        self._rate, self._slack = rate, slack_s
        self._excess, self._at = 0.0, 0.0

    def take(self, seconds: float, now: float) -> float:
        """Note ``seconds`` of audio that came at ``now``; seconds to wait before reading on."""
        self._excess = max(0.0, self._excess - self._rate * (now - self._at)) + seconds
        self._at = now
        return max(0.0, self._excess - self._slack) / self._rate
