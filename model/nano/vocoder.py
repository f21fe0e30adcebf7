"""Frames to waves: pulses at the pitch and noise, mixed by band, through a minimum-phase filter.

Knows frames, nothing of codes or words, and has no weights: the net in front of it says what to say, this
says it. Phases of harmonics are right by construction, so nothing buzzes. Output comes 30 ms late, and is
the same in one go and in pieces.

Filter from mel-cepstrum c: log H(w) = sum c_n exp(-j n W(w)) with W the warped frequency, which is
minimum-phase (Tokuda et al. 1994); mixing as in mixed-excitation vocoders (McCree & Barnwell 1995).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch

from model.nano.frames import BANDS, CEPSTRUM, CHANNELS, HOP, LEVEL_SHIFT, SAMPLE_RATE, Frames, hertz, silence, warped

DELAY = 2  # frames a filter waits for
LATE = DELAY + 1  # frames between a frame going in and its wave being complete
STEP = 80  # samples between filters
WINDOW = 320
N_FFT = 1024
SHARPEN = 0.35  # post-filter: formants are drawn out by this share, as smooth tracks blur them
_SPAN = 1040  # N_FFT rounded up to whole steps
_HARMONIC_TOP = 7_800.0  # Hz; no harmonic above it


@dataclass(frozen=True)
class VocoderState:
    """What a stream carries from one call to the next."""

    recent: torch.Tensor  # [B, 0 or 2, 32]: the last frames
    phase: torch.Tensor  # [B] float64, in periods
    source: torch.Tensor  # [B, 2, n]: pulses and noise that later windows still need
    tail: torch.Tensor  # [B, n]: output that later windows still add to


def begin(batch: int = 1) -> VocoderState:
    """The state before the first frame."""
    phase = torch.zeros(batch, dtype=torch.float64)
    source = torch.zeros(batch, 2, WINDOW // 2)
    return VocoderState(torch.zeros(batch, 0, CHANNELS), phase, source, torch.zeros(batch, 0))


class Vocoder:
    """Frames [B, T, 32] -> wave, late by LATE frames. Holds tables only; streams carry their state."""

    def __init__(self) -> None:
        bins = torch.arange(N_FFT // 2 + 1) * (2 * math.pi / N_FFT)
        order = torch.arange(CEPSTRUM)[:, None]
        sharp = torch.where(order < 2, 1.0, 1.0 + SHARPEN)
        self._cosines = sharp * (order * warped(bins)[None]).cos()
        self._sines = -sharp * (order * warped(bins)[None]).sin()
        self._window = torch.hann_window(WINDOW) / (WINDOW / STEP / 2)
        self._mixing = _band_basis(bins * SAMPLE_RATE / (2 * math.pi))

    def __call__(
        self, channels: torch.Tensor, noise: torch.Tensor, state: VocoderState
    ) -> tuple[torch.Tensor, VocoderState]:
        """Frames [B, T, 32] (voicing as probability) and white noise [B, 160 T] -> wave [B, 160 T'] and the state.

        The first call of a stream takes at least LATE + 1 frames and gives LATE frames less than it takes
        (T' = T - LATE); later calls give as many as they take (T' = T).
        """
        first = state.recent.shape[1] == 0
        known = torch.cat((state.recent, channels), 1)
        pulses, phase = _pulses(known if first else known[:, 1:], state.phase)
        fresh = torch.stack((pulses, noise[:, : pulses.shape[1]]), 1)
        source = torch.cat((state.source, fresh), 2)
        filters = known[:, :-DELAY]
        between = 0.5 * (filters + known[:, 1 : 1 - DELAY])
        filters = torch.stack((filters, between), 2).flatten(1, 2)
        windows = source.unfold(2, WINDOW, STEP)[:, :, : filters.shape[1]]
        wave, tail = _overlap(self._filtered(windows, Frames.of(filters)), state.tail)
        kept = source[:, :, STEP * windows.shape[2] :]
        skip = WINDOW // 2 if first else 0  # the first window is centred on sample 0
        return wave[:, skip:], VocoderState(known[:, -DELAY:], phase, kept, tail)

    def _filtered(self, windows: torch.Tensor, frames: Frames) -> torch.Tensor:
        """Source windows [B, 2, n, 320] and one frame for each -> [B, n, 1024]."""
        spectra = torch.fft.rfft(windows * self._window, N_FFT)
        share = frames.strengths.clamp(0.0, 1.0) @ self._mixing
        mixed = spectra[:, 0] * share + spectra[:, 1] * (1.0 - share)
        gain = (frames.cepstrum @ self._cosines - LEVEL_SHIFT).clamp(-16.0, 3.0).exp()
        shaped = mixed * torch.polar(gain, frames.cepstrum @ self._sines)
        pieces: torch.Tensor = torch.fft.irfft(shaped, N_FFT)
        return pieces

    def at_once(self, channels: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Frames [B, T, 32] and noise [B, 160 (T + LATE)] -> wave [B, 160 T]."""
        padded = torch.cat((channels, silence(channels.shape[0], LATE)), 1)
        return self(padded, noise, begin(channels.shape[0]))[0]


def _band_basis(hz: torch.Tensor) -> torch.Tensor:
    """[5, bins]: how much each band's strength counts at each frequency; linear between band centres."""
    centres = [(low + high) / 2 for low, high in pairwise(BANDS)]
    rows = []
    for n, centre in enumerate(centres):
        rise = (hz - centres[n - 1]) / (centre - centres[n - 1]) if n else torch.ones_like(hz)
        fall = (centres[n + 1] - hz) / (centres[n + 1] - centre) if n + 1 < len(centres) else torch.ones_like(hz)
        rows.append(torch.minimum(rise, fall).clamp(0.0, 1.0))
    return torch.stack(rows)


def _pulses(channels: torch.Tensor, phase: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Band-limited pulses between frames, [B, 160 (T - 1)], and the phase [B] after the last."""
    frames = Frames.of(channels)
    pitch, voiced = hertz(frames.pitch), (frames.voicing > 0.5).float()
    start = torch.where(voiced[:, :-1] > 0, pitch[:, :-1], pitch[:, 1:])
    end = torch.where(voiced[:, 1:] > 0, pitch[:, 1:], start)
    glide = torch.arange(HOP) / HOP
    hz = (start[..., None] + (end - start)[..., None] * glide).flatten(1)
    gate = (voiced[:, :-1, None] + voiced.diff(dim=1)[..., None] * glide).flatten(1)
    turns = phase[:, None] + (hz.double() / SAMPLE_RATE).cumsum(1)
    count = (_HARMONIC_TOP / hz).floor()
    train = _dirichlet((turns % 1.0).float(), count) * torch.sqrt(2.0 / count)
    return train * gate, turns[:, -1] % 1.0


def _dirichlet(phase: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Sum of cos(2 pi k phase) for k = 1 .. count: pulses without aliases."""
    half = math.pi * phase
    below = half.sin()
    near = below.abs() < 1e-4
    ratio = ((2 * count + 1) * half).sin() / torch.where(near, torch.ones_like(below), 2 * below)
    return torch.where(near, count + 0.5, ratio) - 0.5


def _overlap(pieces: torch.Tensor, tail: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Overlap-add [B, n, 1024] at 80 samples: the first 80 n samples, and what is left for later."""
    batch, count, _ = pieces.shape
    steps = _SPAN // STEP
    padded = torch.nn.functional.pad(pieces, (0, _SPAN - N_FFT)).reshape(batch, count, steps, STEP)
    total = torch.zeros(batch, count + steps - 1, STEP)
    for k in range(steps):
        total[:, k : k + count] += padded[:, :, k]
    flat = total.flatten(1)
    flat[:, : tail.shape[1]] += tail
    return flat[:, : STEP * count], flat[:, STEP * count :]
