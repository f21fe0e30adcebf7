"""Between ear and LLM: what was heard, and how, as soft embeddings the LLM can read.

A heard word is a mixture of its own token embeddings and ``<unk>``, weighted by how sure the ear is; how it was
said is one vector, the emotion posterior over learnt embeddings plus what the ear's pooled states add. Everything
is differentiable from the reply back to the ear. Knows tokens and weights, not text and not sound.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.nano.config import LlmConfig
from model.nano.text import MARKS


@dataclass(frozen=True)
class Soft:
    """A soft prompt: tokens, how sure each is, and how the user sounded."""

    tokens: list[int]
    sure: list[float]  # 0..1 for each token; 1 for all that was not heard
    emotion: tuple[float, ...]  # posterior over EMOTIONS
    states: Tensor | None = None  # [ear_width] pooled state of the ear, or None


class Adapter(nn.Module):
    """Soft prompts -> embeddings. Shares the LLM's embedding, which is passed in."""

    def __init__(self, config: LlmConfig) -> None:
        super().__init__()
        self.ear = nn.Linear(config.ear_width, config.width)
        nn.init.zeros_(self.ear.weight)
        nn.init.zeros_(self.ear.bias)
        self._unknown = MARKS.index("<unk>")
        self._voice = MARKS.index("<voice>")
        self._first_emotion = next(i for i, name in enumerate(MARKS) if name.startswith("<emotion="))

    def forward(
        self, embedding: nn.Embedding, tokens: Tensor, sure: Tensor, emotion: Tensor, states: Tensor | None
    ) -> Tensor:
        """tokens, sure [B, T]; emotion [B, 6]; states [B, ear_width] or None -> embeddings [B, T, D].

        The place of the voice vector is the token ``<voice>``.
        """
        weight = sure[..., None]
        mixed = weight * embedding(tokens) + (1 - weight) * embedding.weight[self._unknown]
        feelings = embedding.weight[self._first_emotion : self._first_emotion + emotion.shape[1]]
        voice = emotion @ feelings
        if states is not None:
            voice = voice + self.ear(states)
        here = (tokens == self._voice)[..., None]
        return torch.where(here, voice[:, None].to(mixed.dtype), mixed)

    def read(self, embedding: nn.Embedding, soft: Soft) -> Tensor:
        """Embeddings [1, T, D] of one soft prompt."""
        states = None if soft.states is None else soft.states[None]
        tokens, sure = torch.tensor([soft.tokens]), torch.tensor([soft.sure])
        mixed: Tensor = self(embedding, tokens, sure, torch.tensor([soft.emotion]), states)
        return mixed
