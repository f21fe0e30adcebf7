"""Pitch, voicing and level of speech, and how far two renderings of the same words lie apart in them.

Plain numpy; knows sound only. Frames are 10 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.interface import SAMPLE_RATE

HOP = 160
WINDOW = 800  # samples compared; lags come on top
LOWEST, HIGHEST = 60.0, 420.0  # Hz
APERIODIC = 0.22  # of the normalised difference, above which a frame is unvoiced
QUIET_DB = 35.0  # below the loudest frame, from which a frame is silence
GROSS = 0.2  # of the true pitch
Sound = NDArray[np.float32]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Track:
    """Per frame: pitch in Hz (0: unvoiced), level in dB re full scale, and a coarse spectrum [n, 20] in nats."""

    pitch: Numbers
    level: Numbers
    spectrum: Numbers

    @property
    def heard(self) -> NDArray[np.bool_]:
        """Frames that are not silence."""
        loud: NDArray[np.bool_] = self.level > self.level.max(initial=-200.0) - QUIET_DB
        return loud


def track(sound: Sound) -> Track:
    """Analyse float32 samples [n] at 16 kHz. Pitch by YIN (de Cheveigne & Kawahara 2002, steps 1 to 5)."""
    longest = int(SAMPLE_RATE / LOWEST) + 2
    padded = np.concatenate([np.zeros(WINDOW // 2), sound.astype(np.float64), np.zeros(WINDOW // 2 + longest)])
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW + longest)[::HOP]
    heads = frames[:, :WINDOW]
    level = 10.0 * np.log10(np.mean(heads**2, axis=1) + 1e-12)
    pitch = _yin(frames, longest)
    silent = level < level.max(initial=-200.0) - QUIET_DB
    pitch[silent] = 0.0
    return Track(pitch, level, _spectrum(heads))


def _yin(frames: Numbers, longest: int) -> Numbers:
    """Pitch of frames [n, WINDOW + longest]: the first dip of the normalised difference that is deep enough."""
    size = 1 << (frames.shape[1] + WINDOW - 1).bit_length()
    head = np.fft.rfft(frames[:, :WINDOW], size)
    cross = np.fft.irfft(np.conj(head) * np.fft.rfft(frames, size), size)[:, :longest]
    power = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    energy = power[:, WINDOW : WINDOW + longest] - power[:, :longest]
    gap = np.maximum(energy[:, :1] + energy - 2.0 * cross, 0.0)
    mean = np.cumsum(gap[:, 1:], axis=1) / np.arange(1, longest)
    scaled = np.concatenate([np.ones((len(gap), 1)), gap[:, 1:] / np.maximum(mean, 1e-12)], axis=1)
    shortest = int(SAMPLE_RATE / HIGHEST)
    pitch = np.zeros(len(frames))
    for number, row in enumerate(scaled):
        dips = shortest + np.flatnonzero(
            (row[shortest:-1] < APERIODIC) & (row[shortest:-1] <= row[shortest + 1 :])
            & (row[shortest:-1] < row[shortest - 1 : -2])
        )  # fmt: skip
        if len(dips):
            pitch[number] = SAMPLE_RATE / _vertex(row, int(dips[0]))
    return pitch


def _vertex(row: Numbers, at: int) -> float:
    """The lag of a dip between samples, by the parabola through it and its neighbours."""
    before, here, after = row[at - 1 : at + 2]
    bend = before - 2.0 * here + after
    return at + (0.5 * (before - after) / bend if bend > 0 else 0.0)


def _spectrum(frames: Numbers) -> Numbers:
    """Log energies [n, 20] of bands spaced as the ear's (Traunmueller's Bark scale), their mean taken off."""
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), axis=1)) ** 2
    hertz = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)
    bark = 26.81 * hertz / (1960.0 + hertz) - 0.53
    bands = np.clip(((bark + 0.53) / (bark[-1] + 0.54) * 20).astype(int), 0, 19)
    sums = np.stack([power[:, bands == band].sum(axis=1) for band in range(20)], axis=1)
    logs = np.log(sums + 1e-8)
    centred: Numbers = logs - logs.mean(axis=0)
    return centred


def align(one: Numbers, other: Numbers) -> list[tuple[int, int]]:
    """Pairs of frames of [n, d] and [m, d] on the path of least distance (dynamic time warping, steps of one)."""
    cost = np.sqrt(((one[:, None] - other[None]) ** 2).sum(-1))
    n, m = cost.shape
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0.0
    for diagonal in range(n + m - 1):  # all cells of a diagonal depend on earlier ones only
        i = np.arange(max(0, diagonal - m + 1), min(n, diagonal + 1))
        j = diagonal - i
        total[i + 1, j + 1] = cost[i, j] + np.minimum(np.minimum(total[i, j], total[i, j + 1]), total[i + 1, j])
    path, i, j = [], n - 1, m - 1
    while i > 0 or j > 0:
        path.append((i, j))
        steps = ((total[i, j], i - 1, j - 1), (total[i, j + 1], i - 1, j), (total[i + 1, j], i, j - 1))
        _, i, j = min(steps)
    return [(0, 0), *path[::-1]]


@dataclass
class PitchErrors:
    """Counts over frames of a source that are not silence, each beside the frame it is aligned with."""

    frames: int = 0
    voicing: int = 0  # voiced on one side only
    voiced: int = 0  # voiced on both
    gross: int = 0  # of these, more than a fifth off
    cents: float = 0.0  # squared, of the others

    def add(self, source: Track, other: Track) -> None:
        """Count one pair of renderings."""
        for i, j in align(source.spectrum, other.spectrum):
            if not source.heard[i]:
                continue
            true, found = source.pitch[i], other.pitch[j]
            self.frames += 1
            self.voicing += (true > 0) != (found > 0)
            if true > 0 and found > 0:
                self.voiced += 1
                if abs(found / true - 1) > GROSS:
                    self.gross += 1
                else:
                    self.cents += (1200 * np.log2(found / true)) ** 2

    def figures(self) -> dict[str, float | None]:
        """Voicing decision error, gross pitch error, and RMS of the rest in cents (100: a semitone)."""
        fine = self.voiced - self.gross
        return {
            "voicing_error": round(self.voicing / self.frames, 4) if self.frames else None,
            "gross_pitch_error": round(self.gross / self.voiced, 4) if self.voiced else None,
            "pitch_rms_cents": round(float(np.sqrt(self.cents / fine)), 1) if fine else None,
        }
