"""The pieces of one reply, taken from an engine's iterator on the inference pool.

Closing waits for the step that is running and no longer; nothing else may touch the iterator. It does not know
what becomes of the pieces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from agent.clock import Clock
from agent.parts import Parts
from model.interface import Listener, Piece, PoiseError, ReplyPrompt


class ReplyStalledError(PoiseError):
    """An engine has not made the next piece in time."""

    code = "reply_stalled"


async def in_time(clock: Clock, work: asyncio.Future[Any], seconds: float) -> None:
    """Wait for work on the engine. Raises ReplyStalledError; the work itself goes on."""
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({work, timer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
    if not work.done():
        raise ReplyStalledError(
            f"The speech model made no sound for {seconds:g} s.", "Say it again, or take a faster engine or machine."
        )


class PieceStream:
    """An engine's iterator, seen from the event loop."""

    def __init__(self, parts: Parts, clock: Clock, listener: Listener) -> None:
        self._parts, self._clock, self._listener = parts, clock, listener
        self._iterator: Iterator[Piece] | None = None
        self._step: asyncio.Future[Any] | None = None
        self._is_closing = False

    async def next(self, prompt: ReplyPrompt, deadline_s: float) -> Piece | None:
        """The next piece; None at the end. Raises ReplyStalledError, and whatever the engine raises."""
        self._step = self._submit(self._advance, prompt)
        await in_time(self._clock, self._step, deadline_s)
        piece: Piece | None = self._step.result()
        return piece

    async def close(self) -> None:
        """Stop the engine: the running step ends, no other begins."""
        self._is_closing = True
        if self._step is not None and not self._step.done():
            await asyncio.wait({self._step})
        if self._step is not None and not self._step.cancelled():
            self._step.exception()  # seen; who cut the reply does not care
        if self._iterator is not None:
            await self._submit(self._stop)

    def _submit(self, work: Any, *args: Any) -> asyncio.Future[Any]:
        self._clock.hold()
        future = asyncio.get_running_loop().run_in_executor(self._parts.inference, work, *args)
        future.add_done_callback(lambda _: self._clock.release())
        return future

    def _advance(self, prompt: ReplyPrompt) -> Piece | None:
        if self._is_closing:
            return None
        if self._iterator is None:
            self._iterator = iter(self._listener.reply(prompt))
        return next(self._iterator, None)

    def _stop(self) -> None:
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()
