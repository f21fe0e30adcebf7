"""How good nano's replies are on 100 unseen openings: relevance, variety, repetition, time; no judge model.

Reads the development split of the exchanges and prints measures for clean words and for words heard with errors,
beside a shuffled baseline (the same replies given to other people's words). It cannot tell whether a person would
accept a reply: read the table. Run: python -m benchmarks.replies EXCHANGES_FOLDER [--table docs/replies.md]
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.interface import EMOTIONS, ReplyPrompt
from model.nano import minilm
from model.nano.replies import Plan, Replier
from model.nano.wording import loops
from model.training import exchanges
from model.training.prepare import spoken

COUNT = 100
SURE = 0.7  # of the true emotion in the posterior


@dataclass(frozen=True)
class Asked:
    """One unseen opening, as heard, and what became of it."""

    heard: str
    emotion: str
    reference: str
    plan: Plan
    seconds: float  # of processor time, embedding included where the words are new


def misheard(text: str, rate: float, chance: random.Random, lexicon: list[str]) -> str:
    """Words of which ``rate`` are dropped (two in five) or replaced by another word."""
    kept = []
    for word in text.split():
        draw = chance.random()
        if draw >= rate * 0.4:
            kept.append(chance.choice(lexicon) if draw < rate else word)
    return " ".join(kept)


def prompt(heard: str, emotion: str, confidence: float) -> ReplyPrompt:
    """A plain prompt: no persona to speak of, no memory, no history."""
    posterior = {name: SURE if name == emotion else (1 - SURE) / 5 for name in EMOTIONS}
    return ReplyPrompt(
        action="respond", instruction="", opening="", delivery="warm", max_words=30, persona="Sol",
        stance="patient warm listener", boundary="", heard=heard, confidence=confidence, emotion=posterior,
        memory=(), history=(),
    )  # fmt: skip


def ask(replier: Replier, turns: list[dict[str, Any]], hear: Callable[[str], str], confidence: float) -> list[Asked]:
    """A reply to each opening."""
    found = []
    for number, turn in enumerate(turns):
        heard = hear(spoken(turn["user"]))
        began = time.process_time()
        plan = replier.plan(prompt(heard, turn["emotion"], confidence), torch.Generator().manual_seed(number))
        found.append(Asked(heard, turn["emotion"], turn["agent"], plan, time.process_time() - began))
    return found


def measure(asked: list[Asked], encode: Callable[[list[str]], Any]) -> dict[str, float]:
    """Measures of one condition; cosines are of MiniLM embeddings."""
    replies = [one.plan.text for one in asked]
    said, reference = encode(replies), encode([one.reference for one in asked])
    heard = encode([one.heard or "nothing" for one in asked])
    pairs = [pair for text in replies for pair in zip(text.split(), text.split()[1:], strict=False)]
    return {
        "to_reference": round(float((said * reference).sum(1).mean()), 3),
        "to_reference_shuffled": round(float((said * np.roll(reference, 7, 0)).sum(1).mean()), 3),
        "to_words": round(float((said * heard).sum(1).mean()), 3),
        "to_words_shuffled": round(float((said * np.roll(heard, 7, 0)).sum(1).mean()), 3),
        "distinct_2": round(len(set(pairs)) / len(pairs), 3),
        "said_more_than_once": round(1 - len(set(replies)) / len(replies), 3),
        "empty": sum(not text for text in replies),
        "loops": sum(loops(text) for text in replies),
        "words": round(float(np.mean([len(text.split()) for text in replies])), 1),
        "questions": round(float(np.mean([text.endswith("?") for text in replies])), 3),
        "plan_cpu_ms_p50": round(1000 * float(np.median([one.seconds for one in asked])), 1),
    } | {f"from_{name}": count for name, count in sorted(Counter(one.plan.source for one in asked).items())}


def table(asked: list[Asked]) -> str:
    """The replies as a Markdown table."""
    lines = ["| heard | voice | reply | from | score |", "|---|---|---|---|---|"]
    lines += [f"| {o.heard} | {o.emotion} | {o.plan.text} | {o.plan.source} | {o.plan.score:.2f} |" for o in asked]
    return "\n".join(lines)


def main() -> int:
    """Run both conditions; the last line is a JSON object."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("exchanges", type=Path)
    reader.add_argument("--table", type=Path, help="put both tables between the markers of this Markdown file")
    chosen = reader.parse_args()
    found = [e for path in sorted(chosen.exchanges.glob("*.exchanges")) for e in exchanges.read(path)]
    turns = [e["turns"][0] for e in found if e["split"] == "dev"][:COUNT]
    known = [turn["user"] for e in found if e["split"] == "train" for turn in e["turns"]]
    lexicon = sorted({word for text in known for word in spoken(text).split()})
    encode = minilm.load()
    replier = Replier.load(None, encode)
    chance = random.Random(1)
    runs = {
        "clean": ask(replier, turns, lambda text: text, 0.9),
        "misheard": ask(replier, turns, lambda text: misheard(text, 0.3, chance, lexicon), 0.6),
    }
    figures = {name: measure(asked, encode) for name, asked in runs.items()}
    for name, asked in runs.items():
        sys.stdout.write(f"\n{name}\n{table(asked)}\n")
        if chosen.table:
            _insert(chosen.table, name, table(asked))
    sys.stdout.write("\n" + json.dumps(figures) + "\n")
    return 0


def _insert(path: Path, name: str, text: str) -> None:
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
    path.write_text(pattern.sub(lambda m: f"{m[1]}{text}\n{m[2]}", path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
