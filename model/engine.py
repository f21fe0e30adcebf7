"""The engine of the large model: many sessions at once in one process, everything in batches.

One thread owns the model. It hears chunks as they come (one encoder pass and one short forward of the language
model for all of them), and between such passes does one small step for all replies that are being made: a word,
a unit, a block of sound. What a conversation holds stays in its lane of the cache; a prompt is compared with what
stands there, and only what differs is computed. Judging writes past the end of that, so it costs no copy and
disturbs nothing; a reply works on a copy of its own. This file is the way in; `serving.core` does the work.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from loguru import logger
from torch import Tensor

from model.interface import PoiseError
from model.opens2s.loading import Loaded
from model.serving.core import Core, EngineOptions, Heard, Plan, Stopwatch
from model.serving.replies import Blocks
from model.serving.sessions import Talk
from model.serving.slots import Slot

Result = TypeVar("Result")


class EngineError(PoiseError):
    """The engine failed at a step, or was closed."""

    code = "engine_failed"


@dataclass(eq=False)
class _Chunk:
    talk: Talk
    samples: Tensor
    judge: bool
    future: Future[Heard] = field(default_factory=Future)


class Engine:
    """One model, many sessions. Close it after use, or use it as a context manager."""

    def __init__(
        self,
        loaded: Loaded,
        options: EngineOptions | None = None,
        slots: Sequence[Slot] = (),
        stopwatch: Stopwatch = nullcontext,
    ) -> None:
        """``slots`` are asked of every chunk; ``stopwatch(stage)`` surrounds each piece of work."""
        self.options = options or EngineOptions()
        self._core = Core(loaded, self.options, slots, stopwatch)
        self._work: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._chunks: deque[_Chunk] = deque()
        self._awake = threading.Condition()
        self._woken, self._open = False, True
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- from any thread ---------------------------------------------------------------------------------------

    def enter(self, seed: int) -> Talk:
        """Begin a session. Raises LanesError where the engine is full."""
        return self._do(lambda: self._core.enter(seed)).result()

    def leave(self, talk: Talk) -> None:
        """End a session, whatever it is doing; does not wait, and may be called twice."""
        if self._open:
            self._do(lambda: self._core.leave(talk))

    def hear(self, talk: Talk, samples: Tensor, judge: bool = True) -> Heard:
        """Take in float32 samples [n] at the model's rate; with ``judge`` the slots are asked. Waits."""
        chunk = _Chunk(talk, samples, judge)
        with self._awake:
            self._must_be_open()
            self._chunks.append(chunk)
            self._awake.notify()
        return chunk.future.result()

    def pause(self, talk: Talk) -> None:
        """The speaker pauses: what the engine would think before a reply, it thinks now."""
        if self.options.thinking != "none":
            self._do(lambda: self._core.begin_thought(talk))

    def go_on(self, talk: Talk) -> None:
        """The speaker goes on: the thought came too early."""
        if self.options.thinking != "none":
            self._do(lambda: self._core.drop_thought(talk))

    def forget_turn(self, talk: Talk) -> None:
        """Let go of the sound of this turn."""
        self._do(lambda: self._core.forget_turn(talk)).result()

    def take_up(self, talk: Talk) -> None:
        """The turn is over and will be answered: it becomes part of the conversation."""
        self._do(lambda: self._core.take_up(talk)).result()

    def said(self, talk: Talk, text: str) -> None:
        """What was really heard of the agent's reply becomes part of the conversation."""
        self._do(lambda: talk.add_reply(text)).result()

    def reply(self, talk: Talk, plan: Plan) -> Blocks:
        """Answer. Closing the iterator cancels within one step; a reply still being made is cancelled."""
        return self._do(lambda: self._core.plan(talk, plan, self._wake)).result().blocks()

    def close(self) -> None:
        """Stop; whatever still waits fails with an EngineError."""
        with self._awake:
            self._open = False
            self._awake.notify()
        self._thread.join()

    def _do(self, work: Callable[[], Result]) -> Future[Result]:
        future: Future[Result] = Future()
        with self._awake:
            self._must_be_open()
            self._work.append((work, future))
            self._awake.notify()
        return future

    def _wake(self) -> None:
        with self._awake:
            self._woken = True
            self._awake.notify()

    def _must_be_open(self) -> None:
        if not self._open:
            raise EngineError("The engine was closed.", "Start it again.")

    # -- the engine's thread -----------------------------------------------------------------------------------

    @torch.inference_mode()
    def _run(self) -> None:
        busy = False
        while True:
            with self._awake:
                while self._open and not (busy or self._woken or self._work or self._chunks):
                    self._awake.wait()
                work, chunks, self._woken = list(self._work), list(self._chunks), False
                self._work.clear()
                self._chunks.clear()
                if not self._open:
                    break
            for task, future in work:
                _settle(future, task)
            if chunks:
                self._hear(chunks)
            busy = self._step()
        error = EngineError("The engine was closed.", "Start it again.")
        for future in [*(future for _, future in work), *(chunk.future for chunk in chunks)]:
            future.set_exception(error)
        self._core.fail(error)

    def _hear(self, chunks: list[_Chunk]) -> None:
        later: list[_Chunk] = []
        now: dict[int, _Chunk] = {}
        for chunk in chunks:  # one chunk of each session at a time, in order
            later.append(chunk) if id(chunk.talk) in now else now.setdefault(id(chunk.talk), chunk)
        try:
            found = self._core.hear([(chunk.talk, chunk.samples, chunk.judge) for chunk in now.values()])
        except Exception as error:
            logger.exception("The engine could not hear")
            for chunk in now.values():
                chunk.future.set_exception(error)
        else:
            for chunk, heard in zip(now.values(), found, strict=True):
                chunk.future.set_result(heard)
        if later:
            self._hear(later)

    def _step(self) -> bool:
        try:
            return self._core.step(lambda: bool(self._chunks))
        except Exception as error:
            logger.exception("A step of the engine failed")
            self._core.fail(EngineError(f"The speech model failed: {error}.", "Ask again."))
            return True


def _settle(future: Future[Any], work: Callable[[], Any]) -> None:
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
