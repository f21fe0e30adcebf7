"""Voice activity: Silero's network on 32 ms windows, and the rule that makes onsets and ends of it.

The network runs in onnxruntime, one shared session with the state kept per stream. It does not know turns or
floors; whoever asks gets probabilities, and sample positions at which speech began and ended.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model.interface import CHUNK_SAMPLES, SAMPLE_RATE, WeightsError

WINDOW = 512  # samples
CONTEXT = 64  # samples of the window before that the network wants to see again
WINDOWS = CHUNK_SAMPLES // WINDOW


class Voice(Protocol):
    """Speech probabilities of one stream."""

    def probabilities(self, pcm: NDArray[np.float32]) -> tuple[float, ...]:
        """One probability for each 32 ms window of a chunk, in order."""


class Vad(Protocol):
    """Loaded once, shared by all sessions."""

    def open(self) -> Voice:
        """A new stream."""


class SileroVad:
    """The network from the silero-vad wheel."""

    def __init__(self) -> None:
        """Raises WeightsError where the wheel or its network is missing."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(_network()), options, providers=["CPUExecutionProvider"])

    def open(self) -> SileroVoice:
        """A new stream."""
        return SileroVoice(self._session)


class SileroVoice:
    """One stream's state: 64 samples of context and the network's own."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._context = np.zeros(CONTEXT, dtype=np.float32)
        self._rate = np.array(SAMPLE_RATE, dtype=np.int64)

    def probabilities(self, pcm: NDArray[np.float32]) -> tuple[float, ...]:
        """Five probabilities for a chunk (0.4 ms of one core)."""
        found = []
        for start in range(0, len(pcm) - WINDOW + 1, WINDOW):
            window = pcm[start : start + WINDOW]
            feed = {"input": np.concatenate([self._context, window])[None], "state": self._state, "sr": self._rate}
            output, self._state = self._session.run(None, feed)
            self._context = window[-CONTEXT:]
            found.append(float(output[0, 0]))
        return tuple(found)


def _network() -> Path:
    # Importing silero_vad would load torch and set its thread count for the whole process.
    spec = importlib.util.find_spec("silero_vad")
    path = Path(spec.origin).parent / "data" / "silero_vad.onnx" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise WeightsError("The voice activity network is missing.", "Install it: pip install 'silero-vad>=6.2.3'.")
    return path


@dataclass
class Activity:
    """Onsets and ends of speech from window probabilities, by hysteresis; positions in samples of the stream."""

    on: float = 0.5  # probability from which a window is speech
    off: float = 0.35  # probability below which it no longer is
    onset_windows: int = 2  # so many in a row begin speech
    end_windows: int = 6  # so many without end it (192 ms: stops and breaths are no ends)
    speaking: bool = False
    began: int = 0  # sample at which the last speech began
    ended: int = 0  # sample after the last window that was speech
    _run: int = 0
    _still: int = 0
    _at: int = 0

    def feed(self, probabilities: tuple[float, ...]) -> None:
        """Take in the windows of one chunk."""
        for p in probabilities:
            self._window(p)
            self._at += WINDOW

    def _window(self, p: float) -> None:
        voiced = p >= (self.off if self.speaking else self.on)
        self._run = self._run + 1 if voiced else 0
        self._still = 0 if voiced else self._still + 1
        if voiced and self.speaking:
            self.ended = self._at + WINDOW
        elif self._run >= self.onset_windows:
            self.speaking, self.began = True, self._at + WINDOW * (1 - self._run)
            self.ended = self._at + WINDOW
        elif self.speaking and self._still >= self.end_windows:
            self.speaking = False
