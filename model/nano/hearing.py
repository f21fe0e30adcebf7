"""The ear: audio encoder with phone CTC, and a convolutional adapter at 6.25 Hz that carries how it was said.

Log-mel -> two stride-2 convolutions -> blocks of chunk-causal attention (160 ms chunks, bounded left
context), causal depthwise convolution and feed-forward -> phones at 25 Hz. The inner blocks run at 12.5 Hz
(as in Zipformer, Yao et al. 2023), which halves their cost. A frame sees its own chunk and the past, so a
chunk's output never changes later and costs the same however long the turn is. Works on whole turns or
chunk by chunk with equal results. Knows phones and labels, not words: those are `decoder`'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn

from model.interface import EMOTIONS, EVENTS, Record
from model.nano import phones
from model.nano.features import MELS, MelStream, normalise


class HearingConfig(Record):
    """Sizes of the ear."""

    dim: int = 256
    layers: int = 6
    heads: int = 4
    feedforward: int = 1024
    kernel: int = 9  # of the depthwise convolution, frames
    outer: int = 1  # blocks at either end that run at 25 Hz; the others run at 12.5 Hz
    chunk: int = 4  # frames per 160 ms, at 25 Hz
    left: int = 128  # frames of left context at 25 Hz (5.12 s)

    def pace(self, block: int) -> int:
        """How many 25 Hz frames one frame of this block spans."""
        return 2 if self.outer <= block < self.layers - self.outer else 1


@dataclass
class Heard:
    """CTC log-probabilities [B, T, phones] at 25 Hz; the adapter's manner states [B, T / 4, dim] at 6.25 Hz."""

    logp: torch.Tensor
    manner: torch.Tensor


@dataclass
class EarState:
    """What the ear keeps of the past; fixed size. ``caches`` holds (turned keys, values, convolution) per block."""

    at: int = 0  # frames at 25 Hz so far
    front: list[torch.Tensor] = field(default_factory=list)
    caches: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = field(default_factory=list)


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary embedding (Su et al. 2021) of [B, H, T, d] by tables [T, d/2]."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


Tables = tuple[torch.Tensor, torch.Tensor]


def _tables(start: int, count: int, size: int) -> Tables:
    """Cosines and sines [count, size / 2] for positions from ``start`` on."""
    rates = 10_000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angles = torch.arange(start, start + count, dtype=torch.float64)[:, None] * rates
    return angles.cos().float(), angles.sin().float()


def _slide(layer: nn.Conv1d, x: torch.Tensor) -> torch.Tensor:
    """``layer`` over [B, channels, T]; for the few frames of a chunk in half the time of the library's convolution."""
    windows = x.unfold(2, layer.kernel_size[0], layer.stride[0])  # [B, channels, n, kernel]
    assert layer.bias is not None
    if layer.groups > 1:  # one channel each
        return (windows * layer.weight.transpose(0, 1)[:, :, None]).sum(-1).squeeze(1) + layer.bias[:, None]
    return F.linear(windows.transpose(1, 2).flatten(2), layer.weight.flatten(1), layer.bias).transpose(1, 2)


