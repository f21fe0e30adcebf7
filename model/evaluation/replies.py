"""How good replies are, measured without a judge: relevance, variety, repetition, form, and whether delivery fits.

Knows texts, labels and embeddings; not who made the replies. A relevance stands beside that of shuffled replies:
the same replies, each given to somebody else's words.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.inference.nano import feeling
from model.inference.tasks import Request, Surface
from model.interface import TextEncoder
from model.nano.wording import loops
from model.training import exchanges
from model.training.exchanges import ExchangesError
from model.training.prepare import spoken

SHIFT = 7  # places by which replies are moved for the shuffled baseline
SURE = 0.7  # of the true emotion in the posterior that the engine is given
MISHEARD = 0.3  # share of words heard wrongly in the second condition
USUAL = 0.05  # share of an emotion's answers from which a delivery is usual for it
_MARKUP = re.compile(r"<\|?[a-z_/&]+\|?>|\[[A-Z_]+\]|\ufffd", re.I)


@dataclass(frozen=True)
class Opening:
    """What somebody says first in an exchange, and how a person answered."""

    said: str
    emotion: str
    answer: str
    delivery: str


@dataclass(frozen=True)
class Reply:
    """What was heard of an opening, and what the engine said."""

    opening: Opening
    heard: str
    text: str
    delivery: str | None


def openings(folder: Path, split: str = "dev") -> list[Opening]:
    """First turns of the exchanges of a folder. Raises ExchangesError where there are none, or a file is damaged."""
    found = [one for path in sorted(folder.glob("*.exchanges")) for one in exchanges.read(path)]
    first = [one["turns"][0] for one in found if one["split"] == split and "agent" in one["turns"][0]]
    if not first:
        raise ExchangesError(f"{folder} holds no exchanges of the split {split!r}.", "Give a folder of *.exchanges.")
    return [Opening(turn["user"], turn["emotion"], turn["agent"], turn["delivery"]) for turn in first]


def misheard(text: str, rate: float, chance: random.Random, lexicon: Sequence[str]) -> str:
    """Words of which ``rate`` are dropped (two in five) or replaced by another word."""
    kept = []
    for word in text.split():
        draw = chance.random()
        if draw >= rate * 0.4:
            kept.append(chance.choice(lexicon) if draw < rate else word)
    return " ".join(kept)


def ask(surface: Surface, asked: Sequence[Opening], rate: float = 0.0, lexicon: Sequence[str] = ()) -> list[Reply]:
    """The engine's reply to each opening, of whose words ``rate`` are misheard."""
    found, chance = [], random.Random(1)
    for number, opening in enumerate(asked):
        heard = misheard(spoken(opening.said), rate, chance, lexicon) if rate else spoken(opening.said)
        request = Request(text=heard or "nothing", emotion=feeling(opening.emotion, SURE), seed=number)
        (answer,) = surface.do(["text-chat"], request)
        found.append(Reply(opening, heard, answer.text, answer.delivery))
    return found


def broken(text: str) -> bool:
    """True for a reply that nobody could say: no letters, marks of a model left in it, or no end."""
    controls = any(unicodedata.category(letter) in ("Cc", "Cs", "Co") for letter in text)
    ended = text.rstrip().endswith((".", "!", "?", "…", '"', "”"))
    return controls or not re.search(r"[^\W\d_]", text) or bool(_MARKUP.search(text)) or not ended


def distinct(texts: Sequence[str], size: int) -> float:
    """Different runs of ``size`` words by all such runs (Li et al. 2016); 0 where there is none."""
    runs = [tuple(found[at : at + size]) for text in texts if (found := text.split()) for at in range(len(found))]
    whole = [run for run in runs if len(run) == size]
    return round(len(set(whole)) / len(whole), 4) if whole else 0.0


def measure(
    replies: Sequence[str], references: Sequence[str], heard: Sequence[str], encode: TextEncoder
) -> dict[str, Any]:
    """Measures of one condition; cosines are of sentence embeddings."""
    said, reference, words = (
        encode(list(replies)),
        encode(list(references)),
        encode([one or "nothing" for one in heard]),
    )
    return {
        "to_reference": round(float((said * reference).sum(1).mean()), 3),
        "to_reference_shuffled": round(float((said * np.roll(reference, SHIFT, 0)).sum(1).mean()), 3),
        "to_words": round(float((said * words).sum(1).mean()), 3),
        "to_words_shuffled": round(float((said * np.roll(words, SHIFT, 0)).sum(1).mean()), 3),
        "distinct_1": distinct(replies, 1),
        "distinct_2": distinct(replies, 2),
        "said_more_than_once": round(1 - len(set(replies)) / len(replies), 3),
        "empty": sum(not text.strip() for text in replies),
        "broken": sum(bool(text.strip()) and broken(text) for text in replies),
        "loops": sum(loops(text) for text in replies),
        "words": round(float(np.mean([len(text.split()) for text in replies])), 1),
        "questions": round(float(np.mean([text.endswith("?") for text in replies])), 3),
    }


def delivery_match(replies: Sequence[Reply], train: Sequence[Opening]) -> dict[str, float] | None:
    """How often the planned delivery is that of the person's answer, and how often it is usual for the emotion.

    Both beside the same for shuffled deliveries; None where the engine plans no delivery.
    """
    if any(reply.delivery is None for reply in replies):
        return None
    counts: dict[str, Counter[str]] = {}
    for opening in train:
        counts.setdefault(opening.emotion, Counter())[opening.delivery] += 1
    planned = [reply.delivery or "" for reply in replies]

    def shares(deliveries: Sequence[str]) -> tuple[float, float]:
        same = [delivery == reply.opening.delivery for delivery, reply in zip(deliveries, replies, strict=True)]
        usual = [
            row[delivery] >= USUAL * row.total()
            for delivery, reply in zip(deliveries, replies, strict=True)
            for row in [counts.get(reply.opening.emotion, Counter())]
        ]
        return round(float(np.mean(same)), 3), round(float(np.mean(usual)), 3)

    (same, usual), (same_shuffled, usual_shuffled) = shares(planned), shares([*planned[SHIFT:], *planned[:SHIFT]])
    return {"same": same, "same_shuffled": same_shuffled, "usual": usual, "usual_shuffled": usual_shuffled}


def evaluate(
    surface: Surface, asked: Sequence[Opening], train: Sequence[Opening], encode: TextEncoder
) -> tuple[dict[str, Any], list[Reply]]:
    """Figures for clean and for misheard words, and the replies to the clean ones."""
    lexicon = sorted({word for opening in train for word in spoken(opening.said).split()})
    runs = {"clean": ask(surface, asked), "misheard": ask(surface, asked, MISHEARD, lexicon)}
    figures: dict[str, Any] = {"replies": len(asked)}
    for name, replies in runs.items():
        texts, answers = [reply.text for reply in replies], [reply.opening.answer for reply in replies]
        figures[name] = measure(texts, answers, [reply.heard for reply in replies], encode)
        figures[name]["delivery"] = delivery_match(replies, train)
    return figures, runs["clean"]
