"""The one log of a session: typed events, in order. Wire protocols and traces are projections of it.

Data only. `at_ms` is the session clock; `generation` is the session's generation number when it happened.
"""

from __future__ import annotations

from typing import Literal

from model.interface import Piece, Record
from policies.situation import Decision, Judgement, Situation

Cause = Literal["judge", "client", "timer"]


class Event(Record):
    """Base of all events."""

    at_ms: int
    generation: int


class SpeechStarted(Event):
    """The user claims the floor (or claimed it, at ``start_ms``)."""

    item: str
    start_ms: int


class SpeechStopped(Event):
    """The user's turn is over."""

    item: str
    end_ms: int


class TranscriptGrew(Event):
    """More of the user's words have become stable."""

    item: str
    delta: str


class UserTurnDone(Event):
    """The user's turn is closed; ``transcript`` is final."""

    item: str
    transcript: str
    emotion: str | None
    seconds: float


class ChunkJudged(Event):
    """One chunk was heard, judged and decided upon."""

    chunk: int
    situation: Situation
    judgement: Judgement
    decision: Decision
    stage_ms: dict[str, float]  # real time spent in vad, hear, judge, decide, graph; lateness as "late"


class ReplyStarted(Event):
    """The agent takes the floor."""

    reply: str
    cause: Cause
    action: str
    p: dict[str, float] | None
    reasons: tuple[str, ...]
    metadata: dict[str, str] | None = None  # the client's, echoed


class ReplyPiece(Event):
    """A piece was made and handed to playback."""

    reply: str
    piece: Piece


class AudioSent(Event):
    """Samples of a reply left for the client (offset and pcm at the engine's output rate)."""

    reply: str
    offset: int
    pcm: object  # float32 [n]
    text: str  # words that end within these samples


class ReplyDone(Event):
    """A reply has ended: it was played out, or cut."""

    reply: str
    status: Literal["completed", "cut", "failed"]
    reason: str  # "", "barge_in", "client_cancelled", "superseded", or an error code
    text: str  # all words made
    heard_text: str  # words really heard
    played: int  # samples really played


class MemoryRecalled(Event):
    """Facts were fetched for a reply."""

    texts: tuple[str, ...]


class MemoryWritten(Event):
    """Facts were stored after a turn."""

    texts: tuple[str, ...]


class TurnTimed(Event):
    """Latency ledger of one turn, in ms of the session clock; None where it did not happen."""

    reply: str
    user_stopped_ms: float | None  # end of the user's speech
    decided_ms: float | None
    first_audio_ms: float | None
    barge_in_ms: float | None  # start of the user's overlapping speech
    silent_ms: float | None  # last sample of the reply sent or played


class Failed(Event):
    """Something went wrong; the session lives on."""

    code: str
    message: str


class Closed(Event):
    """The session is over."""

    reason: str
