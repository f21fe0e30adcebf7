"""A real server on loopback with a tiny engine, and real clients for it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from openai import AsyncOpenAI

from agent.audio import decode, resample, to_pcm16
from agent.config import Settings
from agent.parts import assemble
from agent.server import Server
from agent.vad import SileroVad
from model.interface import SpeechModel
from policies.judge import timeout

from .tiny_engine import TinyModel

RECORDING = Path(__file__).parents[1] / "recordings" / "long_day.flac"
LIMIT_S = 60.0  # of patience on a busy machine; nothing here takes more than a few seconds


@asynccontextmanager
async def serving(
    home: Path, words: str = "one two three four five six", model: SpeechModel | None = None, **given: Any
) -> AsyncIterator[Server]:
    """A server that listens, and is gone afterwards."""
    settings = Settings.load(home=home, port=0, memory=False, checkpoints="memory", **given)
    parts = assemble(settings, model=model or TinyModel(words), judge=timeout.load(), vad=SileroVad())
    server = Server(settings, parts)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        await parts.close()


@asynccontextmanager
async def client(server: Server, token: str = "none", **wishes: str) -> AsyncIterator[Talker]:
    """The stock client, connected."""
    address = f"http://127.0.0.1:{server.port}/v1"
    async with (
        AsyncOpenAI(api_key=token, base_url=address) as stock,
        stock.realtime.connect(model="poise-1", extra_query=dict(wishes)) as wire,
    ):
        yield Talker(wire)


class Talker:
    """What a client does: speak, wait for events, remember them."""

    def __init__(self, wire: Any) -> None:
        self.wire = wire
        self.seen: list[Any] = []

    async def until(self, kind: str, **fields: Any) -> Any:
        """The next event of a type (and with these fields)."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                event = await self.wire.recv()
                self.seen.append(event)
                if event.type == kind and all(getattr(event, name) == value for name, value in fields.items()):
                    return event

    async def say(self, pcm: np.ndarray[Any, np.dtype[np.float32]]) -> None:
        """Send samples at 16 kHz as 24 kHz PCM16, faster than real time."""
        wide = resample(pcm, 16_000, 24_000)
        for start in range(0, len(wide), 2_400):
            data = base64.b64encode(to_pcm16(wide[start : start + 2_400])).decode()
            await self.wire.input_audio_buffer.append(audio=data)
            await asyncio.sleep(0)

    def types(self) -> list[str]:
        """Types of all events seen."""
        return [event.type for event in self.seen]


def speech() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Two and a half seconds of speech at 16 kHz."""
    return decode(RECORDING)


def silence(seconds: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Silence at 16 kHz."""
    return np.zeros(round(seconds * 16_000), np.float32)
