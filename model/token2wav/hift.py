"""Mel to sound: the HiFT vocoder of CosyVoice (HiFTNet, Li et al. 2023).

A pitch net, a harmonic source, and a trunk that shapes the source into the spectrum of an inverse STFT.
For sound while the mel still comes see ``waves``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.opens2s.compat import Compat
from model.token2wav.config import HiftConfig
from model.token2wav.convolution import NormedConv, NormedUpsampling, fold
from model.token2wav.source import HarmonicSource
from model.token2wav.spectrum import istft, stft

EDGE_KERNEL = 7  # of the first and the last convolution; no setting upstream
F0_LAYERS, F0_KERNEL = 5, 3
_LOUDEST = 100.0  # magnitude of a bin


class Snake(nn.Module):
    """x + sin²(αx)/α, α per channel (Ziyin et al. 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, T] -> the same."""
        alpha = self.alpha[:, None]
        return x + torch.sin(x * alpha).square() / (alpha + 1e-9)


class ResBlock(nn.Module):
    """Per dilation: snake, dilated convolution, snake, convolution, added."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(NormedConv(channels, channels, kernel, d) for d in dilations)
        self.convs2 = nn.ModuleList(NormedConv(channels, channels, kernel) for _ in dilations)
        self.activations1 = nn.ModuleList(Snake(channels) for _ in dilations)
        self.activations2 = nn.ModuleList(Snake(channels) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, T] -> the same."""
        parts = zip(self.activations1, self.convs1, self.activations2, self.convs2, strict=True)
        for snake1, conv1, snake2, conv2 in parts:
            x = x + conv2(snake2(conv1(snake1(x))))
        return x


class F0Predictor(nn.Module):
    """Mel to pitch."""

    def __init__(self, config: HiftConfig.F0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n in range(F0_LAYERS):
            inner = config.cond_channels if n else config.in_channels
            layers += [NormedConv(inner, config.cond_channels, F0_KERNEL), nn.ELU()]
        self.condnet = nn.Sequential(*layers)
        self.classifier = nn.Linear(config.cond_channels, config.num_class)

    def forward(self, mel: Tensor) -> Tensor:
        """[B, bins, T] -> Hz [B, T]."""
        found: Tensor = self.classifier(self.condnet(mel).transpose(1, 2))
        return found[..., 0].abs()


class Hift(nn.Module):
    """The vocoder; ``compat`` concerns the source's phase only."""

    def __init__(self, config: HiftConfig, compat: Compat = None) -> None:
        super().__init__()
        self.config = config
        bins, rates = config.istft_params.n_fft + 2, config.upsample_rates
        widths = [config.base_channels // 2**n for n in range(len(rates) + 1)]
        self.m_source = HarmonicSource(config, compat)
        self.conv_pre = NormedConv(config.in_channels, widths[0], EDGE_KERNEL)
        self.ups = nn.ModuleList(
            NormedUpsampling(widths[n], widths[n + 1], kernel, rates[n])
            for n, kernel in enumerate(config.upsample_kernel_sizes)
        )
        self.source_downs = nn.ModuleList(
            _downsampling(bins, width, math.prod(rates[n + 1 :])) for n, width in enumerate(widths[1:])
        )
        source_blocks = zip(config.source_resblock_kernel_sizes, config.source_resblock_dilation_sizes, strict=True)
        self.source_resblocks = nn.ModuleList(
            ResBlock(width, *block) for width, block in zip(widths[1:], source_blocks, strict=True)
        )
        blocks = list(zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True))
        self.resblocks = nn.ModuleList(ResBlock(width, *block) for width in widths[1:] for block in blocks)
        self.conv_post = NormedConv(widths[-1], bins, EDGE_KERNEL)
        self.f0_predictor = F0Predictor(config.f0_predictor)

    def fold(self) -> Hift:
        """Fold the weight norm, once after loading; the sound stays, the names ``weight_g`` and ``weight_v`` go."""
        fold(self)
        return self

    def forward(self, mel: Tensor, phase: Tensor, noise: Tensor, cache: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mel [B, bins, T] -> wave [B, T · hop] and source [B, 1, T · hop]; phase and noise as HarmonicSource.

        ``cache`` [B, 1, n] takes the place of the first n samples of the source.
        """
        source, _ = self.m_source(self.f0_predictor(mel), phase, noise)
        if cache is not None:
            source = torch.cat((cache, source[..., cache.shape[2] :]), 2)
        return self.decode(mel, source), source

    def decode(self, mel: Tensor, source: Tensor) -> Tensor:
        """Mel [B, bins, T] and source [B, 1, T · hop] -> wave [B, T · hop], within ±``audio_limit``."""
        n_fft, hop = self.config.istft_params.n_fft, self.config.istft_params.hop_len
        excitation = stft(source, n_fft, hop)
        x, last = self.conv_pre(mel), len(self.ups) - 1
        blocks = len(self.resblocks) // len(self.ups)
        for n, (up, down, block) in enumerate(zip(self.ups, self.source_downs, self.source_resblocks, strict=True)):
            x = up(F.leaky_relu(x, self.config.lrelu_slope))
            if n == last:
                x = F.pad(x, (1, 0), mode="reflect")
            x = x + block(down(excitation))
            x = torch.stack([part(x) for part in self.resblocks[n * blocks : (n + 1) * blocks]]).mean(0)
        magnitude, angle = self.conv_post(F.leaky_relu(x)).chunk(2, 1)
        magnitude, angle = magnitude.exp().clamp(max=_LOUDEST), angle.sin()
        wave = istft(torch.cat((magnitude * angle.cos(), magnitude * angle.sin()), 1), n_fft, hop)
        limit = self.config.audio_limit
        return wave.clamp(-limit, limit)


def _downsampling(bins: int, width: int, rate: int) -> nn.Conv1d:
    if rate == 1:
        return nn.Conv1d(bins, width, 1)
    return nn.Conv1d(bins, width, 2 * rate, stride=rate, padding=rate // 2)
