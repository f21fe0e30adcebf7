"""What a client asks of a session, as data: the one result of reading a wire message.

A protocol turns bytes into these; whoever holds the session carries them out, in order. Nothing here
knows of sockets, JSON or any client's wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Command:
    """Base of all commands; ``event_id`` is the client's name for the message, for typed errors."""

    event_id: str | None


@dataclass(frozen=True, slots=True)
class Feed(Command):
    """User audio: float32 [n] at 16 kHz, mono, -1..1."""

    pcm: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Commit(Command):
    """The user's turn ends now (manual mode)."""


@dataclass(frozen=True, slots=True)
class ClearInput(Command):
    """Forget what was heard of the user's open turn."""


@dataclass(frozen=True, slots=True)
class AddText(Command):
    """A typed item enters the history."""

    item: str
    who: Literal["user", "agent"]
    text: str


@dataclass(frozen=True, slots=True)
class Respond(Command):
    """The client wants a reply now; ``text`` is what it answers when that was not spoken or typed before."""

    instruction: str | None
    text: str | None
    metadata: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Aside(Command):
    """The client wants a text that stays outside the conversation and its memory."""

    response: str
    instruction: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Cancel(Command):
    """The running reply must stop; ``reply`` is the session's id, None = whichever runs."""

    reply: str | None


@dataclass(frozen=True, slots=True)
class Acknowledge(Command):
    """The client has really played ``played`` samples (engine rate) of a reply."""

    reply: str
    played: int


@dataclass(frozen=True, slots=True)
class Configure(Command):
    """Who takes the floor by itself, and whether speech may cut a reply."""

    auto: bool
    may_interrupt: bool


@dataclass(frozen=True, slots=True)
class SetPersona(Command):
    """Be this persona, with the client's instructions added to its stance; None keeps the persona."""

    persona: str | None
    instructions: str


@dataclass(frozen=True, slots=True)
class Identify(Command):
    """Whose memory the session reads and writes."""

    person: str
