"""Fits the emotion head: pooled states and prosody of clips whose emotion is known, every emotion counted alike.

The ear is finished and stays as it is. Clips are heard as a session hears them, with noise and at two lengths each, so
that the head also knows the beginnings of phrases. Only rendered speech: no real emotional corpus of permissive
licence is at hand.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from model.evaluation.labels import LabelTally
from model.interface import CHUNK_SAMPLES, EMOTIONS, Chunk
from model.nano import emotion, weights
from model.nano.emotion import EmotionHead
from model.nano.features import TAIL, log_mel
from model.nano.hearing import Encoder
from model.nano.listening import Manner
from model.training.cache import Cache, Clip

MOST = 900  # clips of one emotion from one cache
STEPS, BATCH, RATE, DECAY = 4_000, 128, 2e-3, 0.05
JITTER = 0.07  # noise on inputs, as a share of their spread
SMOOTHING = 0.05


@dataclass(frozen=True)
class Heard:
    """Rows of features [n, d] and their emotions [n]."""

    features: torch.Tensor
    emotions: torch.Tensor

    @staticmethod
    def join(parts: Sequence[Heard]) -> Heard:
        """All rows of several."""
        return Heard(torch.cat([p.features for p in parts]), torch.cat([p.emotions for p in parts]))


@torch.inference_mode()
def listen(encoder: Encoder, samples: NDArray[np.float32], at: Iterable[int]) -> list[torch.Tensor]:
    """Features after each of the chunks numbered in ``at``, as a session has them when all is speech."""
    count = -(-len(samples) // CHUNK_SAMPLES)
    sound = np.pad(samples, (0, (count + 1) * CHUNK_SAMPLES - len(samples)))
    heard = encoder(log_mel(torch.from_numpy(np.pad(sound, (TAIL, 0))))[None])
    manner, size, wanted, found = Manner(encoder, EmotionHead()), encoder.config.chunk, set(at), []
    for index in range(count):
        pcm = sound[index * CHUNK_SAMPLES : (index + 1) * CHUNK_SAMPLES]
        logp = heard.logp[0, index * size : (index + 1) * size].float().numpy()
        manner.add(heard.manner[0, index].float(), logp, Chunk(index=index, pcm=pcm, speech=1.0))
        if index in wanted:
            found.append(manner.features())
    return found


def hear(encoder: Encoder, cache: Cache, clips: Sequence[Clip], chance: random.Random, noise: bool) -> Heard:
    """Features of ``clips``; with ``noise`` also at an earlier point of each, and with a hiss at a random level."""
    rows, labels = [], []
    for clip in clips:
        samples = cache.samples(clip)
        last = -(-len(samples) // CHUNK_SAMPLES) - 1
        at = [last]
        if noise:
            hiss = np.random.default_rng(chance.getrandbits(32)).standard_normal(len(samples))
            samples = (samples + hiss * 10 ** (chance.uniform(-85, -45) / 20)).astype(np.float32)
            at = sorted({last, chance.randint(min(4, last), last)})
        found = listen(encoder, samples, at)
        rows += found
        labels += [EMOTIONS.index(clip.emotion or "neutral")] * len(found)
    return Heard(torch.stack(rows), torch.tensor(labels))


def chosen(clips: Iterable[Clip], chance: random.Random, most: int = MOST) -> list[Clip]:
    """Clips with an emotion, at most ``most`` of each."""
    found: dict[str, list[Clip]] = {name: [] for name in EMOTIONS}
    for clip in clips:
        if clip.emotion in found and clip.length >= 4 * CHUNK_SAMPLES:
            found[clip.emotion].append(clip)
    return [clip for all_ in found.values() for clip in chance.sample(all_, min(most, len(all_)))]


def fit(heard: Heard, seed: int = 0, steps: int = STEPS) -> EmotionHead:
    """A head that tells the emotions of ``heard``, drawn so that each comes equally often."""
    head, chance = EmotionHead(), torch.Generator().manual_seed(seed)
    spread = heard.features.std(0).clamp_min(1e-4)
    head.mean.copy_(heard.features.mean(0))
    head.scale.copy_(spread)
    weight = 1.0 / torch.bincount(heard.emotions, minlength=len(EMOTIONS)).clamp_min(1).float()
    optimiser = torch.optim.AdamW(head.parameters(), RATE, weight_decay=DECAY)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - step / steps)
        rows = torch.multinomial(weight[heard.emotions], BATCH, replacement=True, generator=chance)
        x = heard.features[rows]
        x = x + JITTER * spread * torch.randn(x.shape, generator=chance)
        loss = F.cross_entropy(head(x), heard.emotions[rows], label_smoothing=SMOOTHING)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return head.eval()


@torch.inference_mode()
def figures(head: EmotionHead, heard: Heard) -> dict[str, float]:
    """Accuracy, and recall averaged over the six emotions and over the five that `labels` tells apart."""
    tally = LabelTally("emotion")
    for row, truth in zip(head(heard.features).softmax(-1).tolist(), heard.emotions.tolist(), strict=True):
        told = dict(zip(EMOTIONS, row, strict=True))
        tally.add(EMOTIONS[truth], max(told, key=told.__getitem__), told)
    found = tally.figures()
    return {name: found[name] for name in ("accuracy", "balanced", "balanced_five")}


def train(
    encoder: Encoder, train_: Sequence[tuple[Cache, list[Clip]]], dev: tuple[Cache, list[Clip]], out: Path
) -> dict[str, float]:
    """Fit the head on ``train_``, write ``out/emotion.safetensors``, and return the figures on ``dev``."""
    chance = random.Random(0)
    taught = Heard.join([hear(encoder, cache, chosen(clips, chance), chance, noise=True) for cache, clips in train_])
    head = fit(taught)
    weights.save(head, emotion.WEIGHTS, out)
    kept = [clip for clip in dev[1] if clip.emotion in EMOTIONS]
    return figures(head, hear(encoder, dev[0], kept, chance, noise=False)) if kept else {}
