"""Sound while the mel still comes: equal, to rounding, to vocoding all of it in one go, however it is portioned.

The source is made once and goes on sample by sample: its phase is carried, its offsets are drawn once, its noise
is indexed by absolute sample. The trunk sees as much on both sides of what it gives as its layers can look at.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.captured import Captured
from model.token2wav.hift import Hift
from model.token2wav.reach import F0_REACH, trunk_reach
from model.token2wav.tapes import Noise, Track

_NOISE_PORTION = 8  # frames drawn at once
RECORDED = 1 << 20  # numbers of mel in a call up to which it is worth recording


class SoundStream:
    """All that the sound of one reply depends on, apart from its mel."""

    def __init__(self, vocoder: Hift, seed: int) -> None:
        like, sines, hop = vocoder.m_source.l_linear.weight, vocoder.m_source.sines, vocoder.config.hop
        turns_seed, noise_seed = (int(part) for part in np.random.SeedSequence(seed).generate_state(2))
        generator = torch.Generator(like.device).manual_seed(turns_seed)
        turns = torch.rand(1, sines, 1, generator=generator, device=like.device)
        self.offsets = ((2 * turns - 1) * math.pi).to(like.dtype)
        self.noise = Noise(noise_seed, sines, _NOISE_PORTION * hop, like)
        self.mel = Track(like.new_zeros(1, vocoder.config.in_channels, 0))
        self.source = Track(like.new_zeros(1, 1, 0))
        self.cycles = like.new_zeros(1, dtype=torch.float64)
        self.excited = 0  # frames that have their source
        self.given = 0  # frames that have their sound


class Span(NamedTuple):
    """A stream's next frames [first, last), and the window [start, end) to be looked at for them."""

    stream: SoundStream
    start: int
    first: int
    last: int
    end: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Spans of equal shape can be worked on together."""
        return self.end - self.start, self.first - self.start, self.last - self.start


class StreamingVocoder:
    """The vocoder for many streams at once; knows none of them."""

    def __init__(self, vocoder: Hift) -> None:
        self._vocoder, self._hop, self._reach = vocoder, vocoder.config.hop, trunk_reach(vocoder.config)
        self._decode = Captured(lambda _, mel, source: vocoder.decode(mel, source), RECORDED)

    def advance(self, jobs: Sequence[tuple[SoundStream, Tensor, bool]]) -> list[Tensor]:
        """Streams, their next mel [1, bins, n], and whether it is their last -> the sound [samples] this completes."""
        for stream, mel, _ in jobs:
            stream.mel.append(mel)
        pitched = (_next(stream, stream.excited, stream.mel.end, final, F0_REACH) for stream, _, final in jobs)
        for group in _alike(pitched):
            self._excite(group)
        shaped = (_next(stream, stream.given, stream.excited, final, self._reach) for stream, _, final in jobs)
        sounds: dict[int, Tensor] = {}
        for group in _alike(shaped):
            for span, sound in zip(group, self._sound(group), strict=True):
                sounds[id(span.stream)] = sound
        for stream, _, _ in jobs:
            stream.mel.forget(min(stream.given - self._reach, stream.excited - F0_REACH))
            stream.source.forget((stream.given - self._reach) * self._hop)
            stream.noise.forget(stream.excited * self._hop)
        return [sounds.get(id(stream), stream.offsets.new_zeros(0)) for stream, _, _ in jobs]

    def _excite(self, spans: Sequence[Span]) -> None:
        """Pitch and source of spans of equal shape."""
        _, first, last = spans[0].shape
        windows = torch.cat([span.stream.mel.between(span.start, span.end) for span in spans])
        f0 = self._vocoder.f0_predictor(windows)[:, first:last]
        phase = torch.cat([span.stream.offsets for span in spans])
        cycles = torch.cat([span.stream.cycles for span in spans])
        noise = [span.stream.noise.between(span.first * self._hop, span.last * self._hop) for span in spans]
        source, cycles = self._vocoder.m_source(f0, phase, torch.cat(noise), cycles)
        for row, span in enumerate(spans):
            span.stream.source.append(source[row : row + 1])
            span.stream.cycles = cycles[row : row + 1].clone()
            span.stream.excited = span.last

    def _sound(self, spans: Sequence[Span]) -> Tensor:
        """Sound [B, samples] of spans of equal shape."""
        _, first, last = spans[0].shape
        mel = torch.cat([span.stream.mel.between(span.start, span.end) for span in spans])
        source = [span.stream.source.between(span.start * self._hop, span.end * self._hop) for span in spans]
        wave = self._decode((), mel, torch.cat(source))
        for span in spans:
            span.stream.given = span.last
        return wave[:, first * self._hop : last * self._hop]


def _next(stream: SoundStream, first: int, known: int, final: bool, reach: int) -> Span:
    """What can be made of ``known`` frames from ``first`` on, if each needs ``reach`` on both sides that exist."""
    last = known if final else max(known - reach, first)
    return Span(stream, max(first - reach, 0), first, last, min(last + reach, known))


def _alike(spans: Iterable[Span]) -> list[list[Span]]:
    """The spans that are not empty, those of one shape together."""
    groups: dict[Hashable, list[Span]] = {}
    for span in spans:
        if span.last > span.first:
            groups.setdefault(span.shape, []).append(span)
    return list(groups.values())
