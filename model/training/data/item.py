"""What one sample is, whatever file it came from: an exchange of words and sound with its labels and its history.

Knows no file format. A format that has no field for something carries it beside its own fields (`keeping`), so that
nothing is lost on a way through several formats.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from model.interface import PoiseError, Record

# Units of one tokenizer mean nothing to another; each number names rate and size of the codebook.
OPENS2S_UNITS = "glm4voice-12.5hz-16384"
OSUM_UNITS = "cosyvoice-25hz-4096"
UNIT_COUNTS = {OPENS2S_UNITS: 16_384, OSUM_UNITS: 4_096}


class DataError(PoiseError):
    """Data cannot be read, written or built as a whole; single samples are counted instead (`counts`)."""

    code = "training_data"


class FieldError(ValueError):
    """One sample does not follow its format: ``reason`` is what is counted, ``detail`` is about this sample."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


class Sound(Record):
    """Where audio lies: a file, or ``size`` bytes from ``offset`` of one (a tar); optionally a cut of it in seconds."""

    path: str
    name: str = ""  # name inside the tar
    offset: int = 0
    size: int = 0  # 0: the whole file
    start: float | None = None
    end: float | None = None


class Labels(Record):
    """What is known of how and by whom something was said; None where it is not known."""

    emotion: str | None = None  # neutral happy sad angry afraid surprised disgusted
    age: str | None = None  # child adult old
    gender: str | None = None  # male female
    event: str | None = None  # laugh cough cry screaming sigh sneeze ...
    style: str | None = None


class User(Record):
    """The user's side of one exchange."""

    text: str = ""  # his words: what he typed, or the transcript of the clips
    prompt: str = ""  # a written instruction beside the clips
    clips: tuple[Sound, ...] = ()
    labels: Labels = Labels()
    speaker: str = ""
    language: str = ""

    @property
    def is_empty(self) -> bool:
        """True where he neither wrote nor spoke."""
        return not (self.text or self.prompt or self.clips)


class Agent(Record):
    """The agent's side of one exchange: for tasks of understanding, what is to be written down."""

    text: str = ""
    units: tuple[int, ...] = ()
    codec: str = ""  # tokenizer of the units: OPENS2S_UNITS, OSUM_UNITS or a name of one's own
    audio: Sound | None = None
    emotion: str | None = None  # how the reply is (to be) said
    thought: str = ""  # reasoning before the reply; never spoken
    voice: str = ""  # path of the speaker's embedding, .npy

    @property
    def is_empty(self) -> bool:
        """True where there is nothing to learn."""
        return not (self.text or self.units or self.audio)


class Exchange(Record):
    """One earlier exchange. Both sides empty: a hole, of which only the place is known."""

    user: User = User()
    agent: Agent = Agent()

    @property
    def is_hole(self) -> bool:
        """True where nothing is known of this exchange."""
        return self.user.is_empty and self.agent.is_empty


class Item(Record):
    """One sample. ``task`` is a task tag as in `labels`; ``history`` is oldest first."""

    key: str
    task: str
    user: User = User()
    agent: Agent = Agent()
    history: tuple[Exchange, ...] = ()
    system: str = ""
    licence: str = ""
    source: str = ""
    extra: dict[str, Any] = Field(default_factory=dict)  # verbatim: what no field here stands for
    kept: dict[str, dict[str, Any]] = Field(default_factory=dict)  # by format: its own spelling of known fields

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """History and the exchange itself."""
        return (*self.history, Exchange(user=self.user, agent=self.agent))
