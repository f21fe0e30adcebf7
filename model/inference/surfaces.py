"""Finds the surface of an engine by its name and loads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from model.inference.tasks import SpeechOf, Surface, TaskError
from model.interface import TextEncoder

ENGINES = ("nano", "opens2s")


def load(
    engine: str,
    speech: SpeechOf,
    *,
    embed: Callable[[], TextEncoder] | None = None,
    model: str | None = None,
    decoder: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
) -> Surface:
    """Load an engine for its tasks; ``speech`` gives voice activity, ``embed`` makes sentence embeddings (nano's).

    Raises TaskError for an engine without tasks, and the error of the engine where it cannot be loaded.
    """
    if engine == "nano":
        from model.inference.nano import NanoSurface
        from model.nano import engine as nano

        return NanoSurface(nano.load(None, embed() if embed else None), speech)
    if engine == "opens2s":
        return _opens2s(model, decoder=decoder, device=device, dtype=dtype)
    raise TaskError(f"There is no engine {engine!r} with tasks of its own.", f"Take one of {', '.join(ENGINES)}.")


def _opens2s(model: str | None, **given: Any) -> Surface:
    from model.inference.opens2s import OpenS2SSurface
    from model.opens2s import loading
    from model.opens2s.engine import NoModelError

    if model is None:
        raise NoModelError("The engine opens2s needs a checkpoint.", "Give --model FOLDER_OR_HUB_ID.")
    return OpenS2SSurface(loading.load(model, **given))
