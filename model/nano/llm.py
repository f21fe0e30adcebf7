"""Nano's causal LLM: a small transformer that reads soft prompts, scores candidates and says words one by one.

Knows embeddings and its key/value cache, not text (see `text`), prompts (`prompting`) or how a reply is chosen
(`replies`). The architecture is the usual one: RMSNorm before each part, rotary positions, gated feed-forward,
tied embeddings (Llama; Touvron et al. 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.nano.config import LlmConfig


@dataclass(frozen=True)
class Cache:
    """Keys and values of everything read so far; immutable, so a fork costs nothing until it is written to."""

    keys: tuple[Tensor, ...]  # per layer [B, heads, T, d]
    values: tuple[Tensor, ...]

    @property
    def length(self) -> int:
        """Tokens read."""
        return int(self.keys[0].shape[2])

    def fork(self, count: int) -> Cache:
        """The same past for ``count`` continuations; needs a batch of one."""
        return Cache(
            tuple(k.expand(count, -1, -1, -1) for k in self.keys),
            tuple(v.expand(count, -1, -1, -1) for v in self.values),
        )

    def crop(self, length: int) -> Cache:
        """The past as it was after the first ``length`` tokens."""
        if not 0 <= length <= self.length:
            raise ValueError(f"Cannot crop a cache of {self.length} tokens to {length}.")
        return Cache(tuple(k[:, :, :length] for k in self.keys), tuple(v[:, :, :length] for v in self.values))


class Attention(nn.Module):
    """Causal multi-head self-attention with rotary positions."""

    def __init__(self, config: LlmConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.base = config.rope_base
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """x [B, T, D] after ``past`` (keys, values [B, H, P, d]) -> [B, T, D] and the longer past."""
        batch, time, width = x.shape
        q, k, v = self.qkv(x).view(batch, time, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        start = 0 if past is None else past[0].shape[2]
        q, k = rotate(q, start, self.base), rotate(k, start, self.base)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        if start == 0:
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=time > 1)
        else:
            mask = torch.ones(time, start + time, dtype=torch.bool).tril(start)
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).reshape(batch, time, width)), (k, v)


def rotate(x: Tensor, start: int, base: float) -> Tensor:
    """Rotary position embedding (Su et al. 2021) of x [B, H, T, d], whose first position is ``start``."""
    half = x.shape[-1] // 2
    rates = base ** (-torch.arange(half, dtype=torch.float32, device=x.device) / half)
    angles = torch.arange(start, start + x.shape[2], dtype=torch.float32, device=x.device)[:, None] * rates
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Block(nn.Module):
    """Attention and gated feed-forward, each on a normalised residual stream."""

    def __init__(self, config: LlmConfig) -> None:
        super().__init__()
        self.before_attention = nn.RMSNorm(config.width, eps=1e-5)
        self.attention = Attention(config)
        self.before_inner = nn.RMSNorm(config.width, eps=1e-5)
        self.gate_up = nn.Linear(config.width, 2 * config.inner, bias=False)
        self.down = nn.Linear(config.inner, config.width, bias=False)

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As `Attention.forward`."""
        mixed, past = self.attention(self.before_attention(x), past)
        x = x + mixed
        gate, up = self.gate_up(self.before_inner(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up), past


class Llm(nn.Module):
    """The decoder: embeddings [B, T, D] in, hidden states [B, T, D] out; logits by the tied embedding."""

    def __init__(self, config: LlmConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, eps=1e-5)
        self._initialise()

    def _initialise(self) -> None:
        generator = torch.Generator().manual_seed(0)
        deep = (2 * self.config.layers) ** -0.5
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                scale = deep if name.endswith(("out.weight", "down.weight")) else 1.0
                nn.init.normal_(weight, std=0.02 * scale, generator=generator)

    def forward(self, embeddings: Tensor, past: Cache | None = None) -> tuple[Tensor, Cache]:
        """Hidden states [B, T, D] of ``embeddings`` [B, T, D] read after ``past``, and the longer past."""
        x, keys, values = embeddings, [], []
        for number, block in enumerate(self.blocks):
            before = None if past is None else (past.keys[number], past.values[number])
            x, (k, v) = block(x, before)
            keys.append(k)
            values.append(v)
        return self.norm(x), Cache(tuple(keys), tuple(values))

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores [..., vocabulary] of the next token."""
        return F.linear(hidden, self.embedding.weight)

    def step(self, token: int, past: Cache) -> tuple[Tensor, Tensor, Cache]:
        """Read one token after ``past`` (batch 1): hidden state [D], logits [vocabulary], the longer past."""
        hidden, past = self(self.embedding(torch.tensor([[token]])), past)
        return hidden[0, 0], self.logits(hidden[0, 0]), past

    def score(self, last: Tensor, past: Cache, candidates: list[list[int]]) -> tuple[list[Tensor], list[Tensor]]:
        """Log-probabilities and hidden states of each candidate continuation, all in one pass.

        ``last`` [D] is the hidden state of the last token of ``past`` (batch 1). Returns, per candidate of n
        tokens, [n] natural-log probabilities and [n, D] hidden states. Empty candidates are an error.
        """
        if not candidates or any(not tokens for tokens in candidates):
            raise ValueError("Every candidate needs at least one token.")
        longest = max(len(tokens) for tokens in candidates)
        padded = torch.tensor([tokens + [0] * (longest - len(tokens)) for tokens in candidates])
        hidden, _ = self(self.embedding(padded), past.fork(len(candidates)))
        before = torch.cat([last.expand(len(candidates), 1, -1), hidden[:, :-1]], 1)
        chances = self.logits(before).log_softmax(-1).gather(-1, padded[..., None])[..., 0]
        sizes = [len(tokens) for tokens in candidates]
        rows = range(len(candidates))
        return [chances[i, : sizes[i]] for i in rows], [hidden[i, : sizes[i]] for i in rows]
