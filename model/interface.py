"""The contract of a speech model: what goes in, what comes out, nothing else.

An engine is written against this page alone. It knows nothing of floors, judges or memory. All records
are frozen and serialisable; arrays travel as base64 float16. A field an engine cannot know is ``None``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

SAMPLE_RATE = 16_000  # Hz, of everything inside the house
CHUNK_SAMPLES = 2_560  # 160 ms
CHUNK_S = CHUNK_SAMPLES / SAMPLE_RATE
EMOTIONS = ("neutral", "happy", "sad", "angry", "afraid", "surprised")
EVENTS = ("none", "laugh", "sigh", "cough", "cry", "noise")
DELIVERIES = ("warm", "calm", "cheerful", "firm", "concerned", "gentle", "playful", "serious")


class PoiseError(Exception):
    """An error a user can meet: one sentence that names what is wrong, one that says how to mend it."""

    code = "poise_error"

    def __init__(self, wrong: str, mend: str) -> None:
        super().__init__(f"{wrong} {mend}")
        self.wrong, self.mend = wrong, mend

    def __reduce__(self) -> tuple[type[PoiseError], tuple[str, str]]:
        """So that it can come out of another process."""
        return type(self), (self.wrong, self.mend)


class WeightsError(PoiseError):
    """Weights are missing, damaged, or do not fit the configuration."""

    code = "weights_unusable"


class Record(BaseModel):
    """Base of all frozen, serialisable records of the house."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


def _decode(value: Any) -> NDArray[np.float16]:
    if isinstance(value, str):
        shape, _, data = value.partition(":")
        flat = np.frombuffer(base64.b64decode(data), dtype="<f2")
        return flat.reshape([int(n) for n in shape.split("x")])
    return np.asarray(value, dtype=np.float16)


def _encode(value: NDArray[np.float16]) -> str:
    shape = "x".join(map(str, value.shape))
    return f"{shape}:{base64.b64encode(np.ascontiguousarray(value, dtype='<f2').tobytes()).decode()}"


Float16Array = Annotated[Any, BeforeValidator(_decode), PlainSerializer(_encode)]


class Chunk(Record):
    """160 ms of user audio."""

    index: int  # 0 for the first chunk of the session
    pcm: Any  # float32 [2560], mono, -1..1, finite
    speech: float  # speech probability of the loudest 32 ms window, from the VAD


class Percept(Record):
    """What was heard up to the end of one chunk of the user's current turn."""

    chunk: int  # index of the last chunk heard
    stable: str  # transcript prefix that will not change; lower case, no punctuation
    tentative: str  # rest of the best transcript so far; may change
    confidence: float | None  # mean word posterior of the transcript, 0..1
    emotion: dict[str, float] | None  # probability of each of EMOTIONS
    event: dict[str, float] | None  # probability of each of EVENTS in this chunk
    facing: float | None  # probability that the speaker faces the microphone
    speech: float  # speech probability of this chunk
    pause_s: float  # seconds since speech was last heard in this turn; 0 while it is heard
    spoken_s: float  # seconds of speech heard in this turn
    level_db: float  # RMS of the turn's speech so far, dB re full scale
    # [3, d]: mean frame state of this chunk, of the last 0.64 s of speech, of the turn's speech
    states: Float16Array | None

    @property
    def transcript(self) -> str:
        """Stable and tentative words together."""
        return f"{self.stable} {self.tentative}".strip()


class Said(Record):
    """One side's words in a conversation, as they were really heard."""

    who: Literal["user", "agent"]
    text: str
    emotion: str | None = None
    cut: bool = False  # the agent was cut off here


class ReplyPrompt(Record):
    """All that a reply is made from."""

    action: Literal["respond", "refuse", "deflect", "interrupt", "open"]
    instruction: str  # how to voice the action, one sentence
    opening: str  # first words the reply must begin with; "" for none
    delivery: str  # one of DELIVERIES
    max_words: int
    persona: str  # name of the persona
    stance: str  # who the persona is, in its own words
    boundary: str  # the boundary that was touched; "" for none
    heard: str  # transcript of the user's turn
    confidence: float | None  # of that transcript
    emotion: dict[str, float] | None  # of the user's voice
    memory: tuple[str, ...]  # recalled facts, nearest first
    history: tuple[Said, ...]  # earlier turns, oldest first


class Piece(Record):
    """A part of a reply, ready to be played."""

    text: str  # words that end in this piece, with case and punctuation (may be empty)
    word_ends: tuple[int, ...]  # for each word of text.split(): sample of the reply at which it ends
    units: tuple[int, ...]  # speech units
    pcm: Any  # float32 [n] at ModelSpec.output_rate
    emotion: str  # delivery of the reply
    offset: int  # samples from the start of the reply at which this piece is played


class Turn(Record):
    """What was really said and heard in one exchange; goes into a model's own history."""

    user: Said | None
    agent: Said | None


class ModelSpec(Record):
    """What an engine is and which percept fields it really knows."""

    name: str
    input_rate: int  # Hz
    output_rate: int  # Hz
    unit_rate: float  # speech units per second
    languages: tuple[str, ...]
    knows: frozenset[str]  # of {"transcript", "emotion", "event", "facing", "states"}


class Listener(Protocol):
    """One session's view of a speech model.

    ``hear`` and the iterator of one ``reply`` may run in two threads at once (people talk over the agent);
    apart from that it is not thread-safe.
    """

    def hear(self, chunk: Chunk) -> Percept:
        """Take in the next chunk; its cost does not depend on how long the turn is."""

    def reply(self, prompt: ReplyPrompt) -> Iterator[Piece]:
        """Speak; the first piece comes early, ``close()`` on the iterator stops within one model step."""

    def end_turn(self, heard: Turn) -> None:
        """Something is over: remember what was really heard.

        With ``user`` (taken up, before ``reply`` is called), and with neither: the next user turn starts with empty
        ears. With ``agent`` alone (its reply was played or cut) the ears keep what they hear: the user may be
        speaking already. Called in the thread of ``hear``.
        """


class SpeechModel(Protocol):
    """One engine. Loaded once, shared by all sessions."""

    spec: ModelSpec

    def open(self, seed: int) -> Listener:
        """Start a session; ``seed`` makes its sampling repeatable."""


class TextEncoder(Protocol):
    """Sentence embeddings, injected where they are needed: texts -> float32 [n, 384], L2-normalised."""

    def __call__(self, texts: list[str]) -> NDArray[np.float32]:
        """Embed ``texts``."""
        ...