class Block(nn.Module):
    """Attention, depthwise convolution, feed-forward; each with a pre-norm and a residual."""

    def __init__(self, config: HearingConfig, pace: int) -> None:
        super().__init__()
        self.config, self.left = config, config.left // pace
        dim = config.dim
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.gate, self.mix = nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.depth = nn.Conv1d(dim, dim, config.kernel, groups=dim)
        self.depth_norm = nn.LayerNorm(dim)
        self.up, self.down = nn.Linear(dim, config.feedforward), nn.Linear(config.feedforward, dim)

    def _split(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        batch, frames, dim = x.shape
        heads = self.qkv(x).view(batch, frames, 3, self.config.heads, dim // self.config.heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        return q, k, v

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        mixed = F.scaled_dot_product_attention(q, k, v, mask)
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Whole utterances [B, T, dim] under ``mask`` [T, T]."""
        q, k, v = self._split(self.norms[0](x))
        cos, sin = (table.to(k.dtype) for table in _tables(0, k.shape[2], k.shape[3]))
        x = x + self._attend(_rotate(q, cos, sin), _rotate(k, cos, sin), v, mask)
        gated = F.glu(self.gate(self.norms[1](x)), dim=-1)
        deep = self.depth(F.pad(gated.transpose(1, 2), (self.config.kernel - 1, 0))).transpose(1, 2)
        x = x + self.mix(F.silu(self.depth_norm(deep)))
        return x + self.down(F.silu(self.up(self.norms[2](x))))  # type: ignore[no-any-return]

    def step(
        self, x: torch.Tensor, cache: tuple[torch.Tensor, torch.Tensor, torch.Tensor], tables: Tables
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """One chunk [B, chunk, dim] at the positions of ``tables``, with what is kept of the past."""
        q, k, v = self._split(self.norms[0](x))
        keys, values = torch.cat([cache[0], _rotate(k, *tables)], dim=2), torch.cat([cache[1], v], dim=2)
        x = x + self._attend(_rotate(q, *tables), keys, values, None)
        joined = torch.cat([cache[2], F.glu(self.gate(self.norms[1](x)), dim=-1).transpose(1, 2)], dim=2)
        deep = _slide(self.depth, joined).transpose(1, 2)
        x = x + self.mix(F.silu(self.depth_norm(deep)))
        past = joined[:, :, -(self.config.kernel - 1) :]
        kept = (keys[:, :, -self.left :], values[:, :, -self.left :], past)
        return x + self.down(F.silu(self.up(self.norms[2](x)))), kept


class Encoder(nn.Module):
    """The audio encoder. ``forward`` for training on whole turns, ``step`` for one chunk."""

    priors: torch.Tensor

    def __init__(self, config: HearingConfig | None = None) -> None:
        super().__init__()
        self.config = config or HearingConfig()
        dim = self.config.dim
        self.front = nn.ModuleList([nn.Conv1d(MELS, dim, 3, stride=2), nn.Conv1d(dim, dim, 3, stride=2)])
        self.blocks = nn.ModuleList(Block(self.config, self.config.pace(n)) for n in range(self.config.layers))
        self.shrink, self.widen = nn.Linear(2 * dim, dim), nn.Linear(dim, 2 * dim)
        self.norm = nn.LayerNorm(dim)
        self.phones = nn.Linear(dim, phones.COUNT)
        self.register_buffer("priors", torch.zeros(phones.COUNT))  # ln mean posterior of each phone, once trained
        self.adapter = nn.Conv1d(2 * dim, dim, self.config.chunk, stride=self.config.chunk)
        self.emotion = nn.Sequential(nn.Linear(2 * dim, dim), nn.SiLU(), nn.Linear(dim, len(EMOTIONS)))
        self.event = nn.Linear(dim, len(EVENTS))
        self.facing = nn.Linear(dim, 1)
        self.complete = nn.Linear(dim, 1)

    def mask(self, frames: int, pace: int) -> torch.Tensor:
        """Boolean [T, T]: own chunk, and the left context before it."""
        chunk, left = self.config.chunk // pace, self.config.left // pace
        at = torch.arange(frames)
        start = at // chunk * chunk
        return (at[None] < (start + chunk)[:, None]) & (at[None] >= (start - left)[:, None])

    def _through(self, x: torch.Tensor, run: Callable[[int, torch.Tensor], torch.Tensor]) -> Heard:
        """All blocks in order, ``run(number, frames)`` doing each; [B, T, dim] at 25 Hz -> Heard."""
        outer, layers = self.config.outer, self.config.layers
        mid = x
        for number in range(layers):
            if number == outer:
                kept, x = x, self.shrink(x.unflatten(1, (-1, 2)).flatten(2))
            if number == layers - outer:
                x = kept + self.widen(x).unflatten(2, (2, -1)).flatten(1, 2)
            x = run(number, x)
            if number == layers // 2 - 1:
                mid = x.repeat_interleave(self.config.pace(number), dim=1)
        return self._finish(mid, x)

    def _finish(self, mid: torch.Tensor, x: torch.Tensor) -> Heard:
        x = self.norm(x)
        manner = torch.tanh(_slide(self.adapter, torch.cat([mid, x], dim=-1).transpose(1, 2)).transpose(1, 2))
        return Heard(F.log_softmax(self.phones(x).float(), dim=-1), manner)

    def forward(self, mel: torch.Tensor) -> Heard:
        """Log-mel [B, 4 T, MELS], T a multiple of the chunk -> Heard over T frames."""
        x = normalise(mel).transpose(1, 2)
        for layer in self.front:
            x = F.gelu(layer(F.pad(x, (1, 0))))
        x = x.transpose(1, 2)
        masks = {pace: self.mask(x.shape[1] // pace, pace) for pace in (1, 2)}
        return self._through(x, lambda n, frames: self.blocks[n](frames, masks[self.config.pace(n)]))

    def open(self) -> EarState:
        """An ear that has heard nothing."""
        config, size = self.config, self.config.dim // self.config.heads
        front = [torch.zeros(1, MELS, 1), torch.zeros(1, config.dim, 1)]
        empty = torch.zeros(1, config.heads, 0, size)
        caches = [(empty, empty, torch.zeros(1, config.dim, config.kernel - 1)) for _ in self.blocks]
        return EarState(0, front, caches)

    def step(self, mel: torch.Tensor, state: EarState) -> Heard:
        """One chunk of log-mel [1, 16, MELS] -> Heard over 4 frames; ``state`` moves on."""
        x = normalise(mel).transpose(1, 2)
        for number, layer in enumerate(self.front):
            joined = torch.cat([state.front[number], x], dim=2)
            state.front[number] = joined[:, :, -1:]
            x = F.gelu(_slide(layer, joined))  # type: ignore[arg-type]
        size, length = self.config.dim // self.config.heads, x.shape[2]
        tables = {pace: _tables(state.at // pace, length // pace, size) for pace in (1, 2)}
        state.at += length

        def run(number: int, frames: torch.Tensor) -> torch.Tensor:
            block, turned = self.blocks[number], tables[self.config.pace(number)]
            out, state.caches[number] = block.step(frames, state.caches[number], turned)  # type: ignore[operator]
            return out  # type: ignore[no-any-return]

        return self._through(x.transpose(1, 2), run)

    def emotion_of(self, manner: torch.Tensor) -> torch.Tensor:
        """Emotion logits from manner states [n, dim] of the speech of a turn: mean and spread."""
        spread = manner.var(dim=0, correction=0).add(1e-5).sqrt()
        return self.emotion(torch.cat([manner.mean(dim=0), spread]))  # type: ignore[no-any-return]


class Ear:
    """One session's ear: 160 ms of samples in, Heard over 4 frames out."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._mel = MelStream()
        self._state = encoder.open()

    def hear(self, samples: torch.Tensor) -> Heard:
        """Float32 [2560] -> Heard with batch 1."""
        return self._encoder.step(self._mel.push(samples)[None], self._state)
