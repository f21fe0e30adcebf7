"""What may be asked of one recording or text, and what an answer is; the same for every engine.

Knows names and records only. A label that an engine cannot tell is ``unknown``, with its probability; none is made up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from model.interface import DELIVERIES, EMOTIONS, EVENTS, PoiseError, Record

Task = Literal["transcribe", "emotion", "age", "gender", "event", "chat", "text-chat", "speak"]
TASKS: tuple[Task, ...] = get_args(Task)
LABELS: dict[str, tuple[str, ...]] = {
    "emotion": EMOTIONS,
    "age": ("child", "adult", "old"),
    "gender": ("male", "female"),
    "event": EVENTS,
}
WRITTEN = ("text-chat", "speak")  # tasks that start from text; all others start from sound
SPEAKING = ("chat", "speak")  # tasks whose answer is sound
UNKNOWN = "unknown"
Samples = NDArray[np.float32]
SpeechOf = Callable[[Samples], Sequence[float]]  # sound of whole chunks -> a speech probability for each


class TaskError(PoiseError):
    """A task is not known, or what it starts from is missing."""

    code = "task_impossible"


class Request(Record):
    """One recording, or one text."""

    samples: Any = None  # float32 [n], 16 kHz, mono
    text: str = ""
    emotion: dict[str, float] | None = None  # of EMOTIONS: how the text is said, where that is known
    delivery: str = "warm"  # one of DELIVERIES, of what is spoken
    seed: int = 0


class Answer(Record):
    """The answer to one task."""

    task: Task
    text: str  # words, a label, or ``unknown``
    probabilities: dict[str, float] | None = None  # of each label and ``unknown``; they sum to 1
    confidence: float | None = None  # of a transcript, 0..1
    delivery: str | None = None  # of a reply
    rate: int | None = None  # Hz, of ``pcm``
    audio: str | None = None  # path of the sound, where it was written
    pcm: Any = Field(default=None, exclude=True, repr=False)  # float32 [n]: the reply as sound


class Surface(Protocol):
    """An engine's tasks. Not thread-safe; close it after use."""

    name: str

    def do(self, tasks: Sequence[Task], request: Request) -> list[Answer]:
        """One answer for each task, in order. Raises TaskError where sound or text is missing."""
        ...

    def close(self) -> None:
        """Let go of threads and memory."""


def known(names: Iterable[str]) -> list[Task]:
    """The tasks of these names, each once, in order. Raises TaskError for an unknown name, or for none."""
    wanted: dict[Task, None] = {}
    for name in names:
        if name not in TASKS:
            raise TaskError(f"There is no task {name!r}.", f"Take one or several of {', '.join(TASKS)}.")
        wanted[name] = None
    if not wanted:
        raise TaskError("No task was given.", f"Take one or several of {', '.join(TASKS)}.")
    return list(wanted)


def check(tasks: Sequence[Task], request: Request) -> None:
    """Raise TaskError where a task lacks the sound or the text it starts from, or the delivery is not known."""
    for task in tasks:
        if task in WRITTEN and not request.text.strip():
            raise TaskError(f"The task {task} needs text, and there is none.", "Give the text, or a text file.")
        if task not in WRITTEN and (request.samples is None or not len(request.samples)):
            raise TaskError(f"The task {task} needs a recording, and there is none.", "Give a sound file.")
    if request.delivery not in DELIVERIES:
        raise TaskError(f"The delivery {request.delivery!r} is unknown.", f"Take one of {', '.join(DELIVERIES)}.")


def label(task: Task, probabilities: dict[str, float] | None, least: float = 0.5) -> Answer:
    """The likeliest label; ``unknown`` where there are no probabilities or the engine is less than ``least`` sure."""
    found = probabilities or {UNKNOWN: 1.0}
    sure = 1.0 - found.get(UNKNOWN, 0.0) >= least
    best = max((name for name in found if name != UNKNOWN), key=lambda name: found[name]) if sure else UNKNOWN
    return Answer(task=task, text=best, probabilities={name: round(p, 4) for name, p in found.items()})
