"""Speech units from audio: the GLM-4-Voice speech tokenizer (Zeng et al. 2024), for training data and evaluation.

Half a Whisper encoder with causal convolutions and block-causal attention, pooled to 12.5 vectors a second; a unit is
the number of the nearest row of the codebook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

import soxr
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, gelu, max_pool1d, pad

from model.opens2s.compat import Compat
from model.opens2s.errors import AudioError, ConfigError
from model.opens2s.features import LogMel
from model.opens2s.layers import EncoderLayer, within

POOLS: dict[str, Callable[..., Tensor]] = {"avg": avg_pool1d, "max": max_pool1d}
STRIDE = 2  # of the second convolution
PREFIX = "model.encoder."


@dataclass(frozen=True)
class SpeechTokenizerConfig:
    """Sizes under the names of the published ``config.json``. Positions count layers from 1."""

    d_model: int
    encoder_attention_heads: int
    encoder_ffn_dim: int
    max_source_positions: int
    num_mel_bins: int
    pooling_kernel_size: int
    pooling_type: str  # "avg" or "max"
    pooling_position: int
    quantize_position: int
    quantize_vocab_size: int
    quantize_causal_block_size: int | None  # frames before pooling that see each other; None: all do
    encoder_causal_convolution: bool
    quantize_ema_decay: float | None = None
    quantize_causal_encoder: bool = False
    encoder_causal_attention: bool = False
    activation_function: str = "gelu"
    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.quantize_causal_encoder or self.encoder_causal_attention:
            raise ConfigError(
                "The speech tokenizer asks for fully causal attention.",
                "Only the published, block-causal kind is known.",
            )
        if self.pooling_type not in POOLS or not 1 <= self.pooling_position <= self.quantize_position:
            raise ConfigError(
                f"The speech tokenizer pools by {self.pooling_type!r} after layer {self.pooling_position} "
                f"and quantises after layer {self.quantize_position}.",
                "Pool by avg or max, before the codebook.",
            )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SpeechTokenizerConfig:
        """The content of ``config.json``; unknown keys are allowed. Raises ConfigError."""
        needed = [field.name for field in fields(cls) if field.default is MISSING]
        if missing := [name for name in needed if name not in data]:
            raise ConfigError(
                f"The speech tokenizer's configuration lacks {', '.join(missing)}.", "Use the published file."
            )
        return cls(**{field.name: data[field.name] for field in fields(cls) if field.name in data})


@dataclass(frozen=True)
class SpeechTokens:
    """What one batch of features gave."""

    ids: Tensor  # [B, T] unit numbers
    lengths: Tensor  # [B] units that are valid
    states: Tensor  # [B, T, D] vectors before the codebook


class SpeechTokenizer(nn.Module):
    """Waveforms -> unit numbers, 12.5 a second at the published sizes."""

    def __init__(self, config: SpeechTokenizerConfig, log_mel: LogMel, *, compat: Compat = None) -> None:
        super().__init__()
        self.config, self.log_mel, self.compat = config, log_mel, compat
        width, codes = config.d_model, config.quantize_vocab_size
        self.conv1 = nn.Conv1d(config.num_mel_bins, width, 3)
        self.conv2 = nn.Conv1d(width, width, 3, stride=STRIDE)
        self.embed_positions = nn.Embedding(config.max_source_positions, width).requires_grad_(False)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.quantize_position))
        self.codebook = nn.Embedding(codes, width)
        # of the part behind the codebook, which units do not need
        self.embed_positions2 = nn.Embedding(config.max_source_positions // config.pooling_kernel_size, width)
        if config.quantize_ema_decay is not None:  # statistics of the codebook's training
            self.register_buffer("ema_count", torch.ones(codes))
            self.register_buffer("ema_weight", torch.zeros(codes, width))

    @property
    def unit_samples(self) -> int:
        """Samples that one unit stands for."""
        return self.log_mel.hop * STRIDE * self.config.pooling_kernel_size

    def features(self, waveforms: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Mono pieces [samples] -> features [B, bins, frames] and mask, padded to whole units of the longest."""
        return self.log_mel(waveforms, multiple=self.unit_samples, compat="upstream")

    def forward(self, features: Tensor, lengths: Tensor) -> SpeechTokens:
        """Features [B, bins, frames], valid frames [B] -> units."""
        config, kernel = self.config, self.config.pooling_kernel_size
        sides = (2, 0) if config.encoder_causal_convolution else (1, 1)
        x = gelu(self.conv1(pad(features.to(self.conv1.weight.dtype), sides)))
        x = gelu(self.conv2(pad(x, sides))).transpose(1, 2)
        lengths, block = -(-lengths // STRIDE), config.quantize_causal_block_size
        if x.shape[1] > config.max_source_positions:
            raise AudioError(
                f"A piece takes {x.shape[1]} positions, the speech tokenizer has {config.max_source_positions}.",
                "Use the chunk length it was trained with.",
            )
        x = x + self.embed_positions.weight[: x.shape[1]]
        seen = _seen(lengths, x.shape[1], block)
        for number, layer in enumerate(self.layers, 1):
            x = layer(x, seen)
            if number == config.pooling_position:
                x = pad(x.transpose(1, 2), (0, -x.shape[1] % kernel))
                x = POOLS[config.pooling_type](x, kernel).transpose(1, 2)
                lengths = -(-lengths // kernel)
                seen = _seen(lengths, x.shape[1], None if block is None else block // kernel)
        return SpeechTokens(torch.stack([self._nearest(row) for row in x]), lengths, x)

    @torch.inference_mode()
    def units(self, waveforms: Sequence[Tensor], rate: int | None = None, *, batch: int = 128) -> list[Tensor]:
        """Clips [samples] or [channels, samples] at ``rate`` Hz (default: the model's) -> unit numbers [n] of each.

        Channels are mixed down (upstream takes the first). A clip is cut into chunks (30 s), each heard alone;
        ``batch`` chunks of all clips are run together. Raises AudioError for an empty clip.
        """
        clips = [self._mono(wave, rate or self.log_mel.rate).split(self.log_mel.chunk) for wave in waveforms]
        pieces = [piece for clip in clips for piece in clip]
        device, found = self.codebook.weight.device, []
        for start in range(0, len(pieces), batch):
            features, mask = self.features(pieces[start : start + batch])
            tokens = self(features.to(device), mask.sum(1).to(device))
            found += [ids[:length] for ids, length in zip(tokens.ids, tokens.lengths.tolist(), strict=True)]
        of_pieces = iter(found)
        return [torch.cat([next(of_pieces) for _ in clip]) for clip in clips]

    def _mono(self, wave: Tensor, rate: int) -> Tensor:
        """One channel at the model's rate, on the CPU."""
        if not wave.numel():
            raise AudioError("A clip has no samples.", "Leave empty clips out.")
        wave = wave.float().cpu()
        if wave.ndim > 1:
            wave = wave[0] if self.compat == "upstream" else wave.mean(0)
        own = self.log_mel.rate
        return wave if rate == own else torch.from_numpy(soxr.resample(wave.numpy(), rate, own))

    def _nearest(self, states: Tensor) -> Tensor:
        """States [T, D] -> the nearest row of the codebook [T] by squared distance, the lowest of equals."""
        codes = self.codebook.weight.float()
        return (codes.square().sum(1) - 2 * states.float() @ codes.T).argmin(1)


def adapt_state_dict(state: Mapping[str, Tensor], config: SpeechTokenizerConfig) -> dict[str, Tensor]:
    """The tokenizer's part of a published file, under its own names.

    Files may hold a whole Whisper with the encoder under ``model.encoder.``, and layers behind the codebook.
    """
    if any(name.startswith(PREFIX) for name in state):
        state = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}

    def surplus(name: str) -> bool:
        first, _, rest = name.partition(".")
        return first == "layer_norm" or (first == "layers" and int(rest.split(".")[0]) >= config.quantize_position)

    return {name: value for name, value in state.items() if not surplus(name)}


def _seen(lengths: Tensor, size: int, block: int | None) -> Tensor:
    """Mask [B, 1, T, T], True where place i (row) sees place j: j not after i or in its block, and valid."""
    valid = within(lengths, size)[:, None, None]
    if block is None:
        return valid
    place = torch.arange(size, device=lengths.device)
    return valid & ((place <= place[:, None]) | (place // block == place[:, None] // block))
