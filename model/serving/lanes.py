"""A causal language model stepped for many sequences at once, each with its own lane of one shared KV cache.

A lane holds the keys and values of one sequence in a tensor that never moves, so a step may be captured as a
CUDA graph. Who owns a lane, and how many of its tokens count, is the caller's business: inputs written past
that number are scratch, and forgetting them costs nothing. Knows Qwen3 blocks; knows nothing of speech.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.captured import Captured
from model.interface import PoiseError

BATCHES = (1, 2, 4, 8, 16, 24, 32, 48, 64)  # rows of a recorded step; a batch is filled up to the next of these
RECORDED = 512  # inputs of a step up to which it is worth recording
SMALLEST_SPAN = 256  # tokens of a lane a step looks at, doubled until it is enough


class LanesError(PoiseError):
    """More sequences, or longer ones, than there is room for."""

    code = "engine_full"


@dataclass(frozen=True)
class Row:
    """New inputs of one sequence.

    They see the first ``start`` tokens of ``lane`` and what goes before them in ``inputs`` [n, dim]. The last
    ``sum(branches)`` of them are alternatives: each branch follows the trunk and sees no other branch.
    """

    lane: int
    start: int
    inputs: Tensor
    branches: tuple[int, ...] = ()


class Lanes:
    """``count`` lanes of up to ``length`` tokens for one Qwen3 model; one more of each is kept for padding."""

    def __init__(self, model: Any, count: int, length: int, *, fill_batches: bool | None = None) -> None:
        self.model, self.count, self.length = model, count, length
        config, weight = model.config, model.get_input_embeddings().weight
        self.heads, self.kv_heads, self.size = config.num_attention_heads, config.num_key_value_heads, config.head_dim
        shape = (config.num_hidden_layers, 2, count + 1, self.kv_heads, length + 1, self.size)
        self._cache = torch.zeros(shape, device=weight.device, dtype=weight.dtype)
        self._free = list(range(count))[::-1]
        self._fill = weight.device.type == "cuda" if fill_batches is None else fill_batches
        self._body = Captured(self._forward, RECORDED * weight.shape[1])

    @property
    def free(self) -> int:
        """Lanes nobody holds."""
        return len(self._free)

    def take(self) -> int:
        """A lane of one's own. Raises LanesError where all are taken."""
        if not self._free:
            raise LanesError(
                f"All {self.count} places of the engine are taken.", "Try again later, or start it with more sessions."
            )
        return self._free.pop()

    def give(self, lane: int) -> None:
        """Nobody needs this lane any more."""
        assert lane not in self._free
        self._free.append(lane)

    def copy(self, source: int, target: int, tokens: int) -> None:
        """Let ``target`` begin with the first ``tokens`` of ``source``."""
        self._cache[:, :, target, :, :tokens] = self._cache[:, :, source, :, :tokens]

    def embed(self, ids: Sequence[int] | Tensor) -> Tensor:
        """Input embeddings [n, dim] of token ids."""
        table = self.model.get_input_embeddings()
        found: Tensor = table(torch.as_tensor(ids, dtype=torch.long, device=table.weight.device))
        return found

    def logits(self, states: Tensor) -> Tensor:
        """Float32 logits over the vocabulary of final states [..., dim]."""
        found: Tensor = self.model.get_output_embeddings()(states)
        return found.float()

    def run(self, rows: Sequence[Row]) -> list[Tensor]:
        """One forward for all rows; returns each row's final-norm states [n, dim].

        Raises LanesError where a row would not fit its lane.
        """
        width = self._width(max(len(row.inputs) for row in rows))
        span = max(row.start + len(row.inputs) for row in rows)
        if span > self.length:
            raise LanesError(f"A sequence of {span} tokens does not fit {self.length}.", "Shorten the conversation.")
        many = next((size for size in BATCHES if size >= len(rows)), len(rows)) if self._fill else len(rows)
        marks = np.full((many, 3 * width + 2), self.length, dtype=np.int64)  # place, position, own; lane, shared
        marks[:, width : 3 * width] = 0
        marks[:, -2:] = self.count, 0
        first = rows[0].inputs
        inputs = first.new_zeros(many, width, first.shape[-1])
        for number, row in enumerate(rows):
            self._mark(marks[number], row, width)
            inputs[number, : len(row.inputs)] = row.inputs
        # A single lane can be looked at in place; which one it is must not be part of a recording.
        alone = (rows[0].lane,) if many == 1 and not self._fill else ()
        states = self._body((self._span(span), *alone), inputs, torch.from_numpy(marks).to(inputs.device))
        return [states[number, : len(row.inputs)] for number, row in enumerate(rows)]

    def _width(self, needed: int) -> int:
        return 1 << (needed - 1).bit_length() if self._fill else needed

    def _span(self, needed: int) -> int:
        if not self._fill:
            return needed
        span = SMALLEST_SPAN
        while span < needed:
            span *= 2
        return min(span, self.length)

    @staticmethod
    def _mark(marks: Any, row: Row, width: int) -> None:
        count, shared = len(row.inputs), row.start + len(row.inputs) - sum(row.branches)
        place = np.arange(row.start, row.start + count)
        position, own = place.copy(), np.zeros(count, np.int64)
        begin = shared
        for length in row.branches:
            span = slice(begin - row.start, begin - row.start + length)
            position[span], own[span] = shared + np.arange(length), begin
            begin += length
        marks[:count], marks[width : width + count], marks[2 * width : 2 * width + count] = place, position, own
        marks[-2:] = row.lane, shared

    def _forward(self, key: tuple[int, ...], x: Tensor, marks: Tensor) -> Tensor:
        """States [B, n, dim] of inputs ``x``; the first ``key[0]`` tokens of each lane are looked at.

        With ``key[1]`` all rows are of that lane.
        """
        span, width = key[0], x.shape[1]
        place, position, own = marks[:, :-2].unflatten(1, (3, width)).unbind(1)
        lane, shared = marks[:, -2], marks[:, -1]
        seen = slice(key[1], key[1] + 1) if len(key) > 1 else lane
        at = torch.arange(span, device=x.device)
        sees = (at <= place[..., None]) & ((at < shared[:, None, None]) | (at >= own[..., None]))
        mask = sees[:, None, None].expand(-1, 1, self.heads // self.kv_heads, -1, -1).flatten(2, 3)
        body: nn.Module = self.model.model
        cos, sin = body.rotary_emb(x, position)  # type: ignore[operator]
        turn = cos[:, :, None], sin[:, :, None]
        for number, layer in enumerate(body.layers):  # type: ignore[arg-type]
            x = x + self._attend(layer.self_attn, layer.input_layernorm(x), number, (lane, place), seen, turn, mask)
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        final: Tensor = body.norm(x)  # type: ignore[operator]
        return final

    def _attend(
        self,
        block: Any,
        x: Tensor,
        layer: int,
        where: tuple[Tensor, Tensor],
        seen: Tensor | slice,
        turn: tuple[Tensor, Tensor],
        mask: Tensor,
    ) -> Tensor:
        batch, width, _ = x.shape
        q = _rotate(block.q_norm(block.q_proj(x).view(batch, width, self.heads, self.size)), turn)
        k = _rotate(block.k_norm(block.k_proj(x).view(batch, width, self.kv_heads, self.size)), turn)
        v = block.v_proj(x).view(batch, width, self.kv_heads, self.size)
        keys, values = self._cache[layer]
        lane, place = where[0][:, None], where[1]
        keys[lane, :, place], values[lane, :, place] = k, v
        keys, values = keys[:, :, : mask.shape[-1]][seen], values[:, :, : mask.shape[-1]][seen]
        # Queries that share a key-value head stand side by side as positions: nothing is repeated.
        grouped = q.unflatten(2, (self.kv_heads, -1)).permute(0, 2, 3, 1, 4).flatten(2, 3)
        mixed = F.scaled_dot_product_attention(grouped, keys, values, mask)
        mixed = mixed.unflatten(2, (-1, width)).permute(0, 3, 1, 2, 4).flatten(2)
        out: Tensor = block.o_proj(mixed)
        return out


def _rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions (Su et al. 2021) of [B, n, heads, size], halves as Qwen3 lays them out."""
    a, b = x.chunk(2, dim=-1)
    return x * turn[0] + torch.cat([-b, a], dim=-1) * turn[1]
