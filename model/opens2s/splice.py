"""Audio into the chat sequence: every placeholder is replaced by the embeddings of its clip (OpenS2S)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from model.opens2s.errors import SequenceError
from model.opens2s.layers import within
from model.opens2s.omnispeech import OmniSpeech
from model.opens2s.tokens import AUDIO, IGNORE

DUMMY_FRAMES = 100


@dataclass(frozen=True)
class Batch:
    """Rows of token ids [B, T], -200 where a clip goes; the rest may be None. Types: 1 in a spoken span, else 0."""

    ids: Tensor
    mask: Tensor | None = None  # 0 where there is padding
    labels: Tensor | None = None
    types: Tensor | None = None
    features: Tensor | None = None  # [clips, bins, frames], in order of the rows
    features_mask: Tensor | None = None  # [clips, frames]


@dataclass(frozen=True)
class Spliced:
    """What the LLM reads, [B, T']. What the caller did not give is None here too."""

    embeddings: Tensor  # [B, T', D]; zeros where there is padding
    mask: Tensor | None
    labels: Tensor | None
    types: Tensor | None


def splice(model: OmniSpeech, batch: Batch, *, left: bool = False) -> Spliced:
    """Embed the ids and put in the clips; shorter rows are padded at their end, or ``left`` at their beginning.

    Raises SequenceError if placeholders and clips do not match, or an id has no embedding.
    """
    embed = model.llm_model.get_input_embeddings()
    if batch.features is None and model.compat == "upstream" and model.training:
        batch = _with_dummy(model, batch)
    kept = torch.ones_like(batch.ids) if batch.mask is None else batch.mask
    ids = batch.ids[kept.bool()]
    here = ids == AUDIO
    count = 0 if batch.features is None or batch.features_mask is None else len(batch.features)
    _check(ids[~here], int(here.sum()), count, embed.num_embeddings)
    if batch.features is None or batch.features_mask is None:
        return Spliced(embed(batch.ids), batch.mask, batch.labels, batch.types)

    clips, clips_mask = model.encode(batch.features, batch.features_mask)
    repeats = torch.ones_like(ids).masked_scatter(here, clips_mask.sum(1).to(ids))
    lengths = torch.zeros_like(kept).masked_scatter(kept.bool(), repeats).sum(1)
    present = within(lengths, int(lengths.max()))
    present = present.flip(1) if left else present

    def spread(values: Tensor | None, clip: int) -> Tensor | None:
        """Values [B, T] laid out like the result; ``clip`` at frames of clips."""
        if values is None:
            return None
        flat = values[kept.bool()].masked_fill(here, clip).repeat_interleave(repeats)
        return values.new_full(present.shape, IGNORE).index_put((present,), flat)

    embedded = embed(ids.masked_fill(here, 0).repeat_interleave(repeats))
    embedded = embedded.index_put((here.repeat_interleave(repeats),), clips[clips_mask.bool()].to(embedded))
    embeddings = embedded.new_zeros(*present.shape, embedded.shape[-1]).index_put((present,), embedded)
    mask = None if batch.mask is None else present.to(batch.mask.dtype)
    return Spliced(embeddings, mask, spread(batch.labels, IGNORE), spread(batch.types, 0))


def _check(ids: Tensor, placeholders: int, clips: int, vocabulary: int) -> None:
    """Raise if a clip has no place, a place no clip, or an id no embedding."""
    if placeholders != clips:
        raise SequenceError(
            f"The ids hold {placeholders} placeholders for {clips} clips.", f"Write {AUDIO} once for each clip."
        )
    if ids.numel() and not (int(ids.min()) >= 0 and int(ids.max()) < vocabulary):
        raise SequenceError(
            f"The ids range from {int(ids.min())} to {int(ids.max())}, the LLM has {vocabulary}.",
            "Use the tokenizer of this checkpoint.",
        )


def _with_dummy(model: OmniSpeech, batch: Batch) -> Batch:
    """A silent clip that predicts nothing behind every row: upstream's way to give the adapter a gradient."""
    encoder = model.audio_encoder_model
    features = torch.zeros(len(batch.ids), encoder.bins, encoder.window, device=batch.ids.device)
    valid = torch.full((len(features),), min(DUMMY_FRAMES, encoder.window), device=batch.ids.device)

    def longer(values: Tensor | None, by: int) -> Tensor | None:
        return None if values is None else pad(values, (0, 1), value=by)

    return replace(
        batch, ids=pad(batch.ids, (0, 1), value=AUDIO), mask=longer(batch.mask, 1),
        labels=longer(batch.labels, IGNORE), types=longer(batch.types, 0),
        features=features, features_mask=within(valid, encoder.window).long(),
    )  # fmt: skip
