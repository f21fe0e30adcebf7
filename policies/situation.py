"""The records that judging is made of: what may be seen, what was judged, what was decided.

Types only. Nothing here computes, waits or knows of an engine.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, Protocol

from model.interface import Percept, Record, Said

ACTIONS = ("interrupt", "refuse", "deflect", "silence", "respond")
Action = Literal["interrupt", "refuse", "deflect", "silence", "respond"]
Move = Literal["listen", "take_floor", "yield_floor", "go_on", "duck"]


class Floor(StrEnum):
    """Who holds the floor."""

    USER = "user"
    AGENT = "agent"
    BOTH = "both"
    NOBODY = "nobody"


class Persona(Record):
    """Who the agent is, as data (see persona.py for loading and checking)."""

    name: str
    stance: str
    patience: Literal["low", "medium", "high"] = "medium"
    relationship: Literal["stranger", "acquaintance", "friend", "close"] = "friend"
    boundaries: tuple[str, ...] = ()
    greeting: str = ""  # what it says when it opens by itself; "" = it never opens
    opens_after_s: float | None = None  # silence at the start of a session after which it opens


class Situation(Record):
    """All that a judge may see at the end of one chunk."""

    percept: Percept
    persona: Persona
    memory: tuple[str, ...]  # recalled facts, nearest first
    history: tuple[Said, ...]  # earlier turns, oldest first
    floor: Floor
    agent_says: str  # what the agent has been heard saying in its current reply; "" while it is silent
    time_s: float  # session clock at the end of the chunk
    turn_s: float  # since the user's turn began; 0 before it has
    still_s: float  # since the transcript last grew


class Judgement(Record):
    """Five probabilities for one chunk, and the evidence."""

    p: dict[str, float]  # each of ACTIONS; they sum to 1
    user_done: float | None  # probability that the user has yielded the floor
    evidence: tuple[str, ...]
    judge: str  # its name


class PolicyState(Record):
    """What the policy must remember from chunk to chunk; part of the checkpoint."""

    acted_words: int = 0  # words of this turn's transcript that were there at the last action
    acted_s: float = -1e9  # session clock of the last action
    acted_spoken_s: float = 0.0  # seconds of this turn's speech that were there at the last action
    held: tuple[tuple[str, float], ...] = ()  # smoothed probabilities
    overlap_s: float = 0.0  # how long user speech has overlapped the agent's reply


class Decision(Record):
    """What the policy makes of a judgement."""

    chunk: int
    action: Action
    move: Move
    reasons: tuple[str, ...]  # short sentences, most weighty first
    flip: str  # what would have changed the decision


class Judge(Protocol):
    """Turns situations into judgements. Stateless: all it needs is in the situation."""

    name: str

    def judge(self, situation: Situation) -> Judgement:
        """Judge one chunk; probabilities sum to 1."""
