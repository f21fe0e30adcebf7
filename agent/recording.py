"""Keeps the sound of a session as two WAV files, only where the settings ask for it.

What the user said and what the agent sent lie on the same time line. It knows samples and times, nothing else.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from agent.audio import Samples
from model.interface import SAMPLE_RATE, PoiseError


class RecordingError(PoiseError):
    """The recordings cannot be written."""

    code = "recording_unusable"


class Recorder:
    """Writes ``<session>-user.wav`` (16 kHz) and ``<session>-agent.wav`` (the engine's rate)."""

    def __init__(self, folder: Path, session: str, rate: int) -> None:
        """Raises RecordingError if the folder cannot be written to."""
        self._rate, self._written = rate, 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._user = soundfile.SoundFile(str(folder / f"{session}-user.wav"), "w", SAMPLE_RATE, 1)
            self._agent = soundfile.SoundFile(str(folder / f"{session}-agent.wav"), "w", rate, 1)
        except (OSError, soundfile.SoundFileError):
            raise RecordingError(
                f"Recordings cannot be written to {folder}.",
                "Set POISE_HOME to a folder of yours, or POISE_RECORD=false.",
            ) from None

    def user(self, pcm: Samples) -> None:
        """The next samples of the user."""
        self._user.write(pcm)

    def agent(self, seconds: float, pcm: Samples) -> None:
        """Samples of the agent that left at this time of the session; silence fills the time before."""
        gap = round(seconds * self._rate) - self._written
        if gap > 0:
            self._agent.write(np.zeros(gap, dtype=np.float32))
        self._agent.write(pcm)
        self._written += max(gap, 0) + len(pcm)

    def close(self) -> None:
        """Finish both files."""
        self._user.close()
        self._agent.close()
