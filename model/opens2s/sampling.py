"""How an id is drawn from logits: temperature, top-k, top-p, in that order, as in transformers' generation.

Rows are independent and each brings its own uniform number, so that every stream can keep a private generator while
all are drawn in one step. Nothing here waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from model.opens2s.errors import RequestError

GREEDY = 1e-3  # up to this temperature the likeliest id is taken
CANDIDATES = 1024  # ids looked at where top-k leaves far fewer
UNSUPPORTED = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "typical_p": 1.0, "min_p": 0.0}


@dataclass(frozen=True)
class Sampling:
    """How boldly ids are drawn. Raises RequestError for a number out of range."""

    temperature: float = 0.0  # up to 0.001: the likeliest
    top_k: int = 0  # 0: all
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise RequestError(f"The temperature is {self.temperature}.", "Give a number from 0 up.")
        if not 0 < self.top_p <= 1:
            raise RequestError(f"top_p is {self.top_p}.", "Give a number above 0 and up to 1.")
        if isinstance(self.top_k, bool) or not isinstance(self.top_k, int) or self.top_k < 0:
            raise RequestError(f"top_k is {self.top_k}.", "Give a whole number; 0 keeps all.")

    @classmethod
    def from_config(cls, data: Mapping[str, Any]) -> Sampling:
        """From the content of a ``generation_config.json``, as if its ``do_sample`` were set.

        Raises RequestError if it asks for more than this.
        """
        for name, off in UNSUPPORTED.items():
            if data.get(name) not in (None, off):
                raise RequestError(f"The generation settings set {name} to {data[name]}.", f"Set it to {off}.")
        given = {name: data[name] for name in ("temperature", "top_k", "top_p") if data.get(name) is not None}
        return cls(**{"temperature": 1.0, "top_k": 50, **given})  # transformers' own defaults


def sample(
    logits: Tensor, uniforms: Tensor, temperature: float | Tensor, top_k: int | Tensor = 0, top_p: float | Tensor = 1.0
) -> Tensor:
    """Logits [B, V] and uniforms [B] in [0, 1) -> ids [B], by the inverse of the cumulative distribution.

    The settings are numbers for all rows or tensors [B].
    """
    if not isinstance(temperature, Tensor) and temperature <= GREEDY:
        return logits.argmax(-1)
    if not isinstance(top_k, Tensor) and 0 < top_k <= CANDIDATES // 4 and logits.shape[-1] > CANDIDATES:
        # Sorting a whole vocabulary costs more than a step of a small model; this many leave room for ties.
        logits, candidates = logits.topk(CANDIDATES)
        return candidates.gather(1, sample(logits, uniforms, temperature, top_k, top_p)[:, None])[:, 0]
    heat, most, mass = (_column(value, logits.device) for value in (temperature, top_k, top_p))
    greedy = heat <= GREEDY
    scores, ids = (logits.float() / torch.where(greedy, 1.0, heat)).sort(dim=-1, descending=True, stable=True)
    size = scores.shape[-1]
    # ids as likely as the k-th stay too, as in transformers
    last = torch.where(most > 0, most, size).long().clamp(max=size) - 1
    scores = scores.masked_fill(scores < scores.gather(1, last.expand(len(scores), 1)), -math.inf)
    chances = scores.softmax(-1)
    chances = chances * ((chances.cumsum(-1) - chances < mass) | (mass >= 1))
    reached = chances.cumsum(-1)
    drawn = (reached <= uniforms.to(reached)[:, None] * reached[:, -1:]).sum(-1, keepdim=True)
    drawn = torch.where(greedy, 0, drawn.minimum((chances > 0).sum(-1, keepdim=True) - 1))
    return ids.gather(1, drawn)[:, 0]


def _column(value: float | Tensor, device: torch.device) -> Tensor:
    """[B, 1] or [1, 1]; made on the device, so that a captured graph holds no copy."""
    return value.to(device)[:, None] if isinstance(value, Tensor) else torch.full((1, 1), value, device=device)
