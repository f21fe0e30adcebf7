"""The adapter: strided convolutions that bring the encoder's states to the LLM's width and a quarter of their rate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, glu

from model.opens2s.compat import Compat
from model.opens2s.layers import within

STRIDE = 2


class Convolutions(nn.Module):
    """Convolutions of stride 2, a gated linear unit behind each."""

    def __init__(self, width: int, out: int, kernels: Sequence[int], compat: Compat) -> None:
        super().__init__()
        self.compat = compat
        widths = [width] * (len(kernels) - 1) + [out]
        self.conv_layers = nn.ModuleList(
            nn.Conv1d(width, 2 * into, kernel, stride=STRIDE, padding=kernel // 2)
            for kernel, into in zip(kernels, widths, strict=True)
        )

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, in], valid states [B] -> [B, T', out], valid [B].

        Padding is zeroed before each convolution, so that a row does not depend on the batch; the published code
        lets a short row see the encoded silence behind it instead.
        """
        x = x.transpose(1, 2)
        for layer in self.conv_layers:
            if self.compat is None:
                x = torch.where(within(lengths, x.shape[2])[:, None], x, 0.0)
            x = glu(layer(x), 1)
            lengths = (lengths - 1) // STRIDE + 1
        return x.transpose(1, 2), lengths


class Subsampler(nn.Module):
    """Encoder states -> input embeddings of the LLM."""

    def __init__(self, width: int, inner: int, out: int, kernels: Sequence[int], *, compat: Compat = None) -> None:
        """Widths of the encoder, of the feed-forward and of the LLM; one kernel size for each convolution."""
        super().__init__()
        self.subsampler = Convolutions(width, out, kernels, compat)
        self.fc1 = nn.Linear(out, inner, bias=False)
        self.fc2 = nn.Linear(inner, out, bias=False)
        self.ln = nn.LayerNorm(out)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States [B, T, width], valid [B] -> embeddings [B, T', out], valid [B].

        Valid lengths follow odd kernels; an even kernel gives one more frame, which no length counts.
        """
        x, lengths = self.subsampler(x, lengths)
        y: Tensor = self.ln(x + self.fc2(gelu(self.fc1(x))))
        return y, lengths
