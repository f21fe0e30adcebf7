"""Makes the speech tokenizer: fits 1,024 codes to groups of frames, then trains the decoder back to frames.

Knows batches, losses and figures of this one stage. Codes are k-means over the main directions of frames in
a scale in which equal steps are about equally heard; only the decoder is learned by gradient.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from model.interface import DELIVERIES
from model.nano.config import UnitsConfig
from model.nano.frames import CEPSTRUM, CHANNELS, Frames, log_spectrum_basis, silence
from model.nano.states import END
from model.nano.units import UNIT_FRAMES, UNTOLD, Tokenizer
from model.training.loop import Plan, run
from model.training.sounding import pointers_of, symbols_of
from model.training.voice_data import VoiceClip, VoiceData

CROP = 80  # units of a training crop, 3.2 s
BURN_IN = 12  # units at the start of a crop from mid-clip that count for nothing
BATCH = 8
UNTOLD_SHARE = 0.1  # of crops: so that units alone can be decoded too
POINTS = 48  # places on the mel axis at which spectra are compared


@dataclass(frozen=True)
class Spoken:
    """One clip as the voice's nets see it: float16 [4 n, 32], symbol of each unit's state [n], delivery number."""

    id: str
    channels: torch.Tensor
    symbols: torch.Tensor
    delivery: int

    def part(self, start: int, stop: int | None = None) -> Spoken:
        """Units ``start`` to ``stop``."""
        ends = (UNIT_FRAMES * start, None if stop is None else UNIT_FRAMES * stop)
        return replace(self, channels=self.channels[slice(*ends)], symbols=self.symbols[start:stop])


@dataclass(frozen=True)
class Batch:
    """Crops: channels [B, 4 n, 32], symbols [B, n], delivery [B]; units ``present`` in the clip and what ``counts``."""

    channels: torch.Tensor
    symbols: torch.Tensor
    delivery: torch.Tensor
    present: torch.Tensor
    counts: torch.Tensor


def features(data: VoiceData, split: str) -> list[Spoken]:
    """All clips of a split as frames."""
    return [spoken(clip, data.frames(clip)) for clip in data.split(split)]


def spoken(clip: VoiceClip, channels: torch.Tensor) -> Spoken:
    """One clip with its frames [4 n, 32]."""
    symbols = torch.tensor(symbols_of(clip)[0])
    pointers = torch.from_numpy(pointers_of(clip, len(channels) // UNIT_FRAMES))
    return Spoken(clip.id, channels, symbols[pointers], DELIVERIES.index(clip.delivery))


def crops(clips: list[Spoken]) -> Callable[[random.Random], Iterator[Batch]]:
    """Endless random batches."""

    def stream(chance: random.Random) -> Iterator[Batch]:
        while True:
            yield collate([_crop(chance.choice(clips), chance) for _ in range(BATCH)])

    return stream


def _crop(clip: Spoken, chance: random.Random) -> tuple[Spoken, bool]:
    start = 0 if chance.random() < 0.3 else chance.randrange(max(len(clip.symbols) - CROP // 2, 1))
    part = clip.part(start, start + CROP)
    if chance.random() < UNTOLD_SHARE:
        part = replace(part, symbols=torch.full_like(part.symbols, UNTOLD))
    return part, start > 0


def collate(crops_: list[tuple[Spoken, bool]]) -> Batch:
    """Pad crops (clip, from its middle?) to one length."""
    length = max(len(clip.symbols) for clip, _ in crops_)
    channels = silence(len(crops_), UNIT_FRAMES * length)
    symbols = torch.full((len(crops_), length), END)
    present = torch.zeros(len(crops_), length)
    counts = torch.zeros_like(present)
    for row, (clip, middle) in enumerate(crops_):
        units = len(clip.symbols)
        channels[row, : UNIT_FRAMES * units] = clip.channels.float()
        symbols[row, :units] = clip.symbols
        present[row, :units] = 1.0
        counts[row, BURN_IN if middle else 0 : units - (2 if middle else 0)] = 1.0
    delivery = torch.tensor([clip.delivery for clip, _ in crops_])
    return Batch(channels, symbols, delivery, present, counts)


def loss_of(module: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
    """Reconstruction from codes."""
    assert isinstance(module, Tokenizer)
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        codes = module.codebook.vectors(module.encode(batch.channels, batch.delivery))
    given = module.decoder.at_once(codes * batch.present[..., None], batch.symbols, batch.delivery)
    return reconstruction(given, batch)


@torch.no_grad()
def fit(module: Tokenizer, clips: list[Spoken], seed: int = 0) -> None:
    """Fit encoder and codebook: mean pitch of deliveries, main directions, k-means. Uses up to 1,500 clips."""
    generator = torch.Generator().manual_seed(seed)
    some = [clips[n] for n in torch.randperm(len(clips), generator=generator)[:1500].tolist()]
    encoder = module.encoder
    for delivery in range(len(encoder.pitch)):
        frames = [clip.channels.float() for clip in some if clip.delivery == delivery]
        voiced = [f[f[:, CEPSTRUM + 1] > 0, CEPSTRUM] for f in frames]
        encoder.pitch[delivery] = torch.cat(voiced).mean() if voiced else 0.0
    grouped = [encoder.grouped(c.channels[None].float(), torch.tensor([c.delivery]))[0] for c in some]
    rows = torch.cat(grouped)
    scale = hearing_scale().repeat(UNIT_FRAMES)
    encoder.mean.copy_(rows.mean(0))
    scaled = (rows - encoder.mean) * scale
    _, vectors = torch.linalg.eigh(scaled.T @ scaled / len(scaled))
    directions = scale[:, None] * vectors.flip(1)[:, : encoder.directions.shape[1]]
    points = (rows - encoder.mean) @ directions
    encoder.directions.copy_(directions / points.std())
    module.codebook.table.copy_(k_means(points / points.std(), len(module.codebook.table), generator))


def hearing_scale() -> torch.Tensor:
    """[32]: how much a step in each channel counts; cepstra as they move the log spectrum, level less."""
    scale = torch.full((CHANNELS,), 0.7)
    scale[0] = 0.6
    scale[CEPSTRUM], scale[CEPSTRUM + 1] = 0.6, 0.8
    scale[CEPSTRUM + 2 :] = 0.5
    return scale


def k_means(points: torch.Tensor, count: int, generator: torch.Generator, rounds: int = 12) -> torch.Tensor:
    """Centres [count, d] of points [n, d]; a centre that loses its points starts anew at a random one."""
    centres = points[torch.randperm(len(points), generator=generator)[:count]].clone()
    for _ in range(rounds):
        near = torch.cat(
            [(part @ centres.T - 0.5 * centres.square().sum(1)).argmax(1) for part in torch.split(points, 8192)]
        )
        sums = torch.zeros_like(centres).index_add_(0, near, points)
        hits = torch.bincount(near, minlength=count).float()
        fresh = points[torch.randint(len(points), (count,), generator=generator)]
        centres = torch.where(hits[:, None] > 0, sums / hits.clamp_min(1.0)[:, None], fresh)
    return centres


def reconstruction(given: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
    """L1 of log spectra (nats, on the mel axis) and their change, of pitch where voiced, voicing, strengths."""
    now, true = Frames.of(given), Frames.of(batch.channels)
    weight = batch.counts.repeat_interleave(UNIT_FRAMES, 1)
    total = weight.sum()
    with torch.autocast("cpu", enabled=False):
        off = (now.cepstrum - true.cepstrum) @ log_spectrum_basis(POINTS)
    spectrum = (off.abs().mean(-1) * weight).sum() / total
    change = (off.diff(dim=1).abs().mean(-1) * weight[:, 1:]).sum() / total
    voiced = weight * true.voicing
    pitch = ((now.pitch - true.pitch).abs() * voiced).sum() / voiced.sum().clamp_min(1.0)
    voicing = F.binary_cross_entropy_with_logits(now.voicing, true.voicing, reduction="none")
    voicing = (voicing * weight).sum() / total
    strengths = ((now.strengths - true.strengths).abs().mean(-1) * weight).sum() / total
    loss = spectrum + 0.5 * change + 0.3 * pitch + 0.2 * voicing + 0.5 * strengths
    figures = {"spectrum": spectrum, "pitch": pitch, "voicing": voicing, "strengths": strengths}
    return loss, {name: value.item() for name, value in figures.items()}


def evaluator(clips: list[Spoken]) -> Callable[[torch.nn.Module], dict[str, float]]:
    """Figures on whole clips: L1 of spectra and pitch, and how many codes are in use (perplexity)."""

    def evaluate(module: torch.nn.Module) -> dict[str, float]:
        assert isinstance(module, Tokenizer)
        found, counts = [], torch.zeros(len(module.codebook.table))
        for clip in clips[:40]:
            batch = collate([(clip, False)])
            units = module.encode(batch.channels, batch.delivery)
            given = module.decoder.at_once(module.codebook.vectors(units), batch.symbols, batch.delivery)
            found.append(reconstruction(given, batch)[1])
            counts += torch.bincount(units.flatten(), minlength=len(counts)).float()
        share = counts / counts.sum()
        perplexity = float(torch.exp(-(share * share.clamp_min(1e-9).log()).sum()))
        means = {f"dev_{name}": float(np.mean([f[name] for f in found])) for name in found[0]}
        return {**means, "dev_perplexity": perplexity}

    return evaluate


def train(data: VoiceData, folder: Path, minutes: float, config: UnitsConfig | None = None) -> Tokenizer:
    """Make the tokenizer in ``minutes`` into ``folder``; continues where it stopped."""
    module, clips = Tokenizer(config or UnitsConfig()), features(data, "train")
    fit(module, clips)
    plan = Plan(minutes=minutes, rate=3e-3)
    kept = features(data, "dev")
    run(module, crops(clips), loss_of, folder, plan, evaluator(kept) if kept else None, 3_600.0)
    return module.eval()
