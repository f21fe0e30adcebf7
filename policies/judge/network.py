"""The tuned judge's own network: it compares words with context token by token, then judges chunks.

Takes the states in which a frozen reader has put both; the comparison runs when the words change, the head on every
chunk. It knows tensors only, nothing of situations, texts, files or decisions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

OUTPUTS = 7  # the five actions, "has yielded", "crisis"


@dataclass(frozen=True)
class Shape:
    """Sizes of the network."""

    features: int  # numbers of one chunk
    read: int = 384  # width of the reader's states
    width: int = 128
    heads: int = 4
    layers: int = 2
    places: int = 40  # most words' tokens
    hidden: int = 192
    heard: int = 24
    states: int = 768
    dropout: float = 0.2


class Dropout(nn.Module):
    """Drops a share of what passes while training, by its own generator: training repeats itself."""

    def __init__(self, share: float, seed: int) -> None:
        super().__init__()
        self.share = share
        self._chance = torch.Generator().manual_seed(seed)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape; what is kept is scaled up."""
        if not self.training or self.share == 0.0:
            return x
        kept = torch.rand(x.shape, generator=self._chance) >= self.share
        return x * (kept.to(x.dtype) / (1 - self.share))


class Comparison(nn.Module):
    """One layer (pre-norm): words look at each other, then at the context, then each thinks for itself."""

    def __init__(self, shape: Shape, seed: int) -> None:
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.own, self.context = nn.Linear(width, 3 * width), nn.Linear(width, 2 * width)
        self.asked, self.own_out, self.context_out = (nn.Linear(width, width) for _ in range(3))
        self.inner, self.outer = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.norm_own, self.norm_context, self.norm_inner = (nn.LayerNorm(width) for _ in range(3))
        self.dropout = Dropout(shape.dropout / 2, seed)

    def forward(self, x: Tensor, mask: Tensor, context: Tensor, context_mask: Tensor, which: Tensor) -> Tensor:
        """x [n, t, width], context [m, c, width], masks [n, 1, 1, t or c] (True: may be seen) -> x.

        ``which`` [n] says over which of the m contexts each row is read.
        """
        query, key, value = self.own(self.norm_own(x)).chunk(3, -1)
        x = x + self.dropout(self.own_out(self._attend(query, key, value, mask)))
        key, value = self.context(context)[which].chunk(2, -1)
        query = self.asked(self.norm_context(x))
        x = x + self.dropout(self.context_out(self._attend(query, key, value, context_mask)))
        return x + self.dropout(self.outer(functional.gelu(self.inner(self.norm_inner(x)))))  # type: ignore[no-any-return]

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (p.view(*p.shape[:2], self.heads, -1).transpose(1, 2) for p in (query, key, value))
        # Written out: the fused kernel's backward pass is four times slower at these sizes on a CPU.
        weight = (q @ k.transpose(2, 3) / q.shape[-1] ** 0.5).masked_fill(~mask, -1e4).softmax(-1)
        return (weight.to(v.dtype) @ v).transpose(1, 2).flatten(2)  # type: ignore[no-any-return]


class Comparer(nn.Module):
    """Words' states over a context's states -> one vector."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.words = nn.Sequential(nn.LayerNorm(shape.read), nn.Linear(shape.read, shape.width))
        self.context = nn.Sequential(nn.LayerNorm(shape.read), nn.Linear(shape.read, shape.width))
        self.places = nn.Parameter(torch.zeros(shape.places, shape.width))  # counted from the last word backwards
        self.layers = nn.ModuleList(Comparison(shape, seed) for seed in range(shape.layers))
        self.whole = nn.Sequential(nn.LayerNorm(2 * shape.read), nn.Linear(2 * shape.read, shape.width))
        self.dropout = Dropout(shape.dropout, 101)
        self.size = 4 * shape.width

    def forward(self, words: Tensor, mask: Tensor, context: Tensor, context_mask: Tensor, which: Tensor) -> Tensor:
        """words [n, t, read] padded on the left, context [m, c, read], masks [n, t], [m, c], which [n] -> [n, size].

        Row i of the words is read over context ``which[i]``.
        """
        x = self.words(self.dropout(words)) + self.places[: words.shape[1]].flip(0)
        about = self.context(self.dropout(context))
        for layer in self.layers:
            x = layer(x, mask[:, None, None, :], about, context_mask[which][:, None, None, :], which)
        whole = torch.cat([_mean(words, mask), _mean(context, context_mask)[which]], 1)
        best = x.masked_fill(~mask[..., None], -1e4).amax(1)
        return torch.cat([x[:, -1], _mean(x, mask), best, self.whole(self.dropout(whole))], 1)


class Head(nn.Module):
    """What was compared, the numbers and the frame states of one chunk -> logits."""

    lean: Tensor  # [5], added to the actions' logits; chosen on held-back scenes

    def __init__(self, shape: Shape, compared: int) -> None:
        super().__init__()
        self.heard = nn.Sequential(nn.LayerNorm(shape.states), nn.Linear(shape.states, shape.heard))
        self.hidden = nn.Linear(compared + shape.features + shape.heard, shape.hidden)
        self.middle = nn.Linear(shape.hidden, shape.hidden)
        self.out = nn.Linear(shape.hidden, OUTPUTS)
        self.dropout = Dropout(shape.dropout, 102)
        self.register_buffer("lean", torch.zeros(5))

    def forward(self, compared: Tensor, numbers: Tensor, states: Tensor, known: Tensor) -> Tensor:
        """compared [n, size], numbers [n, features], states [n, 768], known [n] (0: states unknown) -> [n, OUTPUTS]."""
        heard = self.heard(states) * known[:, None]
        x = torch.cat([self.dropout(compared), numbers, self.dropout(heard)], 1)
        x = self.dropout(functional.gelu(self.hidden(x)))
        return self.out(x + functional.gelu(self.middle(x)))  # type: ignore[no-any-return]


class JudgeNetwork(nn.Module):
    """Comparer and head together: all that is trained and shipped."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.comparer = Comparer(shape)
        self.head = Head(shape, self.comparer.size)


def _mean(x: Tensor, mask: Tensor) -> Tensor:
    weight = mask[..., None].to(x.dtype)
    return (x * weight).sum(1) / weight.sum(1).clamp(min=1.0)
