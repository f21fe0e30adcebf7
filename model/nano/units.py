"""The speech tokenizer: 25 units a second from one codebook of 1,024, and the decoder from units to frames.

Knows frames of the default voice and the delivery, which both ends are told so that units need not carry it;
the decoder is also told which phone each unit sounds, where that is known. What frames sound like as a wave is
`vocoder`'s business. Encoding is for training; decoding streams,
``delay`` units behind. The encoder is a fitted projection: a learned one collapsed to three codes in the
time there is, this one uses them all from the start.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from model.nano.causal import CausalStack, State
from model.nano.config import UnitsConfig
from model.nano.frames import CEPSTRUM, CHANNELS, HOP, SAMPLE_RATE
from model.nano.states import END, SYMBOLS

UNIT_FRAMES = 4
UNIT_SAMPLES = UNIT_FRAMES * HOP
UNIT_RATE = SAMPLE_RATE / UNIT_SAMPLES
UNTOLD = SYMBOLS  # stands for the symbol of a unit of which nobody knows what it sounds


class UnitEncoder(nn.Module):
    """Frames [B, 4 n, 32] -> vectors [B, n, 16]: the main directions in which groups of four frames differ."""

    pitch: torch.Tensor
    mean: torch.Tensor
    directions: torch.Tensor

    def __init__(self, config: UnitsConfig) -> None:
        super().__init__()
        self.register_buffer("pitch", torch.zeros(config.deliveries))  # mean scaled pitch of each delivery
        self.register_buffer("mean", torch.zeros(UNIT_FRAMES * CHANNELS))
        self.register_buffer("directions", torch.zeros(UNIT_FRAMES * CHANNELS, config.code_width))

    def grouped(self, channels: torch.Tensor, delivery: torch.Tensor) -> torch.Tensor:
        """Frames [B, 4 n, 32] and delivery [B] -> [B, n, 128], pitch relative to the delivery's."""
        usual = self.pitch[delivery][:, None] * channels[..., CEPSTRUM + 1]
        relative = (channels[..., CEPSTRUM] - usual)[..., None]
        parts = (channels[..., :CEPSTRUM], relative, channels[..., CEPSTRUM + 1 :])
        return torch.cat(parts, -1).reshape(channels.shape[0], -1, UNIT_FRAMES * CHANNELS)

    def forward(self, channels: torch.Tensor, delivery: torch.Tensor) -> torch.Tensor:
        """Frames [B, 4 n, 32], delivery [B] -> [B, n, 16]."""
        return (self.grouped(channels.float(), delivery) - self.mean) @ self.directions


class Codebook(nn.Module):
    """1,024 points in 16 dimensions."""

    table: torch.Tensor

    def __init__(self, config: UnitsConfig) -> None:
        super().__init__()
        start = torch.randn(config.codes, config.code_width, generator=torch.Generator().manual_seed(0))
        self.register_buffer("table", start)

    def indices(self, vectors: torch.Tensor) -> torch.Tensor:
        """Nearest codes of vectors [..., 16] -> long [...]."""
        return (vectors @ self.table.T - 0.5 * self.table.square().sum(-1)).argmax(-1)

    def vectors(self, units: torch.Tensor) -> torch.Tensor:
        """Units [...] -> [..., 16]."""
        return self.table[units]


class TokenDecoder(nn.Module):
    """Units -> frames, causally, ``config.delay`` units late."""

    def __init__(self, config: UnitsConfig) -> None:
        super().__init__()
        self.config = config
        self.enter = nn.Linear(config.code_width, config.width)
        self.symbol = nn.Embedding(SYMBOLS + 1, config.width)
        self.delivery = nn.Embedding(config.deliveries, config.width)
        self.units = CausalStack(config.width, config.inner, config.decoder_blocks)
        self.split = nn.Linear(config.width, UNIT_FRAMES * config.frame_width)
        self.frames = CausalStack(config.frame_width, config.frame_inner, config.decoder_frame_blocks)
        self.norm = nn.LayerNorm(config.frame_width)
        self.leave = nn.Linear(config.frame_width, CHANNELS)

    def forward(
        self,
        vectors: torch.Tensor,
        symbols: torch.Tensor,
        delivery: torch.Tensor,
        state: tuple[State, State] | None = None,
    ) -> tuple[torch.Tensor, tuple[State, State]]:
        """Units to frames, late by ``delay`` units.

        From code vectors [B, n, 16] (zeros past the end) and the symbols of the states that they sound [B, n] (END
        past the end, or UNTOLD), delivery [B] and the state after the units before. Gives frames [B, 4 n, 32] and
        the new state.
        """
        before = state if state is not None else (None, None)
        x = self.enter(vectors) + self.symbol(symbols) + self.delivery(delivery)[:, None]
        x, slow = self.units(x, before[0])
        x = self.split(x).reshape(x.shape[0], -1, self.config.frame_width)
        x, quick = self.frames(x, before[1])
        return self.leave(self.norm(x)).float(), (slow, quick)

    def at_once(self, vectors: torch.Tensor, symbols: torch.Tensor, delivery: torch.Tensor) -> torch.Tensor:
        """Code vectors [B, n, 16] and symbols [B, n] -> frames [B, 4 n, 32] in their place."""
        rest = self.config.delay
        late: torch.Tensor = self(F.pad(vectors, (0, 0, 0, rest)), F.pad(symbols, (0, rest), value=END), delivery)[0]
        return late[:, UNIT_FRAMES * self.config.delay :]


class Tokenizer(nn.Module):
    """Encoder, codebook and decoder together, as they are trained."""

    def __init__(self, config: UnitsConfig) -> None:
        super().__init__()
        self.encoder = UnitEncoder(config)
        self.codebook = Codebook(config)
        self.decoder = TokenDecoder(config)

    def encode(self, channels: torch.Tensor, delivery: torch.Tensor) -> torch.Tensor:
        """Frames [B, 4 n, 32] -> units [B, n]."""
        return self.codebook.indices(self.encoder(channels, delivery))
