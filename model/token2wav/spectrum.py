"""Short-time Fourier transform and its inverse as convolutions: no look at values, so they can be captured."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F


@lru_cache(maxsize=8)
def _bases(n_fft: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Windowed analysis and synthesis bases [n_fft + 2, 1, n_fft], and the squared window [1, 1, n_fft]."""
    with torch.inference_mode(False):  # they may also serve a training
        window = torch.hann_window(n_fft, device=device, dtype=torch.float64)
        bins = torch.arange(n_fft // 2 + 1, device=device, dtype=torch.float64)
        angles = 2 * math.pi / n_fft * bins[:, None] * torch.arange(n_fft, device=device)
        waves = torch.cat((angles.cos(), -angles.sin())) * window
        share = torch.full_like(bins, 2 / n_fft)
        share[0] = share[-1] = 1 / n_fft
        synthesis = waves * share.repeat(2)[:, None]
        return waves[:, None].to(dtype), synthesis[:, None].to(dtype), window.square()[None, None].to(dtype)


def stft(wave: Tensor, n_fft: int, hop: int) -> Tensor:
    """Wave [B, 1, N] -> real, then imaginary parts [B, n_fft + 2, N // hop + 1]; periodic Hann, reflected ends."""
    analysis, _, _ = _bases(n_fft, wave.device, wave.dtype)
    return F.conv1d(F.pad(wave, (n_fft // 2, n_fft // 2), mode="reflect"), analysis, stride=hop)


def istft(spectrum: Tensor, n_fft: int, hop: int) -> Tensor:
    """The inverse: [B, n_fft + 2, K] -> wave [B, (K - 1) hop], overlap-added and divided by the squared windows."""
    _, synthesis, square = _bases(n_fft, spectrum.device, spectrum.dtype)
    total = F.conv_transpose1d(spectrum, synthesis, stride=hop)
    weight = F.conv_transpose1d(torch.ones_like(spectrum[:1, :1]), square, stride=hop)
    start, count = n_fft // 2, (spectrum.shape[2] - 1) * hop
    return total[:, 0, start : start + count] / weight[:, 0, start : start + count]
