"""How well facts are found, kept and recalled over scripted lives (thirty days of one person's talk, by hand).

Reads lives as JSON lines (made from *.life files by their own lives.py) and prints a table: what was kept of the
facts there were, what was kept that must not be, and in how many questions all that the answer rests on was among
the nearest 3 and 8 memories. The row "gold" stores the written facts themselves: what perfect extraction would give.
It does not judge answers, consent or threads. Run: python -m benchmarks.memory LIVES.jsonl
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memory import embed, extract
from memory.recall import query
from memory.store import MemoryStore

WRITES = ("add", "update", "contradict", "thread")


@dataclass
class Score:
    """Counts over the days of one life, one way of keeping."""

    told: int = 0  # utterances that hold facts
    kept: int = 0  # of these, with an entry
    entries: int = 0
    not_facts: Counter[str] = field(default_factory=Counter)  # statements that must not be kept, by kind
    wrong: Counter[str] = field(default_factory=Counter)  # of these, kept all the same
    asked: int = 0
    at3: int = 0
    at8: int = 0


def spoken(text: str, plain: bool) -> str:
    """``text`` as a recogniser would write it (lower case, no punctuation), where ``plain``."""
    return re.sub(r"[^a-z' ]", "", text.lower().replace("-", " ")) if plain else text


def turns(day: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """The user's turns of a day, each with what the agent had said just before."""
    before = ""
    for turn in day["turns"]:
        if turn["who"] == "user":
            yield turn, before
        before = turn["text"] if turn["who"] == "agent" else ""


def texts(turn: dict[str, Any], before: str, way: str) -> list[str]:
    """What to store of one turn."""
    if way == "gold":
        return [
            note["text"]
            for note in turn["keep"]
            if note["op"] in WRITES or (note.get("text") and note["op"] == "close")
        ]
    return extract.facts(spoken(turn["text"], way == "plain"), spoken(before, way == "plain"))


def run(life: dict[str, Any], way: str, encoder: embed.Embed, folder: Path) -> Score:
    """Live one life: store day by day, ask each day's questions after it."""
    score = Score()
    source: dict[str, str] = {}
    place: dict[str, str] = {}
    with MemoryStore(folder, encoder) as store:
        for day in life["days"]:
            for turn, before in turns(day):
                stored = store.remember("user", texts(turn, before, way), turn["id"])
                source |= {memory.id: turn["id"] for memory in stored}
                place |= {note["id"]: turn["id"] for note in turn["keep"] if "id" in note}
                count(score, turn, bool(stored), len(stored))
            for question in day["questions"]:
                ask(score, question, store, source, place)
    return score


def count(score: Score, turn: dict[str, Any], kept: bool, entries: int) -> None:
    """Note what one utterance held and whether something of it was kept."""
    facts = any(note["op"] in WRITES for note in turn["keep"])
    score.told += facts
    score.kept += facts and kept
    score.entries += entries
    for note in turn["keep"]:
        if note["op"] == "not_a_fact" and not facts:
            score.not_facts[note["kind"]] += 1
            score.wrong[note["kind"]] += kept


def ask(
    score: Score, question: dict[str, Any], store: MemoryStore, source: dict[str, str], place: dict[str, str]
) -> None:
    """Ask one question that has an answer, and see whether its sources are among the nearest."""
    if not question["answer"]:
        return
    wanted = {place[id] for id in question["answer"]}
    found = [source[memory.id] for memory in store.recall("user", query(question["text"]), k=8, floor=-1.0)]
    score.asked += 1
    score.at3 += wanted <= set(found[:3])
    score.at8 += wanted <= set(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lives", type=Path, help="JSON lines, one life each")
    args = parser.parse_args()
    encoder = embed.load()
    out = sys.stdout.write
    out(f"{'life':8}{'way':9}{'kept':>12}{'entries':>9}{'kept wrongly':>14}{'recall@3':>12}{'recall@8':>12}\n")
    for line in args.lives.read_text().splitlines():
        life = json.loads(line)
        for way in ("gold", "typed", "plain"):
            with tempfile.TemporaryDirectory() as folder:
                s = run(life, way, encoder, Path(folder))
            cells = f"{s.kept}/{s.told}", s.entries, f"{s.wrong.total()}/{s.not_facts.total()}"
            out(f"{life['name']:8}{way:9}{cells[0]:>12}{cells[1]:>9}{cells[2]:>14}")
            out(f"{f'{s.at3}/{s.asked}':>12}{f'{s.at8}/{s.asked}':>12}  {dict(+s.wrong)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
