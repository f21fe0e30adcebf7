"""Convolutions with weight normalisation under its published names, and its folding into a plain weight.

w = g · v / ‖v‖ for each index of the first dimension (Salimans & Kingma 2016).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _WeightNorm(nn.Module):
    """Mixed into a convolution: ``weight_g`` and ``weight_v`` in place of ``weight``."""

    bias: Tensor | None
    weight_g: nn.Parameter
    weight_v: nn.Parameter

    def split(self) -> None:
        """Replace the weight by its two factors."""
        weight = self._parameters.pop("weight")
        assert weight is not None
        self.weight_g = nn.Parameter(_norm(weight.detach()))
        self.weight_v = nn.Parameter(weight.detach().clone())

    def kernel(self) -> Tensor:
        """The weight itself."""
        folded = self._parameters.get("weight")
        if folded is not None:
            return folded
        return self.weight_v * (self.weight_g / _norm(self.weight_v))

    def fold(self) -> None:
        """Keep the weight alone: quicker, but the factors' names are gone."""
        kernel = self.kernel().detach()
        for name in ("weight_g", "weight_v"):
            self._parameters.pop(name, None)
        self.register_parameter("weight", nn.Parameter(kernel))


def _norm(weight: Tensor) -> Tensor:
    found: Tensor = torch.linalg.vector_norm(weight, dim=(1, 2), keepdim=True)
    return found


class NormedConv(_WeightNorm, nn.Conv1d):
    """Conv1d that keeps the length (stride 1)."""

    def __init__(self, inner: int, outer: int, kernel: int, dilation: int = 1) -> None:
        super().__init__(inner, outer, kernel, padding=(kernel - 1) * dilation // 2, dilation=dilation)
        self.split()

    def forward(self, x: Tensor) -> Tensor:
        """[B, inner, T] -> [B, outer, T]."""
        return F.conv1d(x, self.kernel(), self.bias, padding=self.padding, dilation=self.dilation)


class NormedUpsampling(_WeightNorm):
    """Transposed convolution that makes the signal ``rate`` times as long; its first dimension is the input's."""

    def __init__(self, inner: int, outer: int, kernel: int, rate: int) -> None:
        super().__init__()
        self.rate, self.padding = rate, (kernel - rate) // 2
        conv = nn.ConvTranspose1d(inner, outer, kernel, rate)
        self.weight, self.bias = conv.weight, conv.bias
        self.split()

    def forward(self, x: Tensor) -> Tensor:
        """[B, inner, T] -> [B, outer, rate · T]."""
        return F.conv_transpose1d(x, self.kernel(), self.bias, self.rate, self.padding)


def fold(module: nn.Module) -> None:
    """Fold the weight norm of every convolution in ``module``; once is enough, twice does no harm."""
    for part in module.modules():
        if isinstance(part, _WeightNorm):
            part.fold()
