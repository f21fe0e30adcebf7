"""Frames of the voice: 32 numbers, 100 times a second, from which a source-filter vocoder can speak.

Knows their layout and scales, and the warped frequency axis of the mel-cepstrum; not where frames come from.
Channels: 25 mel-cepstral coefficients (all-pass constant 0.42, as HTS uses at 16 kHz), log pitch, voicing,
and the strength of pulses against noise in five bands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

SAMPLE_RATE = 16_000
HOP = 160
CEPSTRUM = 25
BANDS = (0.0, 1_000.0, 2_000.0, 4_000.0, 6_000.0, 8_000.0)  # Hz, edges
CHANNELS = CEPSTRUM + 2 + len(BANDS) - 1
WARP = 0.42
LEVEL_SHIFT = 6.0  # added to the first coefficient (log gain in nats), so that it is near zero on average
SILENT = -4.0  # first coefficient of a frame in which nothing is heard, so shifted
_PITCH_MEAN, _PITCH_SCALE = 5.1, 0.2  # of the log of Hz; the voice lies between 110 and 260 Hz


@dataclass(frozen=True)
class Frames:
    """Named views of [B, T, 32]: cepstrum [B, T, 25], scaled pitch [B, T], voicing [B, T], strengths [B, T, 5]."""

    cepstrum: torch.Tensor
    pitch: torch.Tensor
    voicing: torch.Tensor
    strengths: torch.Tensor

    @staticmethod
    def of(channels: torch.Tensor) -> Frames:
        """Split [B, T, 32]."""
        pitch, voicing = channels[..., CEPSTRUM], channels[..., CEPSTRUM + 1]
        return Frames(channels[..., :CEPSTRUM], pitch, voicing, channels[..., CEPSTRUM + 2 :])


def scaled_pitch(f0: torch.Tensor) -> torch.Tensor:
    """Hz -> about zero mean and unit variance; 0 Hz (unvoiced) -> 0."""
    return torch.where(f0 > 0, (f0.clamp_min(1.0).log() - _PITCH_MEAN) / _PITCH_SCALE, torch.zeros_like(f0))


def hertz(scaled: torch.Tensor) -> torch.Tensor:
    """Scaled pitch -> Hz, kept between 60 and 400."""
    return (scaled * _PITCH_SCALE + _PITCH_MEAN).exp().clamp(60.0, 400.0)


def silence(batch: int, frames: int) -> torch.Tensor:
    """Silent frames [B, frames, 32]."""
    quiet = torch.zeros(batch, frames, CHANNELS)
    quiet[..., 0] = SILENT
    return quiet


def warped(angle: torch.Tensor) -> torch.Tensor:
    """Frequency in radians 0..pi as the all-pass bends it (Tokuda et al. 1994, mel-generalised cepstrum)."""
    return angle + 2.0 * torch.atan(WARP * angle.sin() / (1.0 - WARP * angle.cos()))


def log_spectrum_basis(points: int) -> torch.Tensor:
    """[25, points]: a cepstrum times this is the log magnitude (nats) at points equally spaced on the mel axis."""
    axis = (torch.arange(points) + 0.5) * math.pi / points
    return (torch.arange(CEPSTRUM)[:, None] * axis[None]).cos()
