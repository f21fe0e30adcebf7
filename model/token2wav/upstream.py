"""Streaming exactly as the published code does it, defects included: a baseline to compare with, not to use.

Every block runs encoder and U-Net on the whole prefix, with noise drawn anew; the seam is faded with a gain
above one; from the third block on a frame is lost; the vocoder starts afresh. ``stream`` does it right.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from model.token2wav.config import UPSTREAM_HOP, UPSTREAM_RATE
from model.token2wav.flow import Flow
from model.token2wav.hift import Hift

WORKER_UNITS = 24  # units a block of the published worker
_OVERLAP_UNITS = 5
_SEED = 42


class Draws(NamedTuple):
    """The random numbers of one block."""

    z: Tensor  # [1, mel, frames of all units so far]
    phase: Tensor  # [1, sines, 1]
    noise: Tensor  # [1, sines, samples vocoded]


class UpstreamStream:
    """One reply; flow and vocoder in upstream mode, in eval mode as the weights were meant to run."""

    def __init__(self, flow: Flow, vocoder: Hift, embedding: Tensor | None = None) -> None:
        self._flow, self._vocoder = flow.eval(), vocoder.eval()
        like = flow.spk_embed_affine_layer.weight
        self._embedding = like.new_zeros(1, flow.config.spk_embed_dim) if embedding is None else embedding
        self._units = torch.zeros(1, 0, dtype=torch.long, device=like.device)
        self.returned = like.new_zeros(1, flow.config.output_size, 0)  # all mel handed back, the next block's prompt
        self._overlap = int(_OVERLAP_UNITS / flow.config.input_frame_rate * UPSTREAM_RATE / UPSTREAM_HOP)
        self._held: Tensor | None = None
        self._last: tuple[Tensor, Tensor] | None = None  # a mel frame and its source

    @torch.no_grad()
    def push(self, units: Tensor, final: bool, draws: Draws | None = None) -> tuple[Tensor, Tensor]:
        """The next block's units [1, n] -> wave [1, samples] and the mel that was vocoded [1, mel, frames]."""
        self._units = torch.cat((self._units, units), 1)
        generator = torch.Generator(units.device).manual_seed(_SEED)
        shape = (1, self._flow.config.output_size, self._flow.frames(self._units.shape[1]))
        z = torch.randn(shape, generator=generator, device=units.device) if draws is None else draws.z
        mel = self._flow(self._units, z.to(self.returned.dtype), self._embedding, self.returned)
        if self._held is not None:
            mel = _faded(self._held, mel)
        cache = None
        if self._last is not None:
            mel, cache = torch.cat((self._last[0], mel), 2), self._last[1]
        if not final:
            self._held, mel = mel[..., -self._overlap :], mel[..., : -self._overlap]
        phase, noise = self._excitation(mel, generator) if draws is None else (draws.phase, draws.noise)
        wave, source = self._vocoder(mel, phase, noise, cache)
        hop = self._vocoder.config.hop
        if not final:
            self._last, wave = (mel[..., -1:], source[..., -hop:]), wave[:, :-hop]
        self.returned = torch.cat((self.returned, mel), 2)
        return wave, mel

    def _excitation(self, mel: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        sines, samples = self._vocoder.m_source.sines, mel.shape[2] * self._vocoder.config.hop
        turns = torch.rand(1, sines, 1, generator=generator, device=mel.device)
        noise = torch.randn(1, sines, samples, generator=generator, device=mel.device)
        return ((2 * turns - 1) * math.pi).to(mel.dtype), noise.to(mel.dtype)


def _faded(held: Tensor, mel: Tensor) -> Tensor:
    """The first frames of ``mel`` mixed with ``held`` by the halves of one symmetric Hamming window."""
    count = held.shape[2]
    window = torch.hamming_window(2 * count, periodic=False, device=mel.device, dtype=mel.dtype)
    mixed = mel[..., :count] * window[:count] + held * window[count:]
    return torch.cat((mixed, mel[..., count:]), 2)
