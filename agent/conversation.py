"""What the two sides of a session share: time, floor, generation, history, and the one log.

The listening side and the speaking side meet only here. It does not know how hearing or speaking is done.
"""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import Callable, Coroutine
from typing import Any
from zlib import crc32

import numpy as np
from loguru import logger

from agent.clock import Clock, held
from agent.config import Settings
from agent.events import AudioSent, Event, Failed
from agent.floor import Happening, after
from agent.generation import Generation
from agent.parts import Parts
from agent.recording import Recorder
from agent.trace import TraceWriter
from model.interface import PoiseError, Said
from policies.situation import Floor, Persona, PolicyState

RECENT = 24  # turns that judges and prompts may see, so that their cost does not grow with the conversation
KEPT = 400  # turns that a checkpoint keeps


NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class SessionNameError(PoiseError):
    """A session or a person has a name that cannot be one of a file."""

    code = "session_name"


class Conversation:
    """The shared state of one session. Used on the event loop only."""

    def __init__(
        self,
        *,
        id: str,
        person: str,
        persona: Persona,
        parts: Parts,
        clock: Clock,
        settings: Settings,
        emit: Callable[[Event], None],
        trace: TraceWriter | None,
    ) -> None:
        for name in (id, person):
            if not NAME.fullmatch(name) or set(name) == {"."}:
                raise SessionNameError(
                    f"{name[:80]!r} cannot name a session or a person.",
                    "Use up to 64 letters, digits, dots and dashes.",
                )
        self.id, self.person, self.persona = id, person, persona
        self.parts, self.clock, self.settings = parts, clock, settings
        self.trace, self._emit = trace, emit
        self.generation, self.floor = Generation(), Floor.NOBODY
        self.history: list[Said] = []
        self.policy = PolicyState()
        self.facts: tuple[str, ...] = ()  # recalled, for the next chunk
        self.seed = crc32(f"{settings.seed}/{id}".encode())
        self._recent: tuple[Said, ...] = ()
        self._began, self._named = clock.now(), 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._last_failure = ""
        rate = parts.model.spec.output_rate
        self.recorder = Recorder(settings.home / "recordings", id, rate) if settings.record else None

    def seconds(self) -> float:
        """The session clock."""
        return self.clock.now() - self._began

    def ms(self) -> float:
        """The session clock in milliseconds."""
        return self.seconds() * 1000

    def emit(self, kind: type[Event], **fields: Any) -> None:
        """Put an event into the log. A listener that fails must not stop the session."""
        event = kind(at_ms=round(self.ms()), generation=self.generation.number, **fields)
        if self.trace is not None:
            self.trace.write(event)
        if self.recorder is not None and isinstance(event, AudioSent):
            self.recorder.agent(self.seconds(), np.asarray(event.pcm, dtype=np.float32))
        try:
            self._emit(event)
        except Exception as error:
            _log("the receiver of events", error)

    def fail(self, what: str, error: Exception) -> str:
        """Tell of a failure, once while it lasts; returns its code. The session lives on."""
        code = getattr(error, "code", "") or "engine_error"
        known = hasattr(error, "wrong") and hasattr(error, "mend")
        message = f"{error}" if known else f"Something failed in {what} ({type(error).__name__}). See the server's log."
        if not known:
            _log(what, error)
        if message != self._last_failure:
            self.emit(Failed, code=str(code), message=message)
        self._last_failure = message
        return str(code)

    def works(self) -> None:
        """What failed before has worked again."""
        self._last_failure = ""

    def happen(self, happening: Happening) -> None:
        """Move the floor."""
        self.floor = after(self.floor, happening)

    def set_policy(self, state: PolicyState) -> None:
        """Set the policy's state otherwise than by deciding; the trace must know."""
        self.policy = state
        if self.trace is not None:
            self.trace.state(state)

    def add(self, said: Said) -> Said:
        """Add to the history; only what was really said and heard."""
        self.history.append(said)
        self._recent = ()
        return said

    def replace_last(self, old: Said, new: Said | None) -> None:
        """Correct a recent entry that turned out otherwise; None takes it out."""
        for i in range(len(self.history) - 1, max(len(self.history) - RECENT, 0) - 1, -1):
            if self.history[i] is old:
                self.history[i : i + 1] = [] if new is None else [new]
                self._recent = ()
                return

    @property
    def recent(self) -> tuple[Said, ...]:
        """The end of the history, oldest first; the same object until it changes."""
        if not self._recent:
            self._recent = tuple(self.history[-RECENT:])
        return self._recent

    def kept(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON."""
        return {
            "history": [said.model_dump(mode="json") for said in self.history[-KEPT:]],
            "policy": self.policy.model_dump(mode="json"),
            "named": self._named,
        }

    def take_back(self, kept: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.history = [Said(**said) for said in kept["history"]]
        self._named = int(kept["named"])
        self._recent = ()
        self.set_policy(PolicyState(**kept["policy"]))

    def name(self, kind: str) -> str:
        """A new id, e.g. of an item or a reply: repeatable, and not used before by this session."""
        self._named += 1
        return f"{kind}_{crc32(self.id.encode()):08x}{self._named:08x}"

    async def compute(self, work: Callable[..., Any], *args: Any) -> Any:
        """Run blocking work on the inference pool; virtual time stands still meanwhile."""
        with held(self.clock):
            return await asyncio.get_running_loop().run_in_executor(self.parts.inference, work, *args)

    async def with_memory(self, work: Callable[..., Any], *args: Any) -> Any:
        """Run blocking work on the memory's one worker."""
        with held(self.clock):
            return await asyncio.get_running_loop().run_in_executor(self.parts.remembering, work, *args)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task that ends with the session."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop_tasks(self) -> None:
        """Cancel and await all that was spawned."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _log(what: str, error: Exception) -> None:
    # Only places in the code: values could hold what the user said.
    places = " < ".join(
        f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)[::-1][:5]
    )
    logger.error("{} failed: {} at {}", what, type(error).__name__, places)
