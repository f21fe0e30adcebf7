"""Teacher forcing of the speech decoder: M states of the LLM, N units, and again; and the two losses (OpenS2S)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from model.opens2s.errors import SequenceError
from model.opens2s.layers import within
from model.opens2s.omnispeech import OmniSpeech
from model.opens2s.splice import Batch, splice
from model.opens2s.tokens import IGNORE


@dataclass(frozen=True)
class Interleaved:
    """What the speech decoder reads and is to predict, one row for each spoken span."""

    embeddings: Tensor  # [spans, T, h]; zeros where there is padding
    mask: Tensor  # [spans, T]
    labels: Tensor  # [spans, T]; the units at their own places, -100 elsewhere


@dataclass(frozen=True)
class Units:
    """What was said in each spoken span, in order of the rows."""

    ids: Tensor  # [spans, U] ids of the unit vocabulary, the unit EOS last
    mask: Tensor  # [spans, U]
    speakers: Tensor | None = None  # [spans, 1, 512]; None for zero vectors


@dataclass(frozen=True)
class Losses:
    """What training minimises; ``units`` is None where nothing was spoken."""

    text: Tensor
    units: Tensor | None
    total: Tensor


def order(states: int, units: int, ratio: tuple[int, int]) -> Iterator[tuple[bool, int]]:
    """(is a unit, index) of every input of one span behind the speaker vector.

    What is left when one stream is over follows without a break.
    """
    for block in range(max(-(-states // ratio[0]), -(-units // ratio[1]))):
        yield from ((False, i) for i in range(block * ratio[0], min((block + 1) * ratio[0], states)))
        yield from ((True, i) for i in range(block * ratio[1], min((block + 1) * ratio[1], units)))


def spans_of(types: Tensor) -> list[tuple[int, int, int]]:
    """(row, first, behind the last) of every run of type 1 in types [B, T], in order of the rows."""
    edges = pad((types == 1).int(), (1, 1)).diff()
    starts, ends = (edges == 1).nonzero().tolist(), (edges == -1).nonzero()[:, 1].tolist()
    return [(row, start, end) for (row, start), end in zip(starts, ends, strict=True)]


def interleave(model: OmniSpeech, states: Tensor, types: Tensor, units: Units) -> Interleaved:
    """Final-norm LLM states [B, T, D] and types [B, T] (1 in a spoken span) with the units of each span.

    T of the result is 1 + the most states + the most units of any span. Raises SequenceError if spans and units do
    not match, or a unit id has no embedding.
    """
    spans = [states[row, start:end] for row, start, end in spans_of(types)]
    said = [row[present.bool()] for row, present in zip(units.ids, units.mask, strict=True)]
    embed = model.tts_lm_model.get_input_embeddings()
    _check(len(spans), said, embed.num_embeddings)
    width = 1 + max(map(len, spans)) + max(map(len, said))
    speakers = model.speaker(units.speakers).expand(len(spans), -1, -1)
    rows, labels = [], []
    for span, ids, speaker in zip(spans, said, speakers, strict=True):
        places = [1 + i + len(span) * is_unit for is_unit, i in order(len(span), len(ids), model.config.interleave)]
        taken = torch.tensor([0, *places], device=ids.device)
        left = width - len(taken)
        inputs = torch.cat([speaker, model.bridge(span), embed(ids).to(speaker.dtype)])[taken]
        targets = torch.cat([ids.new_full((1 + len(span),), IGNORE), ids])[taken]
        rows.append(pad(inputs, (0, 0, 0, left)))
        labels.append(pad(targets, (0, left), value=IGNORE))
    lengths = torch.tensor([1 + len(span) + len(ids) for span, ids in zip(spans, said, strict=True)])
    return Interleaved(torch.stack(rows), within(lengths, width).long().to(states.device), torch.stack(labels))


def losses(
    model: OmniSpeech, batch: Batch, units: Units | None = None, *, llm_weight: float = 1.0, tts_weight: float = 1.0
) -> Losses:
    """Both losses of one batch, whose labels (and types, if it has units) are given; without units only the LLM's."""
    spliced = splice(model, batch)
    labels, types = spliced.labels, spliced.types
    if labels is None or (units is not None and types is None):
        raise SequenceError(
            "A training batch lacks labels or types.", "Give both, as the renderer of prompts makes them."
        )
    states = model.llm_model.base_model(inputs_embeds=spliced.embeddings, attention_mask=spliced.mask)[0]
    text = shifted_cross_entropy(model.llm_model.get_output_embeddings()(states), labels)
    if units is None or types is None:
        return Losses(text, None, llm_weight * text)
    row = interleave(model, states, types, units)
    heard = model.tts_lm_model.base_model(inputs_embeds=row.embeddings, attention_mask=row.mask)[0]
    spoken = shifted_cross_entropy(model.tts_lm_model.get_output_embeddings()(heard), row.labels)
    return Losses(text, spoken, llm_weight * text + tts_weight * spoken)


def shifted_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean nats per label that is not -100, logits [B, T, V] predicting the label of the next place; 0 if none is."""
    targets = labels[:, 1:]
    total = cross_entropy(logits[:, :-1].flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORE, reduction="sum")
    return total / (targets != IGNORE).sum().clamp(min=1)


def _check(spans: int, said: list[Tensor], vocabulary: int) -> None:
    """Raise if there is not one row of units, of ids that have an embedding, for each span."""
    if spans != len(said) or not spans:
        raise SequenceError(
            f"There are {spans} spoken spans and {len(said)} rows of units.", "Give one row for each span."
        )
    for ids in said:
        if len(ids) and not (int(ids.min()) >= 0 and int(ids.max()) < vocabulary):
            raise SequenceError(
                f"The unit ids range from {int(ids.min())} to {int(ids.max())}, the speech decoder has {vocabulary}.",
                "Use the unit tokenizer of this checkpoint.",
            )
