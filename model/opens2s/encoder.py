"""The audio encoder: windows of log-mel frames, each heard alone (Qwen2-Audio, Chu et al. 2024; Whisper's shape).

As trained, every window is full: a short clip is encoded together with the silence behind it, at the price of
attention over a whole window. ``forward`` does that. ``forward_windows`` also takes windows cut short: cheaper, but
not what the weights were trained on.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, gelu

from model.opens2s.config import POOLED_ENCODER
from model.opens2s.errors import AudioError
from model.opens2s.layers import EncoderLayer, within

Count = TypeVar("Count", int, Tensor)


class AudioEncoder(nn.Module):
    """Log-mel features at 100 frames a second -> states; 25 a second for Qwen2-Audio, 50 for Whisper."""

    def __init__(self, config: Any) -> None:
        """``config`` is transformers' for ``qwen2_audio_encoder`` or ``whisper``."""
        super().__init__()
        width: int = config.d_model
        self.window = 2 * config.max_source_positions  # frames
        self.bins: int = config.num_mel_bins
        self.pooled = config.model_type == POOLED_ENCODER
        self.conv1 = nn.Conv1d(self.bins, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(config.max_source_positions, width).requires_grad_(False)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.layer_norm = nn.LayerNorm(width)

    @property
    def minimum_frames(self) -> int:
        """Frames of one clip that give at least one state."""
        return 3 if self.pooled else 1

    def output_lengths(self, frames: Count) -> Count:
        """States that one window's valid frames give: a strided convolution, then pairs."""
        convolved = (frames - 1) // 2 + 1
        return convolved // 2 if self.pooled else convolved

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, bins, k window], valid frames [B] -> states [B, T, D], valid states [B]; T is the largest.

        A window without a valid frame is not run; the states past a row's length are those of its silence.
        """
        batch, bins, total = features.shape
        if bins != self.bins or total % self.window:
            raise AudioError(
                f"The features have {bins} bins and {total} frames.",
                f"This encoder takes {self.bins} bins and a multiple of {self.window} frames.",
            )
        starts = torch.arange(0, total, self.window, device=lengths.device)
        valid = (lengths[:, None] - starts).clamp(0, self.window)
        heard = (valid > 0).to(features.device)
        windows = features.unflatten(2, (-1, self.window)).transpose(1, 2)
        states = self.forward_windows(windows[heard])
        placed = states.new_zeros(batch, len(starts), *states.shape[1:]).index_put((heard,), states)
        counts = self.output_lengths(valid).sum(1)
        return placed.flatten(1, 2)[:, : int(counts.max())], counts

    def forward_windows(self, windows: Tensor, valid: Tensor | None = None) -> Tensor:
        """Windows [n, bins, frames], frames even and at most ``window`` -> states [n, output_lengths(frames), D].

        Without ``valid`` all frames are heard, as trained if the windows are full. With it (valid frames [n], each at
        least 1) every row gives what it would give alone, cut to its own length; states past that mean nothing.
        """
        x = windows.to(self.conv1.weight.dtype)
        x = gelu(self.conv1(_zeroed(x, valid)))
        x = gelu(self.conv2(_zeroed(x, valid))).transpose(1, 2)
        seen = None if valid is None else within((valid - 1) // 2 + 1, x.shape[1])[:, None, None]
        x = x + self.embed_positions.weight[: x.shape[1]]
        for layer in self.layers:
            x = layer(x, seen)
        if self.pooled:
            x = avg_pool1d(x.transpose(1, 2), 2).transpose(1, 2)
        states: Tensor = self.layer_norm(x)
        return states


def _zeroed(x: Tensor, valid: Tensor | None) -> Tensor:
    """x [n, D, T] with zeros past each row's length, so that a convolution sees what a lone row would show it."""
    return x if valid is None else x * within(valid, x.shape[2])[:, None]
