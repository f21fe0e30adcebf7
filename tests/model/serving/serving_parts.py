"""A tiny checkpoint, loaded once, for the tests of the engine."""

import functools
import tempfile
from pathlib import Path

import torch

from model.opens2s import tiny
from model.opens2s.loading import Loaded, load


@functools.cache
def loaded() -> Loaded:
    """Random weights in the published layout; windows of one second, units in a codebook of 48."""
    folder = Path(tempfile.mkdtemp(prefix="poise-tiny-"))
    return load(tiny.write(folder, seed=3), device="cpu", progress=False)


def speech(seconds, seed=0):
    """Something with the level of speech, float32 at 16 kHz."""
    return torch.randn(int(16_000 * seconds), generator=torch.Generator().manual_seed(seed)) * 0.1
