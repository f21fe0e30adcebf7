"""What all sessions share, built once: the speech model, the judge, the memory, the VAD, the pools, the graphs.

This file finds the parts by the names in the settings and loads them; it does not know what they do. Heavy
packages are imported only when the part that needs them is built.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from agent.clock import Clock, RealClock
from agent.config import Settings
from agent.graph import Graphs
from agent.vad import SileroVad, Vad
from model.interface import PoiseError, SpeechModel, TextEncoder
from policies.situation import Judge

if TYPE_CHECKING:
    from memory.store import MemoryStore

SWITCH_S = 0.001  # how long the event loop waits for a thread that computes in Python
ENGINES = {"nano": "model.nano.engine:load", "opens2s": "model.opens2s.engine:load"}
JUDGES = {
    "rules": "policies.judge.rules:load",
    "timeout": "policies.judge.timeout:load",
    "tuned": "policies.judge.tuned:load",
}


class UnknownPartError(PoiseError):
    """No engine or judge has this name."""

    code = "unknown_part"


class Remembered(Protocol):
    """A stored fact."""

    @property
    def text(self) -> str:
        """The fact as a sentence."""


class Remembering(Protocol):
    """What a session asks of a memory (memory.store.MemoryStore is one); blocking, used from one thread."""

    def remember(self, person: str, texts: Sequence[str], session: str) -> Sequence[Remembered]:
        """Store facts; returns those stored."""

    def recall(self, person: str, query: str, k: int = 3) -> Sequence[Remembered]:
        """The facts nearest to a query."""

    def close(self) -> None:
        """Let go of the files."""


@runtime_checkable
class Closing(Protocol):
    """A speech model that holds threads or memory to be let go of."""

    def close(self) -> None:
        """Let go; no session is open any more."""


@dataclass(frozen=True)
class Parts:
    """Everything that is loaded once."""

    model: SpeechModel
    judge: Judge
    memory: Remembering | None
    vad: Vad
    inference: ThreadPoolExecutor  # hearing, judging, speaking
    remembering: ThreadPoolExecutor  # one worker: memory
    graphs: Graphs

    async def close(self) -> None:
        """Let go of everything; all sessions must be closed."""
        await self.graphs.close()
        self.inference.shutdown(wait=False, cancel_futures=True)
        self.remembering.shutdown(wait=True)
        if self.memory is not None:
            self.memory.close()
        if isinstance(self.model, Closing):
            self.model.close()


def build(settings: Settings, clock: Clock | None = None) -> Parts:
    """Load what the settings name. Raises PoiseError where a part is unknown or cannot be loaded."""
    # Threads come from our own pool, one core each; numeric libraries read this when they are first imported.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    sys.setswitchinterval(SWITCH_S)
    embed = _embed() if settings.memory or settings.engine == "nano" else None
    return assemble(
        settings,
        model=_loaded("engine", "poise.engines", settings.engine, ENGINES, _given(settings, embed)),
        judge=_judge(settings, embed),
        memory=_memory(settings, embed, clock or RealClock()) if settings.memory and embed else None,
        vad=SileroVad(),
    )


def assemble(
    settings: Settings, *, model: SpeechModel, judge: Judge, memory: Remembering | None = None, vad: Vad
) -> Parts:
    """Parts from what has been loaded already."""
    return Parts(
        model=model,
        judge=judge,
        memory=memory,
        vad=vad,
        inference=ThreadPoolExecutor(settings.inference_threads, thread_name_prefix="inference"),
        remembering=ThreadPoolExecutor(1, thread_name_prefix="memory"),
        graphs=Graphs(settings.home, settings.checkpoints),
    )


def _given(settings: Settings, embed: TextEncoder | None) -> dict[str, Any]:
    """What a part may ask for, by the names of its loader's parameters."""
    return {
        "embed": embed,
        "model": settings.model,
        "folder": Path(settings.model) if settings.model else None,
        "decoder": settings.decoder,
        "device": settings.device,
        "dtype": settings.dtype,
        "thinking": settings.thinking,
        "sessions": settings.max_sessions,
    }


def _loaded(what: str, group: str, name: str, known: dict[str, str], given: dict[str, Any]) -> Any:
    # Our own are listed here as well, so that a checkout works without being installed.
    found = {point.name: point.value for point in entry_points(group=group)} | known
    if name not in found:
        raise UnknownPartError(f"There is no {what} named {name!r}.", f"Take one of {', '.join(sorted(found))}.")
    module, _, function = found[name].partition(":")
    try:
        load: Callable[..., Any] = getattr(importlib.import_module(module), function)
    except ImportError as error:
        raise UnknownPartError(f"The {what} {name!r} cannot be imported: {error}.", "Install what it needs.") from None
    wants = inspect.signature(load).parameters
    return load(**{name: value for name, value in given.items() if name in wants})


def _judge(settings: Settings, embed: TextEncoder | None) -> Judge:
    if settings.judge.endswith(".safetensors"):  # weights of one's own for the tuned judge
        from policies.judge import tuned

        return tuned.load(Path(settings.judge))
    judge: Judge = _loaded("judge", "poise.judges", settings.judge, JUDGES, _given(settings, embed))
    return judge


def _embed() -> TextEncoder:
    from memory import embed

    encoder: TextEncoder = embed.load()
    return encoder


def _memory(settings: Settings, embed: TextEncoder, clock: Clock) -> MemoryStore:
    from memory.store import MemoryStore

    return MemoryStore(settings.home / "memory", embed, now=clock.today)


def load_judge(settings: Settings) -> Judge:
    """The judge alone, by the settings' name. Raises PoiseError where it is unknown or cannot be loaded."""
    return _judge(settings, _embed())


def load_engine(settings: Settings) -> SpeechModel:
    """The speech model alone, by the settings' name. Raises PoiseError as above."""
    model: SpeechModel = _loaded("engine", "poise.engines", settings.engine, ENGINES, _given(settings, _embed()))
    return model


def open_memory(settings: Settings) -> MemoryStore:
    """The memory alone; close it after use. Raises a StoreError where it cannot be opened."""
    return _memory(settings, _embed(), RealClock())
