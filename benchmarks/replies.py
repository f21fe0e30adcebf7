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

from model.evaluation import replies as measures
from model.evaluation.replies import SURE, misheard
from model.inference.nano import feeling, prompt
from model.interface import TextEncoder
from model.nano import minilm
from model.nano.replies import Plan, Replier
from model.training import exchanges
from model.training.prepare import spoken

COUNT = 100


@dataclass(frozen=True)
class Asked:
    """One unseen opening, as heard, and what became of it."""

    heard: str
    emotion: str
    reference: str
    plan: Plan
    seconds: float  # of processor time, embedding included where the words are new


def ask(replier: Replier, turns: list[dict[str, Any]], hear: Callable[[str], str], confidence: float) -> list[Asked]:
    """A reply to each opening."""
    found = []
    for number, turn in enumerate(turns):
        heard = hear(spoken(turn["user"]))
        began = time.process_time()
        asked = prompt(heard, feeling(turn["emotion"], SURE), confidence)
        plan = replier.plan(asked, torch.Generator().manual_seed(number))
        found.append(Asked(heard, turn["emotion"], turn["agent"], plan, time.process_time() - began))
    return found


def measure(asked: list[Asked], encode: TextEncoder) -> dict[str, float]:
    """Measures of one condition; cosines are of MiniLM embeddings."""
    replies, answers = [one.plan.text for one in asked], [one.reference for one in asked]
    return {
        **measures.measure(replies, answers, [one.heard for one in asked], encode),
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
