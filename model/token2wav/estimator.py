"""The direction of the flow at one time: a U-Net over mel frames with attention at every level.

The architecture of Matcha-TTS (Mehta et al. 2024) as CosyVoice conditions it: the noisy mel, the encoded units,
the speaker and the known mel are stacked as channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.opens2s.compat import Compat
from model.token2wav.config import EstimatorConfig
from model.token2wav.masking import group_norm

_NORM_GROUPS = 8  # of every GroupNorm; no setting upstream
_TIME_SCALE = 1000.0


class Level(NamedTuple):
    """Which frames of one resolution count; all None where nothing is padded."""

    mask: Tensor | None  # [B, 1, T], one or zero
    bias: Tensor | None  # attn_mask of the attention
    counted: Tensor | None  # mask of the GroupNorm statistics

    def keep(self, x: Tensor) -> Tensor:
        """x [B, C, T] with padding zeroed."""
        return x if self.mask is None else x * self.mask


class Block(nn.Module):
    """Convolution, GroupNorm, Mish."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv1d(inner, outer, 3, padding=1), nn.GroupNorm(_NORM_GROUPS, outer), nn.Mish()
        )  # fmt: skip

    def forward(self, x: Tensor, level: Level) -> Tensor:
        """[B, inner, T] -> [B, outer, T]."""
        conv, norm, mish = self.block
        normal = group_norm(norm, conv(level.keep(x)), level.counted)  # type: ignore[arg-type]
        return level.keep(mish(normal))


class Resnet(nn.Module):
    """Two blocks with the time between them, and a shortcut."""

    def __init__(self, inner: int, outer: int, time: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Mish(), nn.Linear(time, outer))
        self.block1 = Block(inner, outer)
        self.block2 = Block(outer, outer)
        self.res_conv = nn.Conv1d(inner, outer, 1)

    def forward(self, x: Tensor, level: Level, time: Tensor) -> Tensor:
        """x [B, inner, T], time [B, d] -> [B, outer, T]."""
        h = self.block1(x, level) + self.mlp(time)[..., None]
        found: Tensor = self.block2(h, level) + self.res_conv(level.keep(x))
        return found


class Attention(nn.Module):
    """Multi-head self-attention of any inner width."""

    def __init__(self, width: int, config: EstimatorConfig) -> None:
        super().__init__()
        inner = config.num_heads * config.attention_head_dim
        self.heads, self.rate = config.num_heads, config.dropout
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_k = nn.Linear(width, inner, bias=False)
        self.to_v = nn.Linear(width, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, width), nn.Dropout(config.dropout))

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        q, k, v = (f(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for f in (self.to_q, self.to_k, self.to_v))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=self.rate if self.training else 0.0)
        found: Tensor = self.to_out(mixed.transpose(1, 2).flatten(2))
        return found


class Gelu(nn.Module):
    """Linear, then exact GELU."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inner, outer)

    def forward(self, x: Tensor) -> Tensor:
        """[.., inner] -> [.., outer]."""
        return F.gelu(self.proj(x))


class FeedForward(nn.Module):
    """Four times as wide inside."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.net = nn.Sequential(Gelu(width, 4 * width), nn.Dropout(dropout), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """[.., width] -> [.., width]."""
        found: Tensor = self.net(x)
        return found


class Transformer(nn.Module):
    """Attention and feed-forward, both behind a norm and added."""

    def __init__(self, width: int, config: EstimatorConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(width, config)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width, config.dropout)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        x = x + self.attn1(self.norm1(x), bias)
        found: Tensor = x + self.ff(self.norm3(x))
        return found


class Resample(nn.Module):
    """Half the frames, or twice as many."""

    def __init__(self, conv: nn.Conv1d | nn.ConvTranspose1d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, T] -> [B, C, T'] by the convolution's stride."""
        found: Tensor = self.conv(x)
        return found


