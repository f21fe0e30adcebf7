"""The emotion of a turn from how it is said: the ear's states over its speech, and its prosody.

Knows pooled numbers, not sound. The encoder has an emotion head of its own, which only teaches its states to carry
emotion; this one is fitted afterwards, on states as they are and with prosody beside them (`model.training.emotion`).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from model.interface import EMOTIONS
from model.nano import prosody
from model.nano.hearing import HearingConfig

WEIGHTS = "emotion"
LIMIT = 4.0  # spreads from the mean beyond which an input counts no more


class EmotionHead(nn.Module):
    """Mean and spread of manner states, and prosody -> logits of EMOTIONS.

    States come through a narrow gate: all of them together know the voices that they were fitted on too well.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, width: int = HearingConfig().dim, gate: int = 16, inner: int = 64) -> None:
        super().__init__()
        self.states = 2 * width
        self.register_buffer("mean", torch.zeros(self.states + prosody.SIZE))
        self.register_buffer("scale", torch.ones(self.states + prosody.SIZE))
        self.gate = nn.Linear(self.states, gate)
        self.prosody = nn.Sequential(nn.Linear(prosody.SIZE, inner), nn.SiLU(), nn.Linear(inner, inner), nn.SiLU())
        self.join = nn.Linear(gate + inner, inner)
        self.leave = nn.Linear(inner, len(EMOTIONS))

    def forward(self, manner: torch.Tensor) -> torch.Tensor:
        """Rows of `listening.Manner.features` [..., 2 width + prosody.SIZE] -> [..., emotions]."""
        x = ((manner - self.mean) / self.scale).clamp(-LIMIT, LIMIT)
        states = F.silu(self.gate(F.dropout(x[..., : self.states], 0.7, self.training)))
        joined = torch.cat([states, self.prosody(x[..., self.states :])], dim=-1)
        x = F.silu(self.join(F.dropout(joined, 0.2, self.training)))
        return self.leave(F.dropout(x, 0.2, self.training))  # type: ignore[no-any-return]
