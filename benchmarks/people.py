"""Plays recordings of real people to Poise through the stock client and sums up what it made of them.

    python -m benchmarks.people --data DATA [--count 36] [--persona sol] [--out demo-out/people]

Takes different speakers of every kind of recording there is under DATA/speech (read speech, commands, emotional
speech, conversation), restricted ones too: nothing is trained here. Prints a Markdown table and, as its last line,
one JSON object. It measures; it does not judge what it sees.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.clock import RealClock
from agent.config import Settings
from agent.demo import ledger
from agent.demo.player import Conversation, play
from agent.parts import build
from agent.server import Server
from model.training import corpora
from model.training.edits import edit_distance
from model.training.prepare import spoken

KINDS = {
    "read": ("libri", "so762", "cv6"),
    "command": ("coffee", "wakeword"),
    "emotional": ("ravdess", "tess"),
    "conversation": ("calls", "meeting", "phenomena"),
}
LONGEST_S = 12.0
Samples = NDArray[np.float32]


def chosen(root: Path, count: int) -> Iterator[tuple[str, dict[str, Any], Samples]]:
    """(kind, row, samples): equally many of each kind, a new speaker each time where speakers are known."""
    chance = random.Random(11)
    for kind, names in KINDS.items():
        for share, name in enumerate(names):
            want = count // len(KINDS) // len(names) + (share < count // len(KINDS) % len(names))
            rows = corpora.rows(root / "speech" / name, permissive_only=False)
            chance.shuffle(rows)
            rows.sort(key=lambda row: row["split"] != "dev")  # people the ear was not trained on come first
            wanted: dict[str, dict[str, Any]] = {}
            speakers: set[str] = set()
            for row in rows:
                who = row["speaker"] or row["id"]
                if len(wanted) < want and who not in speakers and row["seconds"] > 1.0:
                    speakers.add(who)
                    wanted[row["id"]] = row
            for row, samples in corpora.items(root / "speech" / name, permissive_only=False):
                if row["id"] in wanted:
                    yield kind, row, samples[: int(LONGEST_S * corpora.SAMPLE_RATE)]


def told(talk: Conversation, kind: str, row: dict[str, Any]) -> dict[str, Any]:
    """One line of the summary."""
    heard = " ".join(e["transcript"] for e in talk.of("conversation.item.input_audio_transcription.completed"))
    if not heard and talk.of("poise.judgement.created"):
        words = talk.of("poise.judgement.created")[-1]["transcript"]
        heard = f"{words['stable']} {words['tentative']}".strip()
    whole = row["seconds"] <= LONGEST_S and row["text"]
    truth = spoken(row["text"]).split() if whole else []
    wrong = edit_distance(truth, heard.split()) / len(truth) if truth else None
    taken = [e for e in talk.of("poise.decision.made") if e["move"] == "take_floor"]
    felt = [e["emotion"] for e in talk.of("poise.judgement.created") if e["emotion"]]
    return {
        "kind": kind,
        "id": row["id"],
        "split": row["split"],
        "said": row["text"],
        "heard": heard,
        "wer": None if wrong is None else round(wrong, 2),
        "emotion": row["emotion"],
        "felt": max(felt[-1], key=felt[-1].get) if felt else None,
        "decided": [f"{e['action']} at {(e['chunk'] + 1) * 0.16:.1f} s" for e in taken],
        "early": sum((e["chunk"] + 1) * 0.16 < len(talk.user) / corpora.SAMPLE_RATE - 0.5 for e in taken),
        "replied": [e["transcript"] for e in talk.of("response.output_audio_transcript.done")],
        "errors": [e["error"]["message"] for e in talk.of("error")],
    }


async def run(data: Path, count: int, persona: str, out: Path) -> dict[str, Any]:
    """Play all chosen recordings, one session each; write the lines to ``out`` and return the figures."""
    settings = Settings.load(home=out / "home", port=0)
    parts, clock = build(settings), RealClock()
    server = Server(settings, parts)
    await server.start()
    lines, talks = [], []
    try:
        for kind, row, samples in chosen(data, count):
            talk = await play(server.address, row["id"], samples, persona, clock, lambda *_: None, person=kind)
            talks.append(talk)
            lines.append(told(talk, kind, row))
            print(markdown(lines[-1]), flush=True)
    finally:
        await server.stop()
        await parts.close()
    (out / "people.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    values = ledger.collect(talks)
    figures: dict[str, Any] = {"recordings": len(lines), "late_chunks": ledger.late_chunks(values)}
    for kind in KINDS:
        known = [line["wer"] for line in lines if line["kind"] == kind and line["wer"] is not None]
        mine = [line for line in lines if line["kind"] == kind]
        figures[kind] = {
            "n": len(mine),
            "wer": round(float(np.mean(known)), 3) if known else None,
            "answered": sum(bool(line["decided"]) for line in mine),
            "taken_early": sum(line["early"] for line in mine),
        }
    figures["latency"] = {name.strip(): {"p50": p50, "p95": p95} for name, _, p50, p95, _ in ledger.table(values)}
    return figures


def markdown(line: dict[str, Any]) -> str:
    """One row of the table in docs/results.md."""
    cells = (line["kind"], line["id"], line["said"] or "–", line["heard"] or "–", line["felt"] or "–")
    return (
        f"| {' | '.join(cells)} | {', '.join(line['decided']) or 'listened'} | {' / '.join(line['replied']) or '–'} |"
    )


def main() -> None:
    """Command line."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--count", type=int, default=36)
    words.add_argument("--persona", default="sol")
    words.add_argument("--out", type=Path, default=Path("demo-out/people"))
    given = words.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    print("| kind | recording | said | heard | felt | decided | replied |\n|---|---|---|---|---|---|---|")
    print(json.dumps(asyncio.run(run(given.data, given.count, given.persona, given.out))))


if __name__ == "__main__":
    main()
