"""Padding that leaves no trace: a padded row of a batch gives what it would give alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def padding_mask(lengths: Sequence[int], device: torch.device, dtype: torch.dtype) -> Tensor | None:
    """[B, 1, longest], one where a row still has frames; None where no row is padded."""
    longest = max(lengths)
    if min(lengths) == longest:
        return None
    ends = torch.tensor(lengths, device=device)[:, None, None]
    return (torch.arange(longest, device=device) < ends).to(dtype)


def group_norm(norm: nn.GroupNorm, x: Tensor, mask: Tensor | None) -> Tensor:
    """GroupNorm of x [B, C, T] with statistics over the frames of ``mask`` [B, 1, T] only; None: over all frames."""
    if mask is None:
        found: Tensor = norm(x)
        return found
    batch, channels, time = x.shape
    grouped = x.reshape(batch, norm.num_groups, -1, time)
    weights = mask[:, None].to(x.dtype)
    count = weights.sum((2, 3), keepdim=True) * grouped.shape[2]
    mean = (grouped * weights).sum((2, 3), keepdim=True) / count
    centred = grouped - mean
    variance = (centred.square() * weights).sum((2, 3), keepdim=True) / count
    normal = (centred * torch.rsqrt(variance + norm.eps)).reshape(batch, channels, time)
    return normal * norm.weight[:, None] + norm.bias[:, None]