class TimeMlp(nn.Module):
    """Sinusoids of the time, widened."""

    def __init__(self, width: int, outer: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(width, outer)
        self.linear_2 = nn.Linear(outer, outer)

    def forward(self, t: Tensor) -> Tensor:
        """Times [B], 0..1 -> [B, outer]."""
        half = self.linear_1.in_features // 2
        pace = torch.exp(torch.arange(half, device=t.device).float() * -(math.log(10_000) / (half - 1)))
        angles = _TIME_SCALE * t.float()[:, None] * pace
        waves = torch.cat((angles.sin(), angles.cos()), 1).to(self.linear_1.weight.dtype)
        found: Tensor = self.linear_2(F.silu(self.linear_1(waves)))
        return found


class Estimator(nn.Module):
    """``compat="upstream"`` adds the 0/1 mask to attention scores and counts padding in GroupNorm; None masks both."""

    def __init__(self, config: EstimatorConfig, compat: Compat = None) -> None:
        super().__init__()
        self.compat = compat
        time, widths = 4 * config.channels[0], config.channels
        self.time_mlp = TimeMlp(config.in_channels, time)

        def stage(inner: int, outer: int, *resample: nn.Module) -> nn.ModuleList:
            attentions = nn.ModuleList(Transformer(outer, config) for _ in range(config.n_blocks))
            return nn.ModuleList((Resnet(inner, outer, time), attentions, *resample))

        def down(width: int, last: bool) -> nn.Module:
            return nn.Conv1d(width, width, 3, 1, 1) if last else Resample(nn.Conv1d(width, width, 3, 2, 1))

        def up(width: int, last: bool) -> nn.Module:
            return nn.Conv1d(width, width, 3, 1, 1) if last else Resample(nn.ConvTranspose1d(width, width, 4, 2, 1))

        deepest, back = len(widths) - 1, (*widths[::-1], widths[0])
        self.down_blocks: Iterable[Any] = nn.ModuleList(
            stage(inner, outer, down(outer, n == deepest))
            for n, (inner, outer) in enumerate(pairwise((config.in_channels, *widths)))
        )
        self.mid_blocks: Iterable[Any] = nn.ModuleList(
            stage(widths[-1], widths[-1]) for _ in range(config.num_mid_blocks)
        )
        self.up_blocks: Iterable[Any] = nn.ModuleList(
            stage(2 * inner, outer, up(outer, n == deepest)) for n, (inner, outer) in enumerate(pairwise(back))
        )
        self.final_block = Block(widths[0], widths[0])
        self.final_proj = nn.Conv1d(widths[0], config.out_channels, 1)

    def forward(self, x: Tensor, mask: Tensor | None, mu: Tensor, t: Tensor, spks: Tensor, cond: Tensor) -> Tensor:
        """x, mu, cond [B, mel, T], mask [B, 1, T] (None: all ones), t [B or 1], spks [B, mel] -> [B, mel, T]."""
        time = self.time_mlp(t)
        x = torch.cat((x, mu, spks[..., None].expand(-1, -1, x.shape[2]), cond), 1)
        levels: list[Level] = []
        skips: list[Tensor] = []
        for resnet, attentions, resample in self.down_blocks:
            level = self._level(mask)
            x = self._stage(resnet, attentions, x, level, time)
            levels.append(level)
            skips.append(x)
            x = resample(level.keep(x))
            mask = None if mask is None else mask[..., ::2]
        for resnet, attentions in self.mid_blocks:
            x = self._stage(resnet, attentions, x, levels[-1], time)
        for resnet, attentions, resample in self.up_blocks:
            level, skip = levels.pop(), skips.pop()
            x = torch.cat((x[..., : skip.shape[2]], skip), 1)
            x = resample(level.keep(self._stage(resnet, attentions, x, level, time)))
        found: Tensor = level.keep(self.final_proj(level.keep(self.final_block(x, level))))
        return found

    def _stage(self, resnet: Resnet, attentions: nn.ModuleList, x: Tensor, level: Level, time: Tensor) -> Tensor:
        x = resnet(x, level, time).transpose(1, 2)
        for attention in attentions:
            x = attention(x, level.bias)
        return x.transpose(1, 2)

    def _level(self, mask: Tensor | None) -> Level:
        if mask is None:
            return Level(None, None, None)
        if self.compat == "upstream":
            return Level(mask, (mask.transpose(1, 2) @ mask)[:, None], None)
        return Level(mask, (mask > 0)[:, None], mask)
