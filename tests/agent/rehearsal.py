"""A session in virtual time, with the words its tests need: say, hush, heard, decided, sent.

Everything is real but the sound: a voice detector that goes by loudness, and a judge that answers after a pause.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from agent.clock import VirtualClock
from agent.config import Settings
from agent.events import AudioSent, Event
from agent.parts import Parts, assemble
from agent.session import Session
from agent.trace import TraceWriter
from model.interface import CHUNK_SAMPLES, SAMPLE_RATE, SpeechModel
from policies.situation import ACTIONS, Judge, Judgement, Persona, Situation
from tests.agent.tiny_engine import TinyModel

E = TypeVar("E", bound=Event)
STEP = 1280  # samples fed at once: 80 ms
PERSONA = Persona(name="Test", stance="plain")


class LoudnessVoice:
    def probabilities(self, pcm: NDArray[np.float32]) -> tuple[float, ...]:
        return tuple(0.95 if np.abs(pcm[i : i + 512]).max() > 0.01 else 0.02 for i in range(0, CHUNK_SAMPLES, 512))


class LoudnessVad:
    def open(self) -> LoudnessVoice:
        return LoudnessVoice()


class PauseJudge:
    """Takes the floor with one action after a pause."""

    name = "pause"

    def __init__(self, action: str = "respond", pause_s: float = 0.3) -> None:
        self.action, self.pause_s = action, pause_s

    def judge(self, situation: Situation) -> Judgement:
        takes = situation.percept.spoken_s > 0 and situation.percept.pause_s >= self.pause_s
        chosen = self.action if takes else "silence"
        sure = 0.992 if self.action == "silence" else 0.92
        p = {action: sure if action == chosen else (1 - sure) / 4 for action in ACTIONS}
        return Judgement(p=p, user_done=None, evidence=(), judge=self.name)


class Rehearsal:
    """One session and everything it has told."""

    def __init__(self, session: Session, clock: VirtualClock, parts: Parts, events: list[Event]) -> None:
        self.session, self.clock, self.parts, self.events = session, clock, parts, events

    async def say(self, seconds: float) -> None:
        """The user speaks."""
        await self._feed(seconds, 0.1)

    async def hush(self, seconds: float) -> None:
        """The user is silent; the microphone goes on."""
        await self._feed(seconds, 0.0)

    async def _feed(self, seconds: float, level: float) -> None:
        left = round(seconds * SAMPLE_RATE)
        while left > 0:
            size = min(STEP, left)
            await self.clock.advance(size / SAMPLE_RATE)
            await self.session.feed(np.full(size, level, dtype=np.float32))
            left -= size
        await self.clock.settle()

    async def until_reply(self) -> None:
        """A user turn, and the beginning of the reply to it."""
        await self.say(0.8)
        while self.session.replying is None:
            await self.hush(0.08)

    def told(self, kind: type[E]) -> list[E]:
        """The events of a kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def sent(self, reply: str) -> NDArray[np.float32]:
        """All samples of a reply that have left."""
        parts = [np.asarray(event.pcm) for event in self.told(AudioSent) if event.reply == reply]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


@asynccontextmanager
async def rehearsal(
    home: Path,
    *,
    model: SpeechModel | None = None,
    judge: Judge | None = None,
    persona: Persona = PERSONA,
    id: str = "s1",
    traced: bool = False,
    patience: float = 30.0,
    parts: Parts | None = None,
    memory: Any = None,
    **settings: Any,
) -> AsyncIterator[Rehearsal]:
    """A started session; closed in the end, whatever happens."""
    given = Settings(home=home, checkpoints=settings.pop("checkpoints", "memory"), **settings)
    clock, events = VirtualClock(patience), list[Event]()
    own = parts or assemble(
        given, model=model or TinyModel(), judge=judge or PauseJudge(), vad=LoudnessVad(), memory=memory
    )
    trace = TraceWriter(home / "traces", id) if traced else None
    session = Session(
        id=id, person="ann", persona=persona, parts=own, clock=clock, settings=given, emit=events.append, trace=trace
    )
    await session.start()
    try:
        yield Rehearsal(session, clock, own, events)
    finally:
        await session.close()
        if parts is None:
            await own.close()
