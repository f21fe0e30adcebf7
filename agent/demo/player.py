"""Plays a recording to a running server through the stock ``openai`` client, in real time, and notes what happens.

It is a client like any other: it knows the wire and nothing of the server's inside. What it hears of the agent is
laid on the same time axis as the recording, cut where the client's own playback was flushed.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray
from openai import AsyncOpenAI

from agent.clock import Clock
from model.interface import SAMPLE_RATE

WIRE_RATE = 24_000
FRAME_S = 0.04
QUIET_S = 2.4  # room after the recording in which the agent may still answer
LONGEST_WAIT_S = 20.0

Samples = NDArray[np.float32]
Note = Callable[[float, dict[str, Any]], None]


@dataclass
class Conversation:
    """All that happened while one recording was played; times in seconds since its start."""

    name: str
    persona: str
    user: Samples  # at 16 kHz
    agent: Samples = field(default_factory=lambda: np.zeros(0, np.float32))  # at 24 kHz, aligned with ``user``
    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    session: str = ""

    def of(self, kind: str) -> list[dict[str, Any]]:
        """All events of one type, in order."""
        return [event for _, event in self.events if event["type"] == kind]


class Mouth:
    """The client's loudspeaker: what was played when, on the recording's time axis."""

    def __init__(self) -> None:
        self.track = np.zeros(0, np.float32)
        self._free_at = 0
        self._item: str | None = None
        self._began = 0

    def play(self, now_s: float, item: str, pcm: bytes) -> None:
        """Queue PCM16 behind what is still playing."""
        sound = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768.0
        start = max(int(now_s * WIRE_RATE), self._free_at)
        if item != self._item:
            self._item, self._began = item, start
        end = start + len(sound)
        if end > len(self.track):
            self.track = np.concatenate([self.track, np.zeros(end - len(self.track), np.float32)])
        self.track[start:end] = sound
        self._free_at = end

    def flush(self, now_s: float) -> tuple[str, int] | None:
        """Stop at once; returns the item and the milliseconds of it that were heard, if any was playing."""
        now = int(now_s * WIRE_RATE)
        if self._item is None or now >= self._free_at:
            return None
        self.track[now:] = 0.0
        self._free_at = now
        return self._item, max(round(1000 * (now - self._began) / WIRE_RATE), 0)

    def busy(self, now_s: float) -> bool:
        """True while something is still to be heard."""
        return now_s * WIRE_RATE < self._free_at


async def play(
    address: str, name: str, samples: Samples, persona: str, clock: Clock, note: Note, person: str = "demo"
) -> Conversation:
    """Hold one conversation: ``samples`` float32 [n] at 16 kHz against the server at ``address`` (http://…/)."""
    talk = Conversation(name, persona, samples)
    mouth = Mouth()
    client = AsyncOpenAI(api_key="none", base_url=f"{address}v1")
    async with client.realtime.connect(model="poise", extra_query={"person": person}) as wire:
        wishes = {"events": "all", "judgements": "all", "persona": persona}
        await wire.send({"type": "session.update", "session": {"type": "realtime", "poise": wishes}})  # type: ignore[arg-type]
        start = clock.now()
        listening = asyncio.create_task(_listen(wire, talk, mouth, lambda: clock.now() - start, note))
        await _speak(wire, samples, clock, start)
        deadline = clock.now() + LONGEST_WAIT_S
        while clock.now() < deadline and (_replying(talk) or mouth.busy(clock.now() - start)):
            await _send(wire, np.zeros(int(FRAME_S * WIRE_RATE), np.float32))
            await clock.sleep(FRAME_S)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    talk.agent = mouth.track
    return talk


async def _speak(wire: Any, samples: Samples, clock: Clock, start: float) -> None:
    """Send the recording and the room after it, never ahead of real time."""
    sound = soxr.resample(samples, SAMPLE_RATE, WIRE_RATE)
    sound = np.concatenate([sound, np.zeros(int(QUIET_S * WIRE_RATE), np.float32)])
    size = int(FRAME_S * WIRE_RATE)
    for number, at in enumerate(range(0, len(sound), size), 1):
        await _send(wire, sound[at : at + size])
        await clock.sleep(max(start + number * FRAME_S - clock.now(), 0.0))


async def _send(wire: Any, sound: Samples) -> None:
    pcm = np.clip(np.round(sound * 32767), -32768, 32767).astype("<i2").tobytes()
    await wire.input_audio_buffer.append(audio=base64.b64encode(pcm).decode())


async def _listen(wire: Any, talk: Conversation, mouth: Mouth, now: Callable[[], float], note: Note) -> None:
    async for message in wire:
        event = message.to_dict()
        at = now()
        kind = event["type"]
        if kind == "response.output_audio.delta":
            mouth.play(at, event["item_id"], base64.b64decode(event["delta"]))
            event = {**event, "delta": len(event["delta"])}
        elif kind == "input_audio_buffer.speech_started":
            cut = mouth.flush(at)
            if cut is not None:
                item, heard_ms = cut
                await wire.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=heard_ms)
        elif kind == "session.created":
            talk.session = event["session"].get("poise", {}).get("resume", "") or event["session"].get("id", "")
        talk.events.append((at, event))
        note(at, event)


def _replying(talk: Conversation) -> bool:
    return len(talk.of("response.created")) > len(talk.of("response.done"))
