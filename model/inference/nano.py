"""Nano's answers: what its ear hears of a whole recording, what its replier says, what its voice makes of it.

Knows the parts of nano, nothing of files. Age and gender are ``unknown``: nano has not learnt to tell them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from model.inference.tasks import UNKNOWN, Answer, Request, Samples, SpeechOf, Task, check, label
from model.interface import CHUNK_SAMPLES, EMOTIONS, SAMPLE_RATE, Chunk, Percept, ReplyPrompt, Said, Turn
from model.nano.engine import NanoListener, NanoModel
from model.nano.voice import spoken_words

SILENCE = 5  # chunks after a recording, as after any turn
MAX_WORDS = 30  # of a reply
STANCE = "patient warm listener"


@dataclass(frozen=True)
class Heard:
    """The last percept of a recording, and its events in the chunk in which there is likeliest one: they are brief."""

    percept: Percept
    event: dict[str, float] | None


class NanoSurface:
    """Nano behind the tasks. ``speech`` gives the voice activity of a recording, chunk by chunk."""

    name = "nano"

    def __init__(self, model: NanoModel, speech: SpeechOf) -> None:
        self._model, self._speech = model, speech

    def do(self, tasks: Sequence[Task], request: Request) -> list[Answer]:
        """As `Surface.do` says; the recording is heard once for all tasks."""
        check(tasks, request)
        listener = self._model.open(request.seed)
        hears = any(task not in ("text-chat", "speak") for task in tasks)
        heard = hear(listener, padded(request.samples), self._speech) if hears else None
        return [self._answer(task, request, listener, heard) for task in tasks]

    def close(self) -> None:
        """Nothing is held."""

    def _answer(self, task: Task, request: Request, listener: NanoListener, heard: Heard | None) -> Answer:
        if task == "speak":
            return self._speak(request)
        if task == "text-chat":
            generator = torch.Generator().manual_seed(request.seed)
            plan = self._model.replier.plan(prompt(request.text, request.emotion, None, request.delivery), generator)
            return Answer(task=task, text=plan.text, delivery=plan.delivery)
        assert heard is not None  # every other task starts from sound
        if task == "transcribe":
            words = heard.percept
            return Answer(task=task, text=words.transcript, confidence=words.confidence)
        if task == "emotion":
            return label(task, _with_unknown(heard.percept.emotion))
        if task == "event":
            return label(task, _with_unknown(heard.event))
        if task == "chat":
            return self._chat(request, listener, heard.percept)
        return label(task, None)

    def _chat(self, request: Request, listener: NanoListener, percept: Percept) -> Answer:
        listener.end_turn(Turn(user=Said(who="user", text=percept.transcript), agent=None))
        asked = prompt(percept.transcript, percept.emotion, percept.confidence, request.delivery)
        pieces = list(listener.reply(asked))
        text = " ".join(piece.text for piece in pieces if piece.text)
        pcm = np.concatenate([piece.pcm for piece in pieces])
        return Answer(task="chat", text=text, delivery=pieces[0].emotion, rate=SAMPLE_RATE, pcm=pcm)

    def _speak(self, request: Request) -> Answer:
        words = spoken_words((word, None) for word in request.text.split())
        generator = torch.Generator().manual_seed(request.seed)
        pieces = [piece.pcm for piece in self._model.voice.speak(words, request.delivery, generator)]
        pcm = np.concatenate([np.zeros(0, np.float32), *pieces])
        return Answer(task="speak", text=request.text, delivery=request.delivery, rate=SAMPLE_RATE, pcm=pcm)


def padded(samples: Samples) -> Samples:
    """The samples filled up to whole chunks, with SILENCE chunks after them: float32 [2560 n]."""
    whole = np.zeros((-(-len(samples) // CHUNK_SAMPLES) + SILENCE) * CHUNK_SAMPLES, np.float32)
    whole[: len(samples)] = samples
    return whole


def hear(listener: NanoListener, samples: Samples, speech: SpeechOf) -> Heard:
    """Let a session hear a `padded` recording chunk by chunk."""
    percepts = list(_percepts(listener, samples, speech))
    events = [percept.event for percept in percepts[:-SILENCE] if percept.event is not None]
    return Heard(percepts[-1], min(events, key=lambda event: event["none"], default=None))


def _percepts(listener: NanoListener, samples: Samples, speech: SpeechOf) -> Iterator[Percept]:
    parts = samples.reshape(-1, CHUNK_SAMPLES)
    for index, (pcm, probability) in enumerate(zip(parts, speech(samples), strict=True)):
        yield listener.hear(Chunk(index=index, pcm=pcm, speech=probability))


def prompt(
    heard: str, emotion: dict[str, float] | None = None, confidence: float | None = None, delivery: str = "warm"
) -> ReplyPrompt:
    """A plain prompt: no persona to speak of, no memory, no history."""
    return ReplyPrompt(
        action="respond", instruction="", opening="", delivery=delivery, max_words=MAX_WORDS, persona="Sol",
        stance=STANCE, boundary="", heard=heard, confidence=confidence, emotion=emotion, memory=(), history=(),
    )  # fmt: skip


def feeling(emotion: str, sure: float) -> dict[str, float]:
    """A posterior over EMOTIONS that is ``sure`` of one and even over the others."""
    return {name: sure if name == emotion else (1 - sure) / (len(EMOTIONS) - 1) for name in EMOTIONS}


def _with_unknown(found: dict[str, float] | None) -> dict[str, float] | None:
    """Nano has no doubt of its own about a label it gives at all."""
    return {**found, UNKNOWN: 0.0} if found else None
