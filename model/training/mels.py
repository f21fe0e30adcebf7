"""Log-mel of whole caches, computed once, and augmentation in the mel domain.

Power spectra add, so noise, rooms, telephone bands, distance, level, speed and vocal-tract length are all
applied to cached features at almost no cost. Knows nothing of labels or batches.
"""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model.nano.features import FLOOR, HOP, MELS, TAIL, log_mel
from model.training.cache import Cache, Clip

Mel = NDArray[np.float32]  # [frames, MELS]
_TOP = 2595.0 * math.log10(1.0 + 8000.0 / 700.0)
BANDS_HZ = 700.0 * (10.0 ** (np.linspace(0.0, _TOP, MELS + 2)[1:-1] / 2595.0) - 1.0)


class Mels:
    """Log-mel of every clip of a cache, as float16 on disk; made on first use."""

    def __init__(self, folder: Path) -> None:
        self.cache = Cache(folder)
        self.clips = self.cache.clips
        ends = np.cumsum([0] + [clip.length // HOP for clip in self.clips])
        self._at = {clip.id: (int(a), int(b)) for clip, a, b in zip(self.clips, ends[:-1], ends[1:], strict=True)}
        path = folder / "mel.f16"
        if not path.exists() or path.stat().st_size != int(ends[-1]) * MELS * 2:
            self._fill(path)
        self._data = np.memmap(path, dtype=np.float16, mode="r", shape=(int(ends[-1]), MELS))

    def _fill(self, path: Path) -> None:
        with path.with_suffix(".tmp").open("wb") as file, torch.inference_mode():
            for clip in self.clips:
                samples = torch.from_numpy(self.cache.samples(clip)[: clip.length // HOP * HOP])
                mel = log_mel(torch.cat([torch.zeros(TAIL), samples])) if len(samples) else torch.zeros(0, MELS)
                file.write(mel.numpy().astype(np.float16).tobytes())
        path.with_suffix(".tmp").replace(path)

    def __getitem__(self, clip: Clip) -> Mel:
        """Log-mel [n, MELS] of one clip."""
        start, end = self._at[clip.id]
        mel: Mel = torch.from_numpy(np.array(self._data[start:end])).float().numpy()  # several times numpy's pace
        return mel


def padded(mel: Mel, room: int) -> Mel:
    """``mel`` with at least ``room`` frames of silence behind it, up to a whole number of 160 ms chunks."""
    whole: Mel = np.full((-(-(len(mel) + room) // 16) * 16, MELS), np.log(FLOOR), np.float32)
    whole[: len(mel)] = mel
    return whole


def warp(mel: Mel, chance: random.Random) -> Mel:
    """Speed (0.88 to 1.14) and vocal-tract length (0.92 to 1.1) by interpolation along time and frequency."""
    speed, tract = chance.uniform(0.88, 1.14), chance.uniform(0.92, 1.1)
    rows = np.linspace(0, len(mel) - 1, max(int(len(mel) / speed), 4))
    low = np.minimum(rows.astype(int), len(mel) - 2) if len(mel) > 1 else np.zeros(len(rows), int)
    share = (rows - low)[:, None].astype(np.float32)
    timed = mel[low] * (1 - share) + mel[np.minimum(low + 1, len(mel) - 1)] * share
    columns = np.clip(np.arange(MELS) * tract, 0, MELS - 1)
    left = np.minimum(columns.astype(int), MELS - 2)
    part = (columns - left).astype(np.float32)
    warped: Mel = (timed[:, left] * (1 - part) + timed[:, left + 1] * part).astype(np.float32)
    return warped


def room(mel: Mel, chance: random.Random, strength: float = 0.25) -> Mel:
    """A reverberant tail: power decays exponentially (T60 0.15 to 0.6 s), mixed under the direct sound."""
    power = np.exp(mel)
    decay = 10 ** (-6 * 0.01 / chance.uniform(0.15, 0.6))
    tail, late = np.zeros(MELS, np.float32), np.empty_like(power)
    for t in range(len(power)):
        late[t] = tail
        tail = decay * (tail + power[t])
    share = strength * chance.random() * (1 - decay)
    return np.log(np.maximum(power + share * late, FLOOR)).astype(np.float32)


def gain(mel: Mel, decibels: float) -> Mel:
    """Change the level."""
    return mel + np.float32(decibels * math.log(10) / 10)


def band(mel: Mel, low_hz: float, high_hz: float, slope_db: float = 30.0) -> Mel:
    """Limit to a band; outside it the level falls by ``slope_db`` per octave."""
    octaves = np.maximum(np.log2(np.maximum(low_hz / BANDS_HZ, 1e-9)), np.log2(BANDS_HZ / high_hz)).clip(min=0)
    return (mel - (octaves * slope_db * math.log(10) / 10).astype(np.float32)).astype(np.float32)


def mix(mel: Mel, noise: Mel, snr_db: float) -> Mel:
    """Add noise [n, MELS] (repeated or cut to length) at ``snr_db`` against the loud half of ``mel``."""
    if len(noise) == 0:
        return mel
    repeated = np.tile(noise, (math.ceil(len(mel) / len(noise)), 1))[: len(mel)]
    speech = np.sort(np.exp(mel).sum(1))[len(mel) // 2 :].mean()
    scale = speech / (np.exp(repeated).sum(1).mean() + 1e-9) / 10 ** (snr_db / 10)
    mixed: Mel = np.log(np.exp(mel) + scale * np.exp(repeated)).astype(np.float32)
    return mixed


def hiss(frames: int, level_db: float, chance: random.Random) -> Mel:
    """A room's own noise: ``frames`` of tilted noise at about ``level_db`` re full scale."""
    noise = np.random.default_rng(chance.getrandbits(32)).exponential(1.0, (frames, MELS)).astype(np.float32)
    tilt = chance.uniform(-0.06, 0.01) * np.arange(MELS, dtype=np.float32)
    found: Mel = np.log(np.maximum(noise * np.exp(tilt) * 10 ** (level_db / 10) * 20, FLOOR)).astype(np.float32)
    return found


def mask(mel: Mel, chance: random.Random) -> None:
    """SpecAugment in place (Park et al. 2019): two frequency and two time masks."""
    for _ in range(2):
        width = chance.randint(0, 12)
        start = chance.randint(0, MELS - width)
        mel[:, start : start + width] = mel.mean()
        span = chance.randint(0, 20)
        begin = chance.randint(0, max(len(mel) - span, 1))
        mel[begin : begin + span] = mel.mean()
