"""What a stage minimises: nats of the text, and nats of the units (OpenS2S).

Sums, not means: the trainer divides by what the whole step holds, over all micro-batches and processes, so that the
loss of a step does not depend on how its rows are dealt out. Nothing is computed for a stream that a batch does not
have; the published code adds a silent clip, and multiplies its loss by zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from model.opens2s.interleave import Units, interleave
from model.opens2s.omnispeech import OmniSpeech
from model.opens2s.splice import Batch, splice
from model.opens2s.tokens import IGNORE
from model.training.stages.layout import UNSEEN


@dataclass(frozen=True)
class Packed:
    """A micro-batch, and how many labels each of the learner's parts has in it."""

    batch: Batch
    units: Units | None
    counts: tuple[int, ...]
    speakers: Tensor  # [rows, 1, 512]; zeros where none is given

    def to(self, device: torch.device) -> Packed:
        """The same on another device."""
        units = None if self.units is None else _to(self.units, device)
        return replace(self, batch=_to(self.batch, device), units=units, speakers=self.speakers.to(device))


def _to(value: Any, device: torch.device) -> Any:
    moved = {name: each.to(device) for name, each in vars(value).items() if isinstance(each, Tensor)}
    return replace(value, **moved)


class Learner(nn.Module):
    """The speech language model with its two losses. ``parts`` names what `forward` gives."""

    parts: tuple[str, ...] = ("text", "units")

    def __init__(self, model: OmniSpeech, weights: Sequence[float] = (1.0, 1.0)) -> None:
        """``weights`` of the parts; what weighs nothing is not computed."""
        super().__init__()
        self.model, self.weights = model, tuple(weights)

    def forward(self, packed: Packed) -> Tensor:
        """Sum of nats of each part [2]."""
        model, units = self.model, packed.units
        row = splice(model, packed.batch)
        if row.labels is None or row.types is None or row.mask is None:
            raise ValueError("A micro-batch for training needs mask, labels and types.")
        seen = row.mask * (row.types != UNSEEN)
        states = model.llm_model.base_model(inputs_embeds=row.embeddings, attention_mask=seen, use_cache=False)[0]
        text = units_nats = states.new_zeros((), dtype=torch.float32)
        if self.weights[0]:
            text = nats(model.llm_model.get_output_embeddings(), states, row.labels)
        if units is not None and self.weights[1]:
            said = interleave(model, states, row.types, units)
            heard = speak(model, said.embeddings, said.mask)
            units_nats = nats(model.tts_lm_model.get_output_embeddings(), heard, said.labels)
        return torch.stack([text, units_nats])


def speak(model: OmniSpeech, embeddings: Tensor, mask: Tensor) -> Tensor:
    """Inputs of the speech decoder [B, T, h] -> its final-norm states."""
    states: Tensor = model.tts_lm_model.base_model(inputs_embeds=embeddings, attention_mask=mask, use_cache=False)[0]
    return states


def nats(head: nn.Module, states: Tensor, labels: Tensor) -> Tensor:
    """Summed cross-entropy of states [B, T, D], each against the label of the next place; -100 counts nothing.

    The head is applied where there is a label only: a prompt's logits over the whole vocabulary are never made.
    """
    targets = labels[:, 1:]
    here = targets != IGNORE
    logits = head(states[:, :-1][here])
    return cross_entropy(logits.float(), targets[here], reduction="sum")


def train_only(model: OmniSpeech, prefixes: Sequence[str]) -> None:
    """Let the parameters change whose names begin with one of ``prefixes``, and freeze all others.

    The encoder's table of positions stays as it is even where the encoder is trained. Frozen parts are in inference
    mode, so that they have no dropout.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(tuple(prefixes)) and "embed_positions" not in name)
    for part in model.children():
        part.train(any(parameter.requires_grad for parameter in part.parameters()))
