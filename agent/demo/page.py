"""One self-contained HTML page of conversations: waveforms, probability curves, decisions with their reasons.

Drawing only: it reads what the player noted and writes a string. No script, no external resource.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

from agent.demo.player import WIRE_RATE, Conversation
from model.interface import CHUNK_S, SAMPLE_RATE

WIDTH, WAVE, CURVE = 1100, 60, 130
COLOURS = {
    "interrupt": "#d64545",
    "refuse": "#a24bcf",
    "deflect": "#d19a1b",
    "silence": "#8a94a6",
    "respond": "#2f9e62",
}
STYLE = """
:root{color-scheme:light dark;--ink:#1c2330;--soft:#667085;--line:#d9dee7;--bg:#fbfcfe}
@media(prefers-color-scheme:dark){:root{--ink:#e8ebf2;--soft:#98a2b3;--line:#303846;--bg:#12161d}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--bg);max-width:1140px;
margin:2rem auto;padding:0 1rem}h1{font-size:1.5rem}h2{font-size:1.15rem;margin:2.2rem 0 .2rem}p{margin:.3rem 0}
svg{width:100%;height:auto}
.soft{color:var(--soft)}table{border-collapse:collapse;width:100%;font-size:14px}td,th{text-align:left;
padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}td:first-child{white-space:nowrap}
audio{width:100%;margin:.4rem 0}.key{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .3em 0 .9em}
"""


def page(talks: Sequence[Conversation], rows: Sequence[tuple[str, str, str, str, str]]) -> str:
    """The whole page as HTML."""
    keys = "".join(f'<span class="key" style="background:{c}"></span>{a}' for a, c in COLOURS.items())
    cells = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    head = "".join(f"<th>{name}</th>" for name in ("latency", "n", "p50", "p95", "goal"))
    parts = "".join(_conversation(talk) for talk in talks)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Poise demo</title><style>{STYLE}</style><h1>What Poise heard, judged and said</h1>"
        f'<p class="soft">Probabilities per 160 ms chunk:{keys}</p><table><tr>{head}</tr>{cells}</table>{parts}</html>'
    )


def _conversation(talk: Conversation) -> str:
    judged = max((e["chunk"] + 1 for e in talk.of("poise.judgement.created")), default=0) * CHUNK_S
    seconds = max(len(talk.user) / SAMPLE_RATE, len(talk.agent) / WIRE_RATE, judged, 0.1)
    said = [e["transcript"] for e in talk.of("conversation.item.input_audio_transcription.completed")]
    replies = [e["transcript"] for e in talk.of("response.output_audio_transcript.done")]
    words = "".join(f"<p><b>heard</b> {html.escape(t)}</p>" for t in said)
    words += "".join(f"<p><b>replied</b> {html.escape(t)}</p>" for t in replies)
    return (
        f'<h2>{html.escape(talk.name)} <span class="soft">with {html.escape(talk.persona)}</span></h2>'
        f"{_drawing(talk, seconds)}{_audio(talk, seconds)}{words}{_decisions(talk)}"
    )


def _drawing(talk: Conversation, seconds: float) -> str:
    height = 2 * WAVE + CURVE + 20
    user = _wave(talk.user, SAMPLE_RATE, seconds, 0, "#4c7bd9")
    agent = _wave(talk.agent, WIRE_RATE, seconds, WAVE, "#2f9e62")
    ticks = "".join(
        f'<text x="{_x(s, seconds):.0f}" y="{height - 4}" font-size="11" fill="currentColor" opacity=".6">{s} s</text>'
        for s in range(int(seconds) + 1)
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="user, agent and probabilities over time">'
        f"{user}{agent}{_curves(talk, seconds)}{_marks(talk, seconds, height)}{ticks}</svg>"
    )


def _x(at: float, seconds: float) -> float:
    return WIDTH * at / seconds


def _wave(samples: NDArray[np.float32], rate: int, seconds: float, top: int, colour: str) -> str:
    step = max(int(rate * seconds / WIDTH), 1)
    columns = [float(np.abs(samples[i : i + step]).max()) for i in range(0, len(samples), step)]
    scale = (WAVE / 2 - 3) / max(max(columns, default=0.0), 0.05)
    middle = top + WAVE / 2
    path = "".join(f"M{x} {middle - v * scale:.1f}V{middle + v * scale:.1f}" for x, v in enumerate(columns))
    return f'<path d="{path}" stroke="{colour}" stroke-width="1"/>'


def _curves(talk: Conversation, seconds: float) -> str:
    top = 2 * WAVE
    lines = []
    for action, colour in COLOURS.items():
        points = " ".join(
            f"{_x((e['chunk'] + 1) * CHUNK_S, seconds):.1f},{top + (CURVE - 6) * (1 - e['p'][action]) + 3:.1f}"
            for e in talk.of("poise.judgement.created")
        )
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
    return "".join(lines)


def _moves(talk: Conversation) -> list[dict[str, Any]]:
    return [e for e in talk.of("poise.decision.made") if e["move"] in ("take_floor", "yield_floor", "duck")]


def _marks(talk: Conversation, seconds: float, height: int) -> str:
    marks = []
    for event in _moves(talk):
        x = _x((event["chunk"] + 1) * CHUNK_S, seconds)
        colour = COLOURS[event["action"]] if event["move"] == "take_floor" else "#1c9bb5"
        label = event["action"] if event["move"] == "take_floor" else event["move"].replace("_floor", "")
        marks.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - 18}" stroke="{colour}" stroke-dasharray="4 3"/>'
            f'<text x="{x + 3:.1f}" y="12" font-size="12" fill="{colour}">{label}</text>'
        )
    return "".join(marks)


def _audio(talk: Conversation, seconds: float) -> str:
    """Both sides as stereo (user left, agent right), inside the page."""
    frames = int(seconds * SAMPLE_RATE)
    stereo = np.zeros((frames, 2), np.float32)
    stereo[: len(talk.user), 0] = talk.user[:frames]
    agent = soxr.resample(talk.agent, WIRE_RATE, SAMPLE_RATE) if len(talk.agent) else talk.agent
    stereo[: len(agent), 1] = agent[:frames]
    file = io.BytesIO()
    with sf.SoundFile(file, "w", SAMPLE_RATE, 2, format="OGG", subtype="VORBIS") as sound:
        for start in range(0, frames, SAMPLE_RATE):  # libsndfile's Vorbis encoder wants small bites
            sound.write(stereo[start : start + SAMPLE_RATE])
    data = base64.b64encode(file.getvalue()).decode()
    return f'<audio controls preload="none" src="data:audio/ogg;base64,{data}"></audio>'


def _decisions(talk: Conversation) -> str:
    rows = "".join(
        f"<tr><td>{(e['chunk'] + 1) * CHUNK_S:.2f} s</td><td>{e['move']}</td><td>{e['action']}</td>"
        f"<td>{html.escape('; '.join(e['reasons']))}</td><td class=soft>{html.escape(e['flip'])}</td></tr>"
        for e in _moves(talk)
    )
    if not rows:
        return '<p class="soft">It listened and took no action.</p>'
    return f"<table><tr><th>at</th><th>move</th><th>action</th><th>because</th><th>flip</th></tr>{rows}</table>"
