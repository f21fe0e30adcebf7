"""A function of tensors, recorded once per shape as a CUDA graph and replayed; called plainly on other devices.

A replay launches everything with one call, which is what small batches wait for on a GPU. The function must
read and write tensors only, and must not look at their values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

WARM_UPS = 2  # plain calls before recording, so that libraries have set themselves up
LARGEST = 4096  # rows × width of a call worth recording; larger ones do not wait for launches


class Captured:
    """``function(key, *tensors) -> tensor``, where ``key`` holds plain numbers that shape the work."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        self._function = function
        self._recorded: dict[Any, tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...], Tensor]] = {}

    def __call__(self, key: tuple[int, ...], *tensors: Tensor) -> Tensor:
        """The result, in memory of its own."""
        first = tensors[0]
        if first.device.type != "cuda" or first.shape[0] * first.shape[1] > LARGEST:
            return self._function(key, *tensors)
        shape = (key, *(tuple(tensor.shape) for tensor in tensors))
        if shape not in self._recorded:
            self._recorded[shape] = self._record(key, tensors)
        graph, inputs, output = self._recorded[shape]
        for kept, tensor in zip(inputs, tensors, strict=True):
            kept.copy_(tensor)
        graph.replay()
        return output.clone()

    def _record(
        self, key: tuple[int, ...], tensors: tuple[Tensor, ...]
    ) -> tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...], Tensor]:
        kept = tuple(tensor.clone() for tensor in tensors)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self._function(key, *kept)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = self._function(key, *kept)
        return graph, kept, output
