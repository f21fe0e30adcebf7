"""One reply's life: planned, speaking, then completed, cut or failed; and its latency ledger.

Records only; it does not know how a reply is made or sent. A state is left by one of the listed ways or not at all.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

from agent.events import Cause
from agent.playback import Playback
from model.interface import PoiseError, ReplyPrompt, Said
from policies.situation import Decision, Judgement, Situation


class ReplyError(PoiseError):
    """A step that cannot follow from a reply's state; a fault in the house, not of the user."""

    code = "reply_transition"


class Stage(StrEnum):
    """How far a reply has come."""

    PLANNED = "planned"
    SPEAKING = "speaking"
    COMPLETED = "completed"
    CUT = "cut"
    FAILED = "failed"


INTERRUPTION_HOLDS_MS = 2400.0  # after its first sound; people need a moment to fall silent, and it has a reason
ENDS = frozenset({Stage.COMPLETED, Stage.CUT, Stage.FAILED})
NEXT: dict[Stage, frozenset[Stage]] = {
    Stage.PLANNED: frozenset({Stage.SPEAKING, Stage.CUT, Stage.FAILED}),
    Stage.SPEAKING: ENDS,
    **{end: frozenset[Stage]() for end in ENDS},
}


@dataclass(frozen=True)
class Wish:
    """Why and how the agent takes the floor."""

    cause: Cause
    action: str  # one of the actions, or "open"
    situation: Situation  # at the moment of deciding; history without what is answered
    decision: Decision
    judgement: Judgement | None = None
    instruction: str | None = None  # the client's, instead of the strategy's
    metadata: dict[str, str] | None = None


@dataclass
class Ledger:
    """Moments of a turn, ms of the session clock."""

    user_stopped: float | None = None
    decided: float | None = None
    first_audio: float | None = None
    barge_in: float | None = None
    silent: float | None = None


@dataclass
class Reply:
    """A reply and everything that belongs to it alone."""

    id: str
    generation: int
    wish: Wish
    playback: Playback
    prompt: ReplyPrompt | None = None
    stage: Stage = Stage.PLANNED
    ledger: Ledger = field(default_factory=Ledger)
    said: Said | None = None  # what was heard of it, once it has ended
    user_words: str = ""  # what it answers
    fed: asyncio.Event = field(default_factory=asyncio.Event)  # a piece has come, or there will be no more

    def move(self, stage: Stage) -> None:
        """Go on to the next stage. Raises ReplyError where that cannot be."""
        if stage not in NEXT[self.stage]:
            raise ReplyError(
                f"A reply that is {self.stage.value!r} cannot become {stage.value!r}.",
                "This is a fault in Poise; please report it with the session's trace.",
            )
        self.stage = stage

    @property
    def is_over(self) -> bool:
        """Whether it has ended one way or another."""
        return self.stage in ENDS


def is_young_interruption(action: str, first_audio_ms: float | None, now_ms: float) -> bool:
    """Whether a reply is an interruption too young to be ended by the user's merely running on."""
    if action != "interrupt":
        return False
    return first_audio_ms is None or now_ms - first_audio_ms < INTERRUPTION_HOLDS_MS
