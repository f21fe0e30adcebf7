"""A function of tensors, recorded as a CUDA graph for shapes that come again and replayed; called plainly elsewhere.

A replay launches everything with one call, which is what small batches wait for on a GPU. The function must
read and write tensors only, and must not look at their values.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

WARM_UPS = 2  # plain calls of a shape before it is recorded, so that libraries have set themselves up
KEPT = 64  # recordings; the one that was used longest ago makes room

Recording = tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...], Tensor]


class Captured:
    """``function(key, *tensors) -> tensor``, where ``key`` holds plain numbers that shape the work.

    Calls with more than ``largest`` numbers in their first tensor do not wait for launches and are not recorded.
    """

    def __init__(self, function: Callable[..., Tensor], largest: int) -> None:
        self._function, self._largest = function, largest
        self._calls: Counter[Hashable] = Counter()
        self._recorded: OrderedDict[Hashable, Recording] = OrderedDict()

    def __call__(self, key: tuple[int, ...], *tensors: Tensor) -> Tensor:
        """The result, in memory of its own."""
        first = tensors[0]
        if first.device.type != "cuda" or first.numel() > self._largest:
            return self._function(key, *tensors)
        shape = (key, *(tuple(tensor.shape) for tensor in tensors))
        if shape not in self._recorded:
            self._calls[shape] += 1
            if self._calls[shape] <= WARM_UPS:
                return self._function(key, *tensors)
            self._recorded[shape] = self._record(key, tensors)
            if len(self._recorded) > KEPT:
                self._recorded.popitem(last=False)
        self._recorded.move_to_end(shape)
        graph, inputs, output = self._recorded[shape]
        for kept, tensor in zip(inputs, tensors, strict=True):
            kept.copy_(tensor)
        graph.replay()
        return output.clone()

    def _record(self, key: tuple[int, ...], tensors: tuple[Tensor, ...]) -> Recording:
        kept = tuple(tensor.clone() for tensor in tensors)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = self._function(key, *kept)
        return graph, kept, output
