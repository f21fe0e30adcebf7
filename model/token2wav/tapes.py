"""Numbers indexed by absolute time: noise that does not depend on who asks when, and tracks that forget their past."""

from __future__ import annotations

import torch
from torch import Tensor


class Track:
    """The last part of a signal [1, C, n] that grows at its end; places count from the signal's beginning."""

    def __init__(self, empty: Tensor) -> None:
        self.kept, self.start = empty, 0

    @property
    def end(self) -> int:
        """The place after the last."""
        return self.start + self.kept.shape[-1]

    def append(self, more: Tensor) -> None:
        """Grow by ``more`` [1, C, n]."""
        self.kept = torch.cat((self.kept, more), -1)

    def between(self, first: int, last: int) -> Tensor:
        """Places first .. last - 1, [1, C, last - first]."""
        assert self.start <= first <= last <= self.end, (self.start, first, last, self.end)
        return self.kept[..., first - self.start : last - self.start]

    def forget(self, before: int) -> None:
        """Drop what is earlier than ``before``."""
        if before > self.start:
            self.kept, self.start = self.kept[..., before - self.start :].clone(), before


class Noise:
    """Standard normal numbers of one private generator, [1, C, n] by absolute place.

    They are drawn in portions of fixed size, so that place t has the same numbers however they are asked for.
    """

    def __init__(self, seed: int, channels: int, portion: int, like: Tensor) -> None:
        self._generator = torch.Generator(like.device).manual_seed(seed)
        self._portion = portion
        self._track = Track(like.new_zeros(1, channels, 0))

    @property
    def kept(self) -> Tensor:
        """What is in memory."""
        return self._track.kept

    def between(self, first: int, last: int) -> Tensor:
        """Places first .. last - 1; none of them forgotten."""
        while self._track.end < last:
            empty = self._track.kept
            shape = (1, empty.shape[1], self._portion)
            drawn = torch.randn(shape, generator=self._generator, device=empty.device)
            self._track.append(drawn.to(empty.dtype))
        return self._track.between(first, last)

    def forget(self, before: int) -> None:
        """Drop what is earlier than ``before``."""
        self._track.forget(before)
