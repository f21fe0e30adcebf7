"""Renders the recordings of the demo (tests/recordings) in synthetic voices that are free to use.

    python -m model.training.recordings OUT_FOLDER

What is said and when is listed here; the demo reads the list that is written beside the audio.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from model.training.voices import EMOTIONS, SAMPLE_RATE, Voice, render

ROOM_DB = -72.0  # noise floor


@dataclass(frozen=True)
class Line:
    """Words, the emotion of the voice, and the silence after them in seconds."""

    text: str
    emotion: str
    pause_s: float


@dataclass(frozen=True)
class Recording:
    """One user's side of a conversation and the persona that hears it."""

    name: str
    file: str
    persona: str
    voice: Voice
    lines: tuple[Line, ...]


RECORDINGS = (
    Recording(
        "a plain turn", "plain.flac", "sol", Voice("espeak", "f3"),
        (Line("I had a really long day at work and I am so tired.", "sad", 0.3),),
    ),
    Recording(
        "a long pause in mid-turn", "pause.flac", "sol", Voice("espeak", "f3"),
        (Line("So I was thinking about,", "neutral", 1.3), Line("maybe calling my brother tomorrow.", "neutral", 0.3)),
    ),
    Recording(
        "a barge-in", "barge-in.flac", "sol", Voice("espeak", "belinda"),
        (
            Line("Can you tell me something nice about the garden?", "happy", 2.6),
            Line("No wait, stop. I want to talk about my sister.", "neutral", 0.3),
        ),
    ),
    Recording(
        "a request against a boundary", "boundary.flac", "maren", Voice("espeak", "m1"),
        (Line("Please lend me the money, just this once.", "neutral", 0.3),),
    ),
    Recording(
        "a dangerous plan", "danger.flac", "sol", Voice("flite", "awb", rate=1.05, pitch=0.92),
        (
            Line("I am going to mix the bleach with the ammonia,", "neutral", 0.25),
            Line("and then I will close all the windows,", "neutral", 0.25),
            Line("and scrub the whole bathroom until it shines.", "neutral", 0.3),
        ),
    ),
)  # fmt: skip


def sound(recording: Recording) -> NDArray[np.float32]:
    """Float32 [n] at 16 kHz: half a second of room, the lines with their pauses."""
    parts = [np.zeros(SAMPLE_RATE // 2, np.float32)]
    for line in recording.lines:
        parts.append(render(line.text, recording.voice, EMOTIONS[line.emotion]))
        parts.append(np.zeros(int(line.pause_s * SAMPLE_RATE), np.float32))
    whole = np.concatenate(parts)
    noise = np.random.default_rng(7).standard_normal(len(whole)) * 10 ** (ROOM_DB / 20)
    return (whole + noise).astype(np.float32)


def main() -> None:
    """Write all recordings and ``demo.json``."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    listing = []
    for recording in RECORDINGS:
        sf.write(out / recording.file, sound(recording), SAMPLE_RATE, subtype="PCM_16")
        listing.append({"name": recording.name, "file": recording.file, "persona": recording.persona})
    (out / "demo.json").write_text(json.dumps(listing, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
