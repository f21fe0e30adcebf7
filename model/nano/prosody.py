"""Prosody of a turn as it comes: pitch and its movement, loudness and its movement, tilt, tempo.

Plain numpy over samples, 160 ms at a time; a few sums and a histogram are all that is kept, so cost and memory do
not depend on how long the turn is. Absolute level is left out: microphones differ more than moods. It knows nothing of
emotions; `emotion` reads them from `Prosody.vector`.

Pitch: the autocorrelation of a windowed frame over that of the window, with a small preference for short periods
(Boersma, "Accurate short-term analysis of the fundamental frequency ...", 1993, without the path search).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.nano.features import HOP, SAMPLE_RATE

Floats = NDArray[np.float64]
WINDOW = 640  # samples of a frame: 40 ms
PAST = WINDOW - HOP
LOWEST, HIGHEST = 65.0, 450.0  # Hz
VOICED = 0.5  # normalised autocorrelation from which a frame is voiced
OCTAVE_COST = 0.02
RANGE_DB = 35.0  # below the loudest frame, from which a frame is silence
EDGES = np.log2(LOWEST) + np.arange(0, np.log2(HIGHEST / LOWEST) + 1 / 24, 1 / 24)  # half semitones, in octaves
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
CENTRE = np.log2(150.0)
SIZE = 17  # numbers of `Prosody.vector`

_FFT = 2048
_HANN = np.hanning(WINDOW + 2)[1:-1]
_HANN_POWER = np.fft.irfft(np.abs(np.fft.rfft(_HANN, _FFT)) ** 2)
_SHORT, _LONG = int(SAMPLE_RATE / HIGHEST), int(SAMPLE_RATE / LOWEST) + 1
_COST = OCTAVE_COST * np.log2(LOWEST / SAMPLE_RATE * np.arange(_SHORT, _LONG + 1))
_LOW = int(1_000 * _FFT / SAMPLE_RATE)


@dataclass(frozen=True)
class Frames:
    """Per 10 ms: log2 of the pitch in Hz (NaN: unvoiced), periodicity 0..1, level and tilt in dB."""

    pitch: Floats
    periodicity: Floats
    level: Floats
    tilt: Floats  # energy below 1 kHz over that above it


def analyse(samples: NDArray[np.float32]) -> Frames:
    """Frames of samples [PAST + 160 n], the first PAST being the past."""
    rows = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), WINDOW)[::HOP]
    power = np.abs(np.fft.rfft((rows - rows.mean(1, keepdims=True)) * _HANN, _FFT)) ** 2
    spread = np.fft.irfft(power)[:, : _LONG + 2] / _HANN_POWER[: _LONG + 2]
    likeness = spread / np.maximum(spread[:, :1], 1e-9)
    best = (likeness[:, _SHORT : _LONG + 1] - _COST).argmax(1) + _SHORT
    here = np.arange(len(best))
    before, top, after = (likeness[here, best + k] for k in (-1, 0, 1))
    bend = np.maximum(2 * top - before - after, 1e-9)
    lag = best + np.clip(0.5 * (after - before) / bend, -0.5, 0.5)
    level = 10 * np.log10(np.mean(rows**2, axis=1) + 1e-10)
    below, above = power[:, 1:_LOW].sum(1), power[:, _LOW:].sum(1)
    pitch = np.where(top > VOICED, np.log2(SAMPLE_RATE / lag), np.nan)
    return Frames(pitch, top.clip(0.0, 1.0), level, 10 * np.log10((below + 1e-9) / (above + 1e-9)))


@dataclass
class _Sums:
    """Count, sum and sum of squares of a number, and the sum of how much it changed from frame to frame."""

    count: float = 0.0
    sum: float = 0.0
    squares: float = 0.0
    steps: float = 0.0
    changes: float = 0.0

    def add(self, values: Floats, steps: Floats) -> None:
        self.count, self.sum = self.count + len(values), self.sum + values.sum()
        self.squares += (values**2).sum()
        self.steps, self.changes = self.steps + len(steps), self.changes + np.abs(steps).sum()

    @property
    def mean(self) -> float:
        return self.sum / max(self.count, 1.0)

    @property
    def spread(self) -> float:
        return float(np.sqrt(max(self.squares / max(self.count, 1.0) - self.mean**2, 0.0)))

    @property
    def change(self) -> float:
        return self.changes / max(self.steps, 1.0)


@dataclass
class Prosody:
    """One turn's prosody in the making."""

    _past: NDArray[np.float32] = field(default_factory=lambda: np.zeros(PAST, np.float32))
    _last: tuple[float, float] = (np.nan, np.nan)  # pitch and level of the frame before

    def __post_init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """A new turn begins; the sound just before it is kept."""
        self._pitch, self._level, self._tilt, self._periodicity = _Sums(), _Sums(), _Sums(), _Sums()
        self._heights = np.zeros(len(EDGES) - 1)
        self._loudest, self._frames, self._phones, self._vowels = -200.0, 0, 0, 0

    def add(self, samples: NDArray[np.float32], speech: bool, phones: int, vowels: int) -> None:
        """Take in samples [160 n]; they count only where there is ``speech``, as do the new phones heard in them."""
        joined = np.concatenate([self._past, samples])
        self._past = joined[-PAST:]
        if not speech:
            self._last = (np.nan, np.nan)
            return
        self._phones, self._vowels = self._phones + phones, self._vowels + vowels
        self._count(analyse(joined))

    def _count(self, frames: Frames) -> None:
        self._loudest = max(self._loudest, float(frames.level.max()))
        heard = frames.level > self._loudest - RANGE_DB
        pitch = np.where(heard, frames.pitch, np.nan)
        voiced = pitch[~np.isnan(pitch)]
        steps = np.diff(pitch, prepend=self._last[0])
        steps = steps[~np.isnan(steps)]
        self._pitch.add(voiced, steps[np.abs(steps) < 0.25])  # more than three semitones in 10 ms: a slip
        self._heights += np.histogram(voiced, EDGES)[0]
        level = np.where(heard, frames.level, np.nan)
        moves = np.diff(level, prepend=self._last[1])
        self._level.add(level[heard], moves[~np.isnan(moves)])
        self._tilt.add(frames.tilt[heard], np.zeros(0))
        self._periodicity.add(frames.periodicity[heard], np.zeros(0))
        self._frames += len(pitch)
        self._last = (float(pitch[-1]), float(level[-1]))

    def vector(self) -> NDArray[np.float32]:
        """[SIZE]: pitch (octaves) and movement, level and tilt (dB), tempo; zeros before anything was heard."""
        if not self._level.count:
            return np.zeros(SIZE, np.float32)
        share = np.cumsum(self._heights) / max(self._heights.sum(), 1.0)
        places = np.interp(QUANTILES, share, EDGES[1:])
        seconds = self._frames * HOP / SAMPLE_RATE
        return np.array([
            places[2] - CENTRE, self._pitch.spread, places[0] - places[2], places[1] - places[2],
            places[3] - places[2], places[4] - places[2], 10 * self._pitch.change,
            self._pitch.count / self._level.count, self._periodicity.mean, self._level.spread / 10,
            self._level.change, self._tilt.mean / 10, self._tilt.spread / 10, self._level.count / self._frames,
            self._phones / seconds / 10, self._vowels / seconds / 4, np.log(seconds),
        ], np.float32)  # fmt: skip
