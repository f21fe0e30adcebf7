"""The speech decoder: a causal transformer over interleaved states and units, with a pointer into the states.

Knows states (phones, pauses, the LLM's thoughts) and units; nothing of text or sound. Every step reads one
position and gives one unit and the number of states that the pointer moves on, so it is known for every
unit which phone it belongs to. Between units, states join as OpenS2S interleaves them (M states, then N
units), the first block larger, and sooner if the pointer comes near the last known state.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from model.nano.config import SpeechDecoderConfig
from model.nano.states import END, SYMBOLS

WINDOW = (-1, 0, 1, 2)  # states around the pointer that a unit's position is told
Cache = list[tuple[torch.Tensor, torch.Tensor] | None]


def states_needed(config: SpeechDecoderConfig, step: int, pointer: int) -> int:
    """How many states must be in the sequence before unit ``step``, if there are so many."""
    count = config.first_states + config.block_states * (step // config.block_units)
    short = pointer + 1 + config.lookahead - count
    return count + max(-(-short // config.block_states), 0) * config.block_states


class Block(nn.Module):
    """Pre-norm attention with rotary positions, and a feed-forward."""

    def __init__(self, config: SpeechDecoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm_attention = nn.LayerNorm(config.width)
        self.query_key_value = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.norm_inner = nn.LayerNorm(config.width)
        self.up = nn.Linear(config.width, config.inner)
        self.down = nn.Linear(config.inner, config.width)

    def forward(
        self, x: torch.Tensor, turns: torch.Tensor, past: tuple[torch.Tensor, torch.Tensor] | None, context: int
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """[B, T, width], rotations [T, head / 2] complex, past keys and values -> [B, T, width] and the new past."""
        batch, length, width = x.shape
        packed = self.query_key_value(self.norm_attention(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4)
        query, key = _turned(query, turns), _turned(key, turns)
        if past is not None:
            key, value = torch.cat((past[0], key), 2)[:, :, -context:], torch.cat((past[1], value), 2)[:, :, -context:]
        if past is None or length == 1:
            y = F.scaled_dot_product_attention(query, key, value, is_causal=past is None)
        else:
            seen = torch.ones(length, key.shape[2], dtype=torch.bool).tril(key.shape[2] - length)
            y = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        x = x + self.out(y.transpose(1, 2).reshape(batch, length, width))
        x = x + self.down(F.gelu(self.up(self.norm_inner(x)), approximate="tanh"))
        return x, (key, value)


def _turned(x: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Rotary embedding of [B, heads, T, head] (Su et al. 2021), halves as real and imaginary parts."""
    one, two = x.chunk(2, dim=-1)
    cos, sin = turns.real.to(x.dtype), turns.imag.to(x.dtype)
    return torch.cat((one * cos - two * sin, one * sin + two * cos), -1)


@dataclass
class DecoderState:
    """One reply in progress."""

    cache: Cache
    symbols: list[int] = field(default_factory=list)  # of the states in the sequence
    bridged: list[torch.Tensor] = field(default_factory=list)  # their bridge outputs [width]
    position: int = 0
    pointer: int = 0
    elapsed: int = 0
    step: int = 0
    unit: int = -1


class SpeechDecoder(nn.Module):
    """States and units in, logits of units and of pointer moves out."""

    table: torch.Tensor
    speeds: torch.Tensor

    def __init__(self, config: SpeechDecoderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.register_buffer("table", torch.zeros(config.codes, config.code_width))  # the codebook
        self.symbol = nn.Embedding(SYMBOLS, width)
        self.start = nn.Embedding(2, width)
        self.around = nn.Linear(len(WINDOW) * width, width)
        self.delivery = nn.Embedding(config.deliveries, width)
        self.elapsed = nn.Embedding(config.elapsed, width)
        self.previous = nn.Linear(config.code_width, width)
        self.bridge = nn.Sequential(nn.LayerNorm(config.llm_width), nn.Linear(config.llm_width, width))
        self.bridge_gain = nn.Parameter(torch.full((width,), 0.1))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.direction = nn.Linear(width, config.code_width)
        self.unit = nn.Linear(width, config.codes)
        self.advance = nn.Linear(width, config.advances)
        nn.init.zeros_(self.unit.weight)
        half = width // config.heads // 2
        speeds = config.rope_base ** (-torch.arange(half) / half)
        self.register_buffer("speeds", speeds, persistent=False)

    def thoughts(self, hidden: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """LLM states [..., 256], and where there is one [...] -> [..., width], zero where there is none."""
        thought: torch.Tensor = self.bridge(hidden) * self.bridge_gain
        return thought * known[..., None].to(thought.dtype)

    def state_inputs(
        self, symbols: torch.Tensor, starts: torch.Tensor, bridged: torch.Tensor, delivery: torch.Tensor
    ) -> torch.Tensor:
        """Inputs of states [B, S, width]: symbols and word starts [B, S], `thoughts` [B, S, width], delivery [B]."""
        rows: torch.Tensor = self.symbol(symbols) + self.start(starts) + bridged + self.delivery(delivery)[:, None]
        return rows

    def unit_inputs(
        self, vectors: torch.Tensor, around: torch.Tensor, bridged: torch.Tensor, elapsed: torch.Tensor,
        delivery: torch.Tensor,
    ) -> torch.Tensor:  # fmt: skip
        """Inputs of units [B, U, width].

        From the code vectors before [B, U, 16], symbols around the pointer [B, U, 4], `thoughts` of the state
        pointed at, units since the pointer moved [B, U], and delivery [B].
        """
        near = self.around(self.symbol(around).flatten(2))
        since = self.elapsed(elapsed.clamp_max(self.config.elapsed - 1))
        rows: torch.Tensor = self.previous(vectors) + near + since + bridged + self.delivery(delivery)[:, None]
        return rows

    def forward(self, x: torch.Tensor, position: int = 0, cache: Cache | None = None) -> tuple[torch.Tensor, Cache]:
        """Inputs [B, T, width] from ``position`` on -> normalised outputs [B, T, width] and the cache."""
        angles = torch.arange(position, position + x.shape[1])[:, None] * self.speeds[None]
        turns = torch.polar(torch.ones_like(angles), angles)
        pasts: Cache = list(cache) if cache is not None else [None] * len(self.blocks)
        for n, block in enumerate(self.blocks):
            x, pasts[n] = block(x, turns, pasts[n], self.config.context)
        return self.norm(x), pasts

    def heads(self, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs [..., width] -> logits of units [..., 1024] and of moves [..., 5]."""
        return (self.direction(y) @ self.table.T.to(y.dtype) + self.unit(y)).float(), self.advance(y).float()

    def begin(self) -> DecoderState:
        """A reply before its first state."""
        return DecoderState([None] * len(self.blocks))

    def window(self, symbols: list[int], pointer: int) -> list[int]:
        """Symbols around the pointer; END past either end."""
        return [symbols[pointer + k] if 0 <= pointer + k < len(symbols) else END for k in WINDOW]
