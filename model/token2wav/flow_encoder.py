"""Units' vectors to contextual ones: a pre-norm transformer with relative positions, causal in whole blocks.

A unit sees all earlier units and the rest of its own block, so what a whole block gives never changes when
more units come: ``advance`` takes whole blocks and keeps their keys and values. Relative positions as in
Transformer-XL (Dai et al. 2019), in the form of ESPnet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.token2wav.config import EncoderConfig


def relative_table(first: int, last: int, width: int, like: Tensor) -> Tensor:
    """Sinusoids of the relative positions first, first - 1 .. last: [first - last + 1, width], sine on even columns."""
    pace = torch.exp(torch.arange(0, width, 2, device=like.device) * -(math.log(10_000.0) / width))
    angles = torch.arange(first, last - 1, -1, device=like.device).float()[:, None] * pace
    return torch.stack((angles.sin(), angles.cos()), 2).flatten(1).to(like.dtype)


class RelativeAttention(nn.Module):
    """Multi-head attention whose scores also depend on how far apart query and key are."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.output_size
        self.heads, self.head = config.attention_heads, width // config.attention_heads
        self.rate = config.attention_dropout_rate
        self.pos_bias_u = nn.Parameter(torch.zeros(self.heads, self.head))
        self.pos_bias_v = nn.Parameter(torch.zeros(self.heads, self.head))
        self.linear_q = nn.Linear(width, width)
        self.linear_k = nn.Linear(width, width)
        self.linear_v = nn.Linear(width, width)
        self.linear_out = nn.Linear(width, width)
        self.linear_pos = nn.Linear(width, width, bias=False)

    def _split(self, x: Tensor) -> Tensor:
        found: Tensor = x.unflatten(-1, (self.heads, self.head)).transpose(-3, -2)
        return found

    def forward(self, x: Tensor, table: Tensor, allowed: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """x [B, n, d], table [m + n - 1, d], allowed [.., n, m], past keys and values [B, 2, heads, m - n, head].

        Gives [B, n, d] and all keys and values [B, 2, heads, m, head].
        """
        query = self._split(self.linear_q(x))
        memory = torch.stack((self._split(self.linear_k(x)), self._split(self.linear_v(x))), 1)
        if past is not None:
            memory = torch.cat((past, memory), 3)
        by_place = (query + self.pos_bias_v[:, None]) @ self._split(self.linear_pos(table)).transpose(-2, -1)
        bias = _shifted(by_place, memory.shape[3]) / math.sqrt(self.head)
        mixed = F.scaled_dot_product_attention(
            query + self.pos_bias_u[:, None], memory[:, 0], memory[:, 1],
            attn_mask=bias.masked_fill(~allowed, -math.inf), dropout_p=self.rate if self.training else 0.0,
        )  # fmt: skip
        found: Tensor = self.linear_out(mixed.transpose(1, 2).flatten(2))
        return found, memory


def _shifted(scores: Tensor, keys: int) -> Tensor:
    """Columns by relative position [.., n, keys + n - 1] -> by key [.., n, keys]: row a moves by n - 1 - a."""
    *rest, rows, columns = scores.shape
    padded = F.pad(scores, (1, 0)).reshape(*rest, columns + 1, rows)
    return padded[..., 1:, :].reshape(*rest, rows, columns)[..., :keys]


class FeedForward(nn.Module):
    """w_2(silu(w_1 x))."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.w_1 = nn.Linear(config.output_size, config.linear_units)
        self.dropout = nn.Dropout(config.dropout_rate)
        self.w_2 = nn.Linear(config.linear_units, config.output_size)

    def forward(self, x: Tensor) -> Tensor:
        """[.., d] -> [.., d]."""
        found: Tensor = self.w_2(self.dropout(F.silu(self.w_1(x))))
        return found


class EncoderLayer(nn.Module):
    """Attention, then feed-forward, both behind a norm and added."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.self_attn = RelativeAttention(config)
        self.feed_forward = FeedForward(config)
        self.norm_ff = nn.LayerNorm(config.output_size, eps=1e-5)
        self.norm_mha = nn.LayerNorm(config.output_size, eps=1e-5)
        self.dropout = nn.Dropout(config.dropout_rate)

    def forward(self, x: Tensor, table: Tensor, allowed: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """As RelativeAttention."""
        seen, memory = self.self_attn(self.norm_mha(x), table, allowed, past)
        x = x + self.dropout(seen)
        return x + self.dropout(self.feed_forward(self.norm_ff(x))), memory


class Embed(nn.Module):
    """Linear, LayerNorm, and the scale of the positions' width."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.out = nn.Sequential(
            nn.Linear(config.input_size, config.output_size),
            nn.LayerNorm(config.output_size, eps=1e-5),
            nn.Dropout(config.dropout_rate),
        )
        self.dropout = nn.Dropout(config.positional_dropout_rate)

    def forward(self, xs: Tensor) -> Tensor:
        """[B, n, input_size] -> [B, n, output_size]."""
        x: Tensor = self.out(xs)
        scaled: Tensor = self.dropout(x * math.sqrt(x.shape[-1]))
        return scaled


class FlowEncoder(nn.Module):
    """The encoder of GLM-4-Voice's token decoder; blocks are counted from the first unit."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = Embed(config)
        self.after_norm = nn.LayerNorm(config.output_size, eps=1e-5)
        self.encoders = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_blocks))

    def forward(self, xs: Tensor, xs_lens: Tensor) -> tuple[Tensor, Tensor]:
        """Whole sequences [B, n, input_size] of these lengths [B] -> [B, n, output_size], valid [B, 1, n]."""
        valid = torch.arange(xs.shape[1], device=xs.device) < xs_lens[:, None, None]
        ys, _ = self._run(xs, valid[:, None], None)
        return ys, valid

    def empty(self, like: Tensor) -> Tensor:
        """The keys and values of a stream before its first unit: [layers, 2, heads, 0, head]."""
        heads = self.config.attention_heads
        return like.new_zeros(self.config.num_blocks, 2, heads, 0, self.config.output_size // heads)

    def advance(self, xs: Tensor, past: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The next n units of B streams, [B, n, input_size], and each one's keys and values of whole blocks before.

        Gives [B, n, output_size] and the streams' new keys and values [layers, 2, heads, units, head], equal to
        those of ``forward`` over everything. After a call that ends inside a block the stream is at its end.
        """
        counts = [memory.shape[3] for memory in past]
        longest = max(counts)
        # Units count from the right, so streams of unequal past share one table of relative positions.
        stacked = torch.stack([F.pad(memory, (0, 0, longest - memory.shape[3], 0)) for memory in past], 1)
        places = torch.arange(longest + xs.shape[1], device=xs.device)
        starts = torch.tensor([longest - n for n in counts], device=xs.device)
        ys, memory = self._run(xs, (places >= starts[:, None])[:, None, None], stacked)
        return ys, [memory[:, row, :, :, longest - n :].clone() for row, n in enumerate(counts)]

    def _run(self, xs: Tensor, valid: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """Valid is [B, 1, 1, m], past [layers, B, 2, heads, m - n, head]."""
        new, total = xs.shape[1], valid.shape[-1]
        blocks = torch.arange(new - total, new, device=xs.device).div(self.config.block_size, rounding_mode="floor")
        allowed = valid & (blocks[-new:, None] >= blocks)
        table = relative_table(total - 1, 1 - new, self.config.output_size, xs)
        x, memories = self.embed(xs), []
        for n, layer in enumerate(self.encoders):
            x, memory = layer(x, table, allowed, None if past is None else past[n])
            memories.append(memory)
        ys: Tensor = self.after_norm(x)
        return ys, torch.stack(memories)
