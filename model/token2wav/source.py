"""The vocoder's excitation: sines at the multiples of the pitch, and noise.

The harmonic source of the neural source-filter model (Wang et al. 2019).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from model.opens2s.compat import Compat
from model.token2wav.config import HiftConfig


class HarmonicSource(nn.Module):
    """Pitch to source. The phase goes on from call to call; ``compat="upstream"`` sums it in float32 from zero."""

    def __init__(self, config: HiftConfig, compat: Compat = None) -> None:
        super().__init__()
        self.config, self.compat = config, compat
        self.sines = config.nb_harmonics + 1
        self.l_linear = nn.Linear(self.sines, 1)

    def forward(self, f0: Tensor, phase: Tensor, noise: Tensor, cycles: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Pitch [B, T] in Hz -> source [B, 1, T · hop] and the fundamental's phase after it, [B] in periods, float64.

        ``phase`` [B, sines, 1] are the sines' offsets in radians (the first is not used), ``noise``
        [B, sines, T · hop] standard normal, ``cycles`` [B] the phase after the samples before (None: at the start).
        """
        config, hop = self.config, self.config.hop
        cycles = f0.new_zeros(len(f0), dtype=torch.float64) if cycles is None else cycles
        multiples = torch.arange(1, self.sines + 1, device=f0.device)
        if self.compat == "upstream":
            pitch = f0.repeat_interleave(hop, 1)
            turns = ((pitch[:, None] * multiples[:, None]) / config.sampling_rate).cumsum(2) % 1
        else:
            starts, cycles = self._starts(f0, cycles)
            glide = torch.arange(1, hop + 1, device=f0.device) / config.sampling_rate
            fundamental = (starts[..., None] + f0[..., None].to(starts.dtype) * glide).flatten(1)
            turns = (fundamental[:, None] * multiples[:, None]) % 1
        offsets = torch.cat((torch.zeros_like(phase[:, :1]), phase[:, 1:]), 1)
        sines = config.nsf_alpha * torch.sin(2 * math.pi * turns + offsets)
        voiced = (f0 > config.nsf_voiced_threshold).to(sines.dtype).repeat_interleave(hop, 1)[:, None]
        level = voiced * config.nsf_sigma + (1 - voiced) * config.nsf_alpha / 3
        mixed = (sines * voiced + level * noise).to(f0.dtype)
        source: Tensor = torch.tanh(self.l_linear(mixed.transpose(1, 2)))
        return source.transpose(1, 2), cycles

    def _starts(self, f0: Tensor, cycles: Tensor) -> tuple[Tensor, Tensor]:
        """The phase at the start of every frame, [B, T], and after the last, [B]: summed in float64 and wrapped."""
        advance = f0.double() * (self.config.hop / self.config.sampling_rate)
        after = (cycles[:, None] + advance.cumsum(1)) % 1
        starts = torch.cat((cycles[:, None], after), 1)
        return starts[:, :-1].to(torch.promote_types(f0.dtype, torch.float32)), starts[:, -1]
