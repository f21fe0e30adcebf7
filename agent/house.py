"""What a server's connections share: how a session is opened, how an aside is spoken, who can be met.

It joins the loaded parts to the doors. It knows no wire and no socket; a connection knows nothing of parts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from agent.clock import Clock
from agent.config import Settings
from agent.events import Cause, Event
from agent.metrics import Metrics
from agent.parts import Parts
from agent.session import Session
from agent.trace import TraceWriter
from model.interface import Piece, ReplyPrompt, SpeechModel
from policies import persona as personas
from policies.situation import Persona

ASIDE_WORDS = 30
Emit = Callable[[Event], None]
Spoken = tuple[str, NDArray[np.float32]]  # text, samples at the engine's rate


class Talk(Protocol):
    """What a connection needs of a session; `agent.session.Session` says what each does."""

    auto: bool
    may_interrupt_reply: bool

    @property
    def replying(self) -> str | None:
        """The id of the reply that holds the floor."""

    async def start(self) -> None:
        """Begin."""

    async def close(self, reason: str = "closed") -> None:
        """End."""

    async def feed(self, pcm: NDArray[np.float32]) -> None:
        """Take user audio: float32 [n] at 16 kHz."""

    async def respond(
        self,
        *,
        instruction: str | None = None,
        text: str | None = None,
        metadata: dict[str, str] | None = None,
        cause: Cause = "client",
    ) -> str:
        """Speak now."""

    async def add_text(self, item: str, who: Literal["user", "agent"], text: str) -> None:
        """A typed item."""

    async def cancel(self, reply: str | None = None, reason: str = "client_cancelled") -> bool:
        """Cut the reply."""

    def acknowledge(self, reply: str, played: int) -> None:
        """The client has played so much."""

    async def commit(self) -> None:
        """The user's turn ends now."""

    async def clear_input(self) -> None:
        """Forget the open turn."""

    async def set_persona(self, persona: Persona) -> None:
        """Be somebody else."""


@dataclass(frozen=True, slots=True)
class House:
    """What all connections of a server share."""

    open: Callable[[str, str, Persona, Emit], Talk]  # id, person, persona, emit
    aside: Callable[[Persona, str | None, str], Awaitable[Spoken]]  # persona, instruction, text
    personas: dict[str, Persona]
    persona: str  # name of the one a session begins with
    output_rate: int  # Hz of the engine
    clock: Clock
    metrics: Metrics


def known_personas(default: str) -> tuple[str, dict[str, Persona]]:
    """The name a session begins with, and all personas by the names clients use. Raises PersonaError."""
    chosen = personas.load(default)
    found = {name: personas.load(name) for name in personas.names()}
    return chosen.name.lower(), {**found, chosen.name.lower(): chosen}


def open_house(settings: Settings, parts: Parts, clock: Clock, metrics: Metrics) -> House:
    """A house over loaded parts."""
    name, known = known_personas(settings.persona)

    def opened(id: str, person: str, persona: Persona, emit: Emit) -> Talk:
        trace = _trace(settings, parts, id, persona) if settings.trace else None
        return Session(
            id=id, person=person, persona=persona, parts=parts, clock=clock, settings=settings, emit=emit, trace=trace
        )

    async def aside(persona: Persona, instruction: str | None, text: str) -> Spoken:
        prompt = aside_prompt(persona, instruction, text)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(parts.inference, _spoken, parts.model, prompt, settings.seed)

    return House(opened, aside, known, name, parts.model.spec.output_rate, clock, metrics)


def _trace(settings: Settings, parts: Parts, id: str, persona: Persona) -> TraceWriter:
    return TraceWriter(
        settings.home / "traces",
        id,
        engine=parts.model.spec.name,
        judge=parts.judge.name,
        persona=persona.name,
        seed=settings.seed,
    )


def aside_prompt(persona: Persona, instruction: str | None, text: str) -> ReplyPrompt:
    """The prompt of a reply outside the conversation: no history, no memory."""
    return ReplyPrompt(
        action="respond",
        instruction=instruction or "Answer what was written.",
        opening="",
        delivery="calm",
        max_words=ASIDE_WORDS,
        persona=persona.name,
        stance=persona.stance,
        boundary="",
        heard=text,
        confidence=None,
        emotion=None,
        memory=(),
        history=(),
    )


def _spoken(model: SpeechModel, prompt: ReplyPrompt, seed: int) -> Spoken:
    """On the inference pool: a whole reply at once."""
    listener = model.open(crc32(f"{seed}/{prompt.heard}".encode()))
    pieces: list[Piece] = list(listener.reply(prompt))
    text = " ".join(" ".join(piece.text for piece in pieces).split())
    sound = [np.asarray(piece.pcm, dtype=np.float32) for piece in pieces]
    return text, np.concatenate(sound) if sound else np.zeros(0, dtype=np.float32)
