"""Rows of OpenS2S ``messages`` JSON Lines, read strictly: what cannot be used is lost for a reason that is counted.

Knows the file format and how a clip is decoded; what is learnt from a row is the stages' own business.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile
import soxr
import torch
from pydantic import ValidationError
from torch import Tensor

from model.interface import PoiseError, Record
from model.opens2s.omnispeech import SPEAKER_WIDTH

_UNITS = re.compile(r"(<\|audio_\d+\|>)*")


class StageError(PoiseError):
    """A training stage cannot begin or go on."""

    code = "stage_unusable"


class LostRowError(Exception):
    """A row that cannot be learnt from; its text is the reason, the same for all rows lost for it."""


class Item(Record):
    """A part of a turn. Of several fields the first filled one counts: audio, then units (with their text), then text.

    ``text`` beside ``audio`` is its transcript; in a turn of the assistant audio is not looked at. Paths are relative
    to the file's folder.
    """

    text: str = ""
    audio: str = ""
    speech_units: str = ""  # <|audio_12|><|audio_7|>…
    spk_emb: str = ""  # .npy of 512 values

    def units(self) -> list[int]:
        """The unit numbers; raises LostRowError for anything else."""
        if not _UNITS.fullmatch(self.speech_units):
            raise LostRowError("speech_units are not written as <|audio_i|>")
        return [int(number) for number in re.findall(r"\d+", self.speech_units)]


class Said(Record):
    """One turn."""

    role: Literal["system", "user", "assistant"]
    content: tuple[Item, ...]


class Example(Record):
    """One row: a conversation, and what is known about it: ``extra``, ``poise``, and every other key of the row."""

    messages: tuple[Said, ...]
    extra: dict[str, Any]


def read(line: str) -> Example:
    """One line of a ``messages`` file; raises LostRowError."""
    try:
        row = json.loads(line)
        messages = row.pop("messages")
        beside = {**row.pop("poise", {}), **row.pop("extra", {})}
        said = tuple(Said(role=each["role"], content=_items(each["content"])) for each in messages)
        found = Example(messages=said, extra={**row, **beside})
    except (json.JSONDecodeError, ValidationError, KeyError, TypeError, AttributeError) as error:
        raise LostRowError("not a row of messages") from error
    for turn in found.messages:
        for item in turn.content:
            if item.audio and turn.role == "system":
                raise LostRowError("audio in the system turn")
            if item.speech_units and (turn.role != "assistant" or not item.text):
                raise LostRowError("speech_units without text, or in a turn that is not the assistant's")
    return found


def _items(content: Any) -> tuple[Item, ...]:
    parts = content if isinstance(content, list) else [content]
    fields = Item.model_fields
    return tuple(
        Item(text=part) if isinstance(part, str) else Item(**{k: v for k, v in part.items() if k in fields and v})
        for part in parts
    )


def clip(path: Path, rate: int) -> Tensor:
    """A recording, mixed down to one channel, at ``rate`` Hz: float32 [samples]. Raises LostRowError."""
    try:
        samples, own = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise LostRowError("a clip cannot be read") from error
    wave = samples.mean(axis=1)
    if not np.isfinite(wave).all():
        raise LostRowError("a clip holds values that are no numbers")
    return torch.from_numpy(wave if own == rate else soxr.resample(wave, own, rate))


def speaker(path: Path) -> Tensor:
    """A stored speaker embedding, of any shape: float32 [1, 512]. Raises LostRowError."""
    try:
        return torch.from_numpy(np.load(path).astype(np.float32)).reshape(1, SPEAKER_WIDTH)
    except (OSError, ValueError, RuntimeError, EOFError) as error:
        raise LostRowError("a speaker embedding cannot be read") from error
