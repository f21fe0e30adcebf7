"""Runs the demo: a server of its own, each recording through the stock client, then files and a page.

It strings the other files of this folder together; what is measured and drawn is theirs.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
from rich.console import Console
from rich.table import Table

from agent.audio import decode
from agent.clock import Clock, RealClock
from agent.config import Settings
from agent.demo import ledger
from agent.demo.page import page
from agent.demo.player import WIRE_RATE, Conversation, play
from agent.demo.timeline import Timeline
from agent.parts import Parts, build
from agent.server import Server
from model.interface import SAMPLE_RATE, PoiseError

RECORDINGS = Path(__file__).resolve().parents[2] / "tests" / "recordings"
LONGEST_S = 120.0  # of a recording given by the user; it is played in real time


class DemoError(PoiseError):
    """The demo cannot be shown."""

    code = "demo_impossible"


@dataclass(frozen=True)
class Act:
    """One recording and the persona that hears it."""

    name: str
    path: Path
    persona: str


def bundled() -> list[Act]:
    """The recordings in the repository, in the order of their list (``demo.json``)."""
    listing = RECORDINGS / "demo.json"
    if not listing.is_file():
        raise DemoError(f"The recordings of the demo are missing ({listing}).", "Run it from a checkout of Poise.")
    rows = json.loads(listing.read_text(encoding="utf-8"))
    return [Act(row["name"], RECORDINGS / row["file"], row["persona"]) for row in rows]


def given(paths: Sequence[Path], persona: str) -> list[Act]:
    """The user's own recordings."""
    return [Act(path.name, path, persona) for path in paths]


async def run(settings: Settings, acts: Sequence[Act], out: Path, keep_serving: bool) -> None:
    """Play all acts, write ``out`` and, if wished, keep serving until interrupted."""
    console, clock = Console(highlight=False), RealClock()
    sounds = [_sound(act) for act in acts]
    console.print("Loading the parts …")
    parts = build(settings)
    server = Server(settings, parts)
    await server.start()
    try:
        talks = await _play(server, parts, list(zip(acts, sounds, strict=True)), clock, console)
        _write(talks, settings, out, console)
        console.print(f"\nTalk yourself: {server.address}   (any OpenAI-Realtime client: {server.address}v1)")
        if keep_serving:
            console.print("Serving until Ctrl-C.")
            await asyncio.Event().wait()
    finally:
        await server.stop()
        await parts.close()


def _sound(act: Act) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    sound = decode(act.path)
    if len(sound) > LONGEST_S * SAMPLE_RATE:
        raise DemoError(
            f"{act.path} lasts {len(sound) / SAMPLE_RATE:.0f} s, and the demo plays in real time.",
            f"Cut it to {LONGEST_S:.0f} s.",
        )
    return sound


async def _play(
    server: Server,
    parts: Parts,
    acts: Sequence[tuple[Act, np.ndarray[tuple[int], np.dtype[np.float32]]]],
    clock: Clock,
    console: Console,
) -> list[Conversation]:
    talks = []
    for act, sound in acts:
        console.rule(f"{act.name} · {act.persona}", align="left")
        talks.append(await play(server.address, act.name, sound, act.persona, clock, Timeline(console)))
    return talks


def _write(talks: Sequence[Conversation], settings: Settings, out: Path, console: Console) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for number, talk in enumerate(talks, 1):
        sf.write(out / f"{number}-reply.wav", talk.agent if len(talk.agent) else np.zeros(1, np.float32), WIRE_RATE)
        trace = settings.home / "traces" / f"{talk.session}.jsonl"
        if trace.is_file():
            shutil.copy(trace, out / f"{number}-trace.jsonl")
    values = ledger.collect(talks)
    rows = ledger.table(values)
    (out / "index.html").write_text(page(talks, rows), encoding="utf-8")
    table = Table("latency", "n", "p50", "p95", "goal", box=None)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    late, chunks = ledger.late_chunks(values), len(values["lateness of a judgement"])
    console.print(f"{late} of {chunks} chunks were judged later than 160 ms after they arrived.")
    console.print(f"Reply audio, traces and the page: {out / 'index.html'}")
