"""Builds the bank of replies from exchanges and general replies, and learns its small map.

Knows the text forms and which split may be used; leaves searching to `model.nano.bank`. Names of people are taken
out of answers, as they were other people's. Scenes are left out: their replies live on details of their own worlds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from model.interface import EMOTIONS, TextEncoder
from model.nano import bank as banks
from model.nano.bank import ALONE, FOLLOWING, Bank, Example, Floats, Group
from model.nano.wording import content, drop_vocatives, names_in, words
from model.training import exchanges
from model.training.prepare import spoken

EVERYDAY = Path(__file__).parent / "texts" / "everyday.replies"


@dataclass(frozen=True)
class Row:
    """One group before it is embedded: its keys and its answers."""

    keys: tuple[str, ...]
    examples: tuple[Example, ...]
    kind: int = ALONE


def general(path: Path = EVERYDAY) -> list[Row]:
    """General replies by topic. Raises ValueError naming a line that does not follow the form."""
    rows: list[Row] = []
    keys: tuple[str, ...] = ()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("k:"):
            keys = tuple(spoken(key) for key in line[2:].split(" / "))
            rows.append(Row(keys, ()))
        elif line.count("|") == 2 and rows:
            emotion, delivery, text = (part.strip() for part in line.split("|"))
            example = Example(keys[0], emotion, text, delivery, "general", ())
            rows[-1] = Row(keys, (*rows[-1].examples, example))
        elif line and not line.startswith(("#", "@")):
            raise ValueError(f"{path.name}:{number}: expected '@', 'k:' or 'emotion | delivery | words'.")
    return rows


def from_exchanges(found: Iterable[dict[str, Any]], split: str = "train") -> list[Row]:
    """One row per user turn; later turns also carry the agent's turn before in their key."""
    rows = []
    for exchange in found:
        before = ""
        for turn in exchange["turns"] if exchange["split"] == split else ():
            said = spoken(turn["user"])
            example = Example(said, turn["emotion"], turn["agent"], turn["delivery"], "exchange", ())
            key = f"{spoken(before)} {said}".strip()
            rows.append(Row((key,), (example,), FOLLOWING if before else ALONE))
            before = turn["agent"]
    return rows


def cleaned(rows: list[Row]) -> list[Row]:
    """Answers without names of people, each with the words that bind it to its occasion."""
    answers = [example.text for row in rows for example in row.examples]
    lower = Counter(word for text in answers for word in re.findall(r"(?<![.!?] )(?<!^)\b[a-z]+\b", text))
    lower.update(word for row in rows for key in row.keys for word in key.split())
    everyday = {word for word, count in Counter(w for t in answers for w in content(t)).items() if count >= 24}
    everyday |= {word for row in rows for e in row.examples if e.source == "general" for word in content(e.text)}
    kept = []
    for row in rows:
        examples = tuple(e for e in (_clean(e, lower, everyday) for e in row.examples) if e)
        if examples:
            kept.append(Row(row.keys, examples, row.kind))
    return kept


def _clean(example: Example, lower: Counter[str], everyday: set[str]) -> Example | None:
    names = {name for name in names_in(example.text, ()) if lower[name.lower()] == 0 or _is_called(example.text, name)}
    text = drop_vocatives(example.text, names)
    if any(re.search(rf"\b{name}\b", text) and name.lower() not in example.said.split() for name in names):
        return None
    if len(words(text)) < 2 or re.search(r"\d", text):
        return None
    bound = () if example.source == "general" else tuple(sorted(content(text) - everyday))
    return Example(**{**example.__dict__, "text": text, "bound": bound})


def _is_called(text: str, name: str) -> bool:
    return re.search(rf", {name}[.,!?]", text) is not None


def build(rows: list[Row], encode: TextEncoder) -> Bank:
    """Embed the keys, and learn the map ``feeling`` on what the exchanges say."""
    groups: list[Group] = []
    keys: list[str] = []
    examples: list[Example] = []
    for row in rows:
        spans = (len(keys), len(keys) + len(row.keys)), (len(examples), len(examples) + len(row.examples))
        groups.append(Group(*spans, row.kind))
        keys.extend(row.keys)
        examples.extend(row.examples)
    embedded = encode(keys)
    said = np.stack([embedded[g.keys[0]] for g in groups for _ in range(*g.examples)])
    own = [i for i, example in enumerate(examples) if example.source != "general"]
    feeling = learn_feeling(said[own], [examples[i].emotion for i in own])
    return Bank(tuple(examples), tuple(groups), embedded, feeling)


def learn_feeling(said: Floats, emotions: list[str], steps: int = 120) -> Floats:
    """Logistic regression [385, 6] from embedded words to the emotion they were said in."""
    x = torch.cat([torch.from_numpy(said), torch.ones(len(said), 1)], 1)
    y = torch.tensor([EMOTIONS.index(emotion) for emotion in emotions])
    rare = len(y) / (len(EMOTIONS) * torch.bincount(y, minlength=len(EMOTIONS)).clamp(min=1))
    weight = torch.zeros(x.shape[1], len(EMOTIONS), requires_grad=True)
    optimiser = torch.optim.AdamW([weight], lr=0.03, weight_decay=0.1)
    for _ in range(steps):
        loss = F.cross_entropy(x @ weight, y, weight=rare)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    learnt: Floats = weight.detach().numpy()
    return learnt


def make(exchange_folder: Path, encode: TextEncoder, out: Path) -> Bank:
    """Build the shipped bank (exchanges' training split and general replies) into ``out``."""
    found = [e for path in sorted(exchange_folder.glob("*.exchanges")) for e in exchanges.read(path)]
    rows = cleaned([*general(), *from_exchanges(found)])
    bank = build(rows, encode)
    out.mkdir(parents=True, exist_ok=True)
    banks.save(bank, out)
    return bank
