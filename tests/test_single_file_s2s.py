"""The page holds the same conversation as agent/: same decisions, same words; and it stays one page."""

from __future__ import annotations

import ast
import asyncio
import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

import single_file_s2s as page
from agent.clock import RealClock, VirtualClock
from agent.events import ChunkJudged, Event, MemoryWritten, ReplyDone, UserTurnDone
from memory.store import MemoryStore
from tests.agent.rehearsal import PERSONA, STEP, LoudnessVad, PauseJudge, rehearsal
from tests.agent.tiny_engine import TinyModel
from tests.memory.test_store import words

SOURCE = Path(page.__file__)
SCRIPTS = {  # seconds of speech (+) and silence (-)
    "turn": [0.8, -4.0],
    "long pause": [0.5, -0.2, 0.5, -4.0],
    "barge-in": [0.8, -1.2, 0.8, -4.0],
    "back-channel": [0.8, -0.8, 0.2, -4.0],
    "cut before a word": [0.8, -0.4, 0.6, -4.0],
    "two turns": [0.8, -4.0, 1.2, -4.0],
}


def parts(model: Any = None, judge: Any = None, memory: Any = None) -> page.Parts:
    return page.Parts(model or TinyModel(), judge or PauseJudge(), memory, LoudnessVad(), ThreadPoolExecutor(2))


def told(events: list[Event]) -> dict[str, list[Any]]:
    """What a conversation came to."""
    chunks = [e for e in events if isinstance(e, ChunkJudged)]
    return {
        "decisions": [(e.chunk, e.decision.action, e.decision.move, e.decision.reasons) for e in chunks],
        "floors": [str(e.situation.floor) for e in chunks],
        "heard": [e.situation.percept.transcript for e in chunks],
        "turns": [e.transcript for e in events if isinstance(e, UserTurnDone)],
        "replies": [(e.status, e.reason, e.text, e.heard_text) for e in events if isinstance(e, ReplyDone)],
    }


async def on_the_page(script: list[float], judge: Any) -> list[Event]:
    clock, events = VirtualClock(), list[Event]()
    talk = page.Talk("s1", "ann", PERSONA, parts(judge=judge), clock, page.Settings(), events.append)
    for seconds in script:
        left = round(abs(seconds) * 16_000)
        while left > 0:
            size = min(STEP, left)
            await clock.advance(size / 16_000)
            await talk.feed(np.full(size, 0.1 if seconds > 0 else 0.0, np.float32))
            left -= size
        await clock.settle()
    await talk.close()
    return events


async def in_the_house(script: list[float], judge: Any, home: Path) -> list[Event]:
    async with rehearsal(home, judge=judge) as talk:
        for seconds in script:
            await (talk.say(seconds) if seconds > 0 else talk.hush(-seconds))
    return talk.events


@pytest.mark.parametrize(("name", "action"), [*((name, "respond") for name in SCRIPTS), ("barge-in", "interrupt")])
async def test_the_page_decides_as_the_house_does(tmp_path: Path, name: str, action: str):
    here = told(await on_the_page(SCRIPTS[name], PauseJudge(action)))
    there = told(await in_the_house(SCRIPTS[name], PauseJudge(action), tmp_path))
    assert here == there
    assert here["replies"]


async def test_what_was_told_is_remembered(tmp_path: Path):
    with MemoryStore(tmp_path, words) as store:
        clock, events = VirtualClock(), list[Event]()
        own = parts(model=TinyModel(hears="benno"), memory=store)
        talk = page.Talk("s1", "ann", PERSONA, own, clock, page.Settings(), events.append)
        talk.respond(None, "my dog is called benno", None)
        await clock.advance(5)
        await talk.close()
        assert [e.texts for e in events if isinstance(e, MemoryWritten)] == [("The user's dog is called Benno.",)]
        assert [fact.text for fact in store.list("ann")] == ["The user's dog is called Benno."]


async def test_a_client_gets_a_spoken_answer():
    settings, own, clock = page.Settings(), parts(), RealClock()
    sound = base64.b64encode(np.full(24_000, 3000, "<i2").tobytes() + bytes(48_000)).decode()
    kinds: list[str] = []
    async with serve(lambda wire: page.converse(wire, settings, own, clock), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/v1/realtime?model=poise") as wire:
            await wire.send(json.dumps({"type": "input_audio_buffer.append", "audio": sound}))
            async with asyncio.timeout(20):
                while "response.done" not in kinds:
                    kinds.append(json.loads(await wire.recv())["type"])
    assert kinds[0] == "session.created"
    wanted = ["input_audio_buffer.speech_started", "response.created", "response.output_audio.delta", "response.done"]
    assert [kind for kind in dict.fromkeys(kinds) if kind in wanted] == wanted


async def test_a_recording_becomes_a_timeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lines: list[str] = []
    monkeypatch.setattr(page, "decode", lambda path: np.full(16_000, 0.1, np.float32))
    await page.run_through(tmp_path / "x.wav", page.Settings(persona="maren"), parts(), lines.append)
    assert "listen" in lines[1]
    assert any("take_floor" in line for line in lines)
    assert any("ReplyDone" in line and "completed" in line for line in lines)


def test_it_is_one_page():
    assert len(SOURCE.read_text().splitlines()) <= 400


def test_it_is_a_story_of_its_own():
    names: set[str] = set()
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    assert not names & {"agent.session", "agent.graph", "agent.server"}
