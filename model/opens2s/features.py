"""Log-mel features of the published audio encoders, for whole clips or for samples as they come.

The maths is Whisper's feature extractor (Radford et al. 2022), with two differences of OpenS2S: a clip is padded to
the next multiple of the chunk length instead of being cut to one chunk, and the frame mask is returned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from model.opens2s.compat import Compat
from model.opens2s.errors import AudioError, ConfigError
from model.opens2s.layers import within

TOP_HZ = 8_000.0
FLOOR = 1e-10  # power
RANGE = 8.0  # decades below the loudest frame and band that are kept


class LogMel:
    """Features of whole clips at one setting; holds the window and the filters."""

    def __init__(
        self, feature_size: int = 128, sampling_rate: int = 16_000, hop_length: int = 160, chunk_length: int = 30,
        n_fft: int = 400, *, minimum_frames: int = 3,
    ) -> None:  # fmt: skip
        """Sizes in samples, ``chunk_length`` in seconds; ``minimum_frames`` is what the encoder needs."""
        self.bins, self.rate, self.hop, self.fft = feature_size, sampling_rate, hop_length, n_fft
        self.chunk = chunk_length * sampling_rate
        if min(feature_size, hop_length, self.chunk, n_fft) < 1 or self.chunk % hop_length or n_fft % 2:
            raise ConfigError(
                f"A hop of {hop_length}, windows of {n_fft} and chunks of {self.chunk} samples do not fit each other.",
                "Take an even window, and chunks that are a multiple of the hop.",
            )
        self.minimum_samples = (minimum_frames - 1) * hop_length + 1
        self.window = torch.hann_window(n_fft, periodic=True)
        self.filters = mel_filters(feature_size, n_fft, sampling_rate)

    @classmethod
    def from_config(cls, data: Mapping[str, Any], *, minimum_frames: int = 3) -> LogMel:
        """From the content of ``preprocessor_config.json``; what is missing there takes the published value."""
        if data.get("padding_value", 0.0):
            raise ConfigError("The preprocessor pads clips with a value other than 0.", "Set its padding_value to 0.")
        names = ("feature_size", "sampling_rate", "hop_length", "chunk_length", "n_fft")
        return cls(**{name: data[name] for name in names if name in data}, minimum_frames=minimum_frames)

    def __call__(
        self, waveforms: Sequence[Tensor], *, multiple: int | None = None, compat: Compat = None
    ) -> tuple[Tensor, Tensor]:
        """Mono clips [samples] -> float32 features [B, bins, frames] and mask [B, frames], 1 for ceil(samples / hop).

        All are padded with zeros to the next ``multiple`` of samples (default: the chunk) of the longest. Raises
        AudioError for a clip too short for the encoder, unless ``compat`` is "upstream".
        """
        lengths = [len(wave) for wave in waveforms]
        if compat is None and min(lengths, default=0) < self.minimum_samples:
            raise AudioError(
                f"A clip has {min(lengths, default=0)} samples at {self.rate} Hz.",
                f"Give at least {self.minimum_samples}: the encoder makes nothing of less.",
            )
        step = multiple or self.chunk
        total = -(-max(lengths) // step) * step
        device = waveforms[0].device
        padded = torch.zeros(len(waveforms), total, device=device)
        for row, wave in zip(padded, waveforms, strict=True):
            row[: len(wave)] = wave.float()
        half = self.fft // 2
        framed = torch.nn.functional.pad(padded, (half, half), mode="reflect").unfold(1, self.fft, self.hop)
        frames = -(-torch.tensor(lengths, device=device) // self.hop)
        mask = within(frames, total // self.hop)
        raw = self.raw(framed[:, :-1])
        features = normalise(raw, raw.amax((1, 2), keepdim=True)).transpose(1, 2)
        return features, mask.long()

    def raw(self, framed: Tensor) -> Tensor:
        """Windows of samples [..., frames, n_fft] -> log10 of the mel power [..., frames, bins], at least -10."""
        window, filters = self.window.to(framed.device), self.filters.to(framed.device)
        power = torch.fft.rfft(framed * window).abs().square()
        raw: Tensor = (power @ filters).clamp(min=FLOOR).log10()
        return raw


def normalise(raw: Tensor, loudest: Tensor) -> Tensor:
    """Keep ``RANGE`` decades below the loudest value of the clip, and bring speech to about -1..1."""
    return (torch.maximum(raw, loudest - RANGE) + 4.0) / 4.0


def mel_filters(bins: int, n_fft: int, rate: int) -> Tensor:
    """Triangles [n_fft / 2 + 1, bins] from 0 to 8 kHz, equally spaced in mel, each of area 1 (Slaney's toolbox)."""
    top = 15.0 + 27.0 * math.log(TOP_HZ / 1000.0) / math.log(6.4)
    mels = torch.linspace(0.0, top, bins + 2, dtype=torch.float64)
    edges = torch.where(mels < 15.0, mels * (200.0 / 3.0), 1000.0 * torch.exp((mels - 15.0) * (math.log(6.4) / 27.0)))
    frequencies = torch.linspace(0.0, rate // 2, n_fft // 2 + 1, dtype=torch.float64)[:, None]
    up = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return (torch.minimum(up, down).clamp(min=0.0) * (2.0 / (edges[2:] - edges[:-2]))).float()


class LogMelStream:
    """The features of a clip that is still growing: every frame's power is computed once.

    A frame is final when the samples to its right are known; the few that are not are made anew for each view, with
    the zeros or the reflection that a clip ending here would have.
    """

    def __init__(self, log_mel: LogMel) -> None:
        self._mel = log_mel
        self._per_window = log_mel.chunk // log_mel.hop
        self.samples = 0  # pushed so far
        self.loudest = -math.inf  # the value that the features of all windows are scaled by
        self._held, self._start = torch.zeros(0), 0  # the samples from _start on
        self._first_open, self._open = 0, torch.zeros(0, log_mel.bins)  # frames that will change
        self._raw: list[Tensor] = []  # of each window: final frames [chunk / hop, bins], silence behind them
        self._final_loudest = -math.inf

    @property
    def frames(self) -> int:
        """Frames that hold samples: ceil(samples / hop)."""
        return -(-self.samples // self._mel.hop)

    @property
    def windows(self) -> int:
        """Chunks that the clip is padded to."""
        return -(-self.samples // self._mel.chunk)

    def push(self, samples: Tensor) -> None:
        """Take in the next samples [n], any number of them."""
        self._held = torch.cat([self._held, samples.to(self._held)])
        self.samples += len(samples)
        mel, half = self._mel, self._mel.fft // 2
        while len(self._raw) < self.windows:
            self._raw.append(torch.full((self._per_window, mel.bins), math.log10(FLOOR)))
        final = max((self.samples - 1 - half) // mel.hop + 1, 0)
        raw = self._frames(self._first_open, final)
        for window in range(self._first_open // self._per_window, len(self._raw)):
            self._place(raw, window, self._raw[window])
        touched = min(self.windows * self._per_window, -(-(self.samples + half) // mel.hop))
        self._first_open, self._open = final, self._frames(final, touched)
        self._final_loudest = max([self._final_loudest, *raw.amax(1).tolist()])
        self.loudest = max([self._final_loudest, *self._open.amax(1).tolist()])
        start = max(final * mel.hop - half, 0)
        self._held, self._start = self._held[start - self._start :].clone(), start

    def features(self, window: int = -1) -> Tensor:
        """Features [bins, chunk / hop] of one chunk (default: the last), as ``LogMel`` gives for all samples so far."""
        view = self._raw[window].clone()
        self._place(self._open, range(self.windows)[window], view)
        return normalise(view, torch.tensor(self.loudest)).T

    def _place(self, raw: Tensor, window: int, into: Tensor) -> None:
        """Write those of the frames ``raw`` from the first open one on that lie in a window."""
        first = self._first_open - window * self._per_window
        low, high = max(first, 0), min(first + len(raw), self._per_window)
        if low < high:
            into[low:high] = raw[low - first : high - first]

    def _frames(self, first: int, last: int) -> Tensor:
        """Raw frames [last - first, bins] as if the clip ended here: zeros up to the chunk's end, then reflection."""
        mel, half = self._mel, self._mel.fft // 2
        if first == last:
            return torch.zeros(0, mel.bins)
        at = torch.arange(first * mel.hop - half, (last - 1) * mel.hop + half).abs()
        end = self.windows * mel.chunk - 1
        at = torch.where(at > end, 2 * end - at, at)
        values = self._held[(at - self._start).clamp(max=len(self._held) - 1)] * (at < self.samples)
        return mel.raw(values.unfold(0, mel.fft, mel.hop))
