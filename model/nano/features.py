"""Log-mel features of the ear, whole or chunk by chunk with equal results.

80 mel bands (HTK scale, 0 to 8 kHz) of a 25 ms Hann window every 10 ms. A frame looks back only: frame t
covers samples [160 t - 240, 160 t + 160), so a 160 ms chunk gives exactly 16 frames. Knows no model.
"""

from __future__ import annotations

import math

import torch

SAMPLE_RATE = 16_000
HOP = 160
WINDOW = 400
FFT = 512
MELS = 80
TAIL = WINDOW - HOP  # samples of the past that the next frame needs
FLOOR = 1e-6  # power; about the noise of a quiet 16-bit recording
# Fixed affine normalisation: streaming rules out the statistics of the utterance.
MEAN, SCALE = -4.5, 4.0


def _filters() -> torch.Tensor:
    """Triangular mel filters [MELS, FFT // 2 + 1]; mel(f) = 2595 log10(1 + f / 700) (HTK)."""
    top = 2595.0 * math.log10(1.0 + (SAMPLE_RATE / 2) / 700.0)
    edges = 700.0 * (10.0 ** (torch.linspace(0.0, top, MELS + 2, dtype=torch.float64) / 2595.0) - 1.0)
    bins = torch.linspace(0.0, SAMPLE_RATE / 2, FFT // 2 + 1, dtype=torch.float64)
    up = (bins[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - bins[None]) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(up, down).clamp(min=0.0).float()


_FILTERS = _filters()
_HANN = torch.hann_window(WINDOW, periodic=True)


def log_mel(samples: torch.Tensor) -> torch.Tensor:
    """Log-mel of samples [TAIL + 160 n], the first TAIL being the past (zeros at the start) -> [n, MELS]."""
    frames = samples.unfold(0, WINDOW, HOP) * _HANN
    power = torch.fft.rfft(frames, FFT).abs().square()
    mel: torch.Tensor = (power @ _FILTERS.T).clamp(min=FLOOR).log()
    return mel


def normalise(mel: torch.Tensor) -> torch.Tensor:
    """Roughly zero mean and unit variance on speech."""
    return (mel - MEAN) / SCALE


class MelStream:
    """Features chunk by chunk: ``push`` any multiple of 160 samples."""

    def __init__(self) -> None:
        self._past = torch.zeros(TAIL)

    def push(self, samples: torch.Tensor) -> torch.Tensor:
        """Float32 [160 n] -> log-mel [n, MELS]."""
        joined = torch.cat([self._past, samples])
        self._past = joined[-TAIL:].clone()
        return log_mel(joined)
