"""Time, in a real and a virtual form; the only file of the house that reads a clock or waits.

Everything else is handed a Clock. It does not know what is timed; a virtual clock only knows that it must not
move while somebody holds it, so that computing takes no virtual time and tests are repeatable.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

QUIET = 12  # rounds of the event loop in which nothing is held, after which all has come to rest


class Clock(Protocol):
    """What a session may ask of time."""

    def now(self) -> float:
        """Seconds since some fixed moment; never goes back."""

    def perf(self) -> float:
        """Seconds for measuring what computing costs; constant under virtual time."""

    def today(self) -> datetime:
        """Date and time, with zone, for stamps that people read."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    def hold(self) -> None:
        """Computing begins: a virtual clock stands still until as many releases."""

    def release(self) -> None:
        """Computing ends."""


@contextmanager
def held(clock: Clock) -> Iterator[None]:
    """Hold the clock for the length of a block."""
    clock.hold()
    try:
        yield
    finally:
        clock.release()


class RealClock:
    """The machine's clock."""

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def perf(self) -> float:
        """The finest clock there is, in seconds."""
        return time.perf_counter()

    def today(self) -> datetime:
        """Now, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait for real."""
        await asyncio.sleep(max(seconds, 0.0))

    def hold(self) -> None:
        """Real time cannot be held."""

    def release(self) -> None:
        """Nor released."""


class VirtualClock:
    """A clock that moves only when it is advanced.

    ``advance`` wakes sleepers one by one in order of time and lets everything they start come to rest before it
    moves on. ``patience`` is the real time, in seconds, it waits for held computing before it moves all the same
    (a model that hangs must not hang the clock).
    """

    def __init__(self, patience: float = 30.0) -> None:
        self._now, self._held, self._patience = 0.0, 0, patience
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """Virtual seconds."""
        return self._now

    def perf(self) -> float:
        """Constant: computing costs nothing here."""
        return 0.0

    def today(self) -> datetime:
        """The first of January 2000 plus virtual time."""
        return datetime.fromtimestamp(946_684_800 + self._now, UTC)

    def hold(self) -> None:
        """Computing begins."""
        self._held += 1

    def release(self) -> None:
        """Computing ends."""
        self._held -= 1

    def jump(self, seconds: float) -> None:
        """Move on without waking anybody, as slow computing would; callable from any thread."""
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        """Wait until somebody has advanced the clock so far."""
        if seconds <= 0:
            return await asyncio.sleep(0)
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        end = self._now + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end + 1e-9:
            at, _, future = heapq.heappop(self._sleepers)
            if future.done():  # a sleeper that was cancelled meanwhile
                continue
            self._now = max(self._now, at)
            future.set_result(None)
            await self.settle()
        self._now = max(self._now, end)

    async def settle(self) -> None:
        """Let all that can happen now happen, and held computing end."""
        began, quiet = time.monotonic(), 0
        while quiet < QUIET:
            await asyncio.sleep(0 if not self._held else 0.0005)
            quiet = 0 if self._held and time.monotonic() - began < self._patience else quiet + 1
