"""Trains nano's LLM and the soft adapter in front of it on our own conversations.

Knows how a conversation becomes a soft prompt with a reply, heard with errors and in an uncertain mood, beside a
retrieved example; leaves sizes, prompt form and the loop to their modules. One stage: every token of the sequence
is predicted, the reply's with full weight, the rest as plain language modelling with a small one.
"""

from __future__ import annotations

import json
import lzma
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.interface import EMOTIONS, ReplyPrompt, Said
from model.nano import text, weights
from model.nano.bank import ALONE, Bank, Example
from model.nano.config import LlmConfig
from model.nano.prompting import soft_prompt
from model.nano.replies import Talker
from model.nano.text import Vocabulary
from model.training import exchanges, loop
from model.training.prepare import spoken

REST = 0.25  # weight of predicting the prompt
LONGEST = 40  # tokens of a reply
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Sample:
    """One reply and what it was made from, as it was written (clean words, one emotion)."""

    prompt: ReplyPrompt
    emotion: str
    reply: str
    neighbours: tuple[Example, ...] = ()


def read(talker: Talker, batch: Batch) -> Tensor:
    """Hidden states [B, T, D] of a batch from `collate`."""
    llm, adapter = talker.llm, talker.adapter
    embedded = adapter(llm.embedding, batch["tokens"], batch["sure"], batch["emotion"], None)
    hidden: Tensor = llm(embedded)[0]
    return hidden


def blank(action: str, said: str, delivery: str, **about: Any) -> ReplyPrompt:
    """A prompt with only the named parts filled."""
    parts: dict[str, Any] = {"persona": "", "stance": "", "boundary": "", "memory": (), "history": (), "opening": ""}
    parts |= {"instruction": "", "max_words": 40, "confidence": None, "emotion": None} | about
    return ReplyPrompt(action=action, heard=said, delivery=delivery, **parts)  # type: ignore[arg-type]


def from_exchanges(found: list[dict[str, Any]], split: str) -> list[Sample]:
    """One sample per user turn, with the turns before as history."""
    samples = []
    for exchange in found:
        history: tuple[Said, ...] = ()
        for turn in exchange["turns"] if exchange["split"] == split else ():
            prompt = blank("respond", spoken(turn["user"]), turn["delivery"], history=history)
            samples.append(Sample(prompt, turn["emotion"], turn["agent"]))
            history += (Said(who="user", text=turn["user"]), Said(who="agent", text=turn["agent"]))
    return samples


def read_scenes(paths: list[Path], held_out: str = "w8") -> list[dict[str, Any]]:
    """Scenes of JSON-lines files (plain or .xz), without those of the development file."""
    found = []
    for path in paths:
        data = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
        found += [json.loads(line) for line in data.decode().splitlines() if line.strip()]
    return [scene for scene in found if not scene["id"].startswith(held_out)]


def from_scenes(scenes: list[dict[str, Any]]) -> list[Sample]:
    """One sample per scene that has a reply."""
    samples = []
    for scene in scenes:
        deciding = [i for i, phrase in enumerate(scene["phrases"]) if phrase["label"] != "silence"]
        if not scene["reply"] or not deciding:
            continue
        last = scene["phrases"][deciding[-1]]
        persona = scene["persona"]
        prompt = blank(
            last["label"],
            spoken(" ".join(p["text"] for p in scene["phrases"][: deciding[-1] + 1])),
            scene["reply"]["emotion"],
            persona=persona["name"],
            stance=persona["stance"],
            boundary=persona["boundaries"][0] if last["label"] == "refuse" else "",
            memory=tuple(scene["memory"]),
            history=tuple(Said(who=turn["who"], text=turn["text"]) for turn in scene["history"]),
        )
        samples.append(Sample(prompt, last["emotion"], scene["reply"]["text"]))
    return samples


def with_neighbours(samples: list[Sample], bank: Bank, count: int = 4) -> list[Sample]:
    """Samples whose words are a key of the bank get its nearest other examples; the rest stay as they are."""
    row_of = {bank.examples[g.examples[0]].said: g.keys[0] for g in bank.groups if g.kind == ALONE}
    found = []
    for sample in samples:
        row = row_of.get(sample.prompt.heard)
        if row is None:
            found.append(sample)
            continue
        near = bank.closeness(bank.keys[row], None)
        groups = [bank.groups[g] for g in np.argsort(-near)[: count + 4]]
        examples = [e for g in groups for e in bank.examples[slice(*g.examples)] if e.text != sample.reply]
        others = tuple(e for e in examples if not sample.prompt.heard.endswith(e.said))[:count]
        found.append(replace(sample, neighbours=others))
    return found


def misheard(words: list[str], chance: random.Random, lexicon: Sequence[str]) -> tuple[list[str], list[float]]:
    """Words as a recogniser may give them (up to a third dropped or replaced), and how sure it is of each."""
    rate = chance.choice((0.0, 0.0, 0.12, 0.25, 0.35))
    kept: list[str] = []
    sure: list[float] = []
    for word in words:
        if chance.random() < rate * 0.3:
            continue
        wrong = chance.random() < rate * 0.7
        kept.append(chance.choice(lexicon) if wrong else word)
        sure.append(min(max(chance.gauss(0.5 if wrong else 0.9 - 0.4 * rate, 0.15), 0.05), 1.0))
    return kept, sure


def mood(emotion: str, chance: random.Random) -> dict[str, float]:
    """An emotion posterior as the ear may give it: mostly right, never certain."""
    scores = {name: chance.gauss(0.0, 0.7) + (2.2 if name == emotion else 0.0) for name in EMOTIONS}
    total = sum(np.exp(value) for value in scores.values())
    return {name: float(np.exp(value) / total) for name, value in scores.items()}


def collate(picked: list[Sample], chance: random.Random, vocabulary: Vocabulary, lexicon: Sequence[str]) -> Batch:
    """Padded tokens [B, T] with their weights, emotion [B, 6] and the loss weight of each predicted token [B, T-1]."""
    rows = []
    for sample in picked:
        heard, sure = misheard(sample.prompt.heard.split(), chance, lexicon)
        emotion = mood(sample.emotion, chance)
        prompt = sample.prompt.model_copy(update={"heard": " ".join(heard), "emotion": emotion})
        example = chance.choice(sample.neighbours) if sample.neighbours and chance.random() < 0.7 else None
        soft = soft_prompt(prompt, vocabulary, example, sure)
        reply = [*vocabulary.encode(sample.reply)[:LONGEST], vocabulary.mark("<eos>")]
        rows.append((soft, reply))
    longest = max(len(soft.tokens) + len(reply) for soft, reply in rows)
    tokens = torch.zeros(len(rows), longest, dtype=torch.long)
    sure_of, weight = torch.ones(len(rows), longest), torch.zeros(len(rows), longest)
    for i, (soft, reply) in enumerate(rows):
        start, end = len(soft.tokens), len(soft.tokens) + len(reply)
        tokens[i, :end] = torch.tensor(soft.tokens + reply)
        sure_of[i, :start] = torch.tensor(soft.sure)
        weight[i, :start], weight[i, start:end] = REST, 1.0
    emotions = torch.tensor([soft.emotion for soft, _ in rows])
    return {"tokens": tokens, "sure": sure_of, "emotion": emotions, "weight": weight[:, 1:]}


def loss_of(module: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
    """Weighted cross-entropy in nats per token, and that of the replies alone."""
    assert isinstance(module, Talker)
    hidden = read(module, batch)[:, :-1]
    wanted = batch["weight"] > 0
    scores = module.llm.logits(hidden[wanted]).float()
    losses = F.cross_entropy(scores, batch["tokens"][:, 1:][wanted], reduction="none")
    weight = batch["weight"][wanted]
    reply = losses[weight == 1.0].mean()
    return (losses * weight).sum() / weight.sum(), {"reply": float(reply.detach())}


def stream(samples: list[Sample], vocabulary: Vocabulary, size: int) -> Callable[[random.Random], Iterator[Batch]]:
    """Endless batches of about equally long samples."""
    lexicon = sorted({word for sample in samples for word in sample.prompt.heard.split()})

    def batches(chance: random.Random) -> Iterator[Batch]:
        while True:
            pool = sorted(chance.sample(samples, min(size * 12, len(samples))), key=_length)
            starts = list(range(0, len(pool), size))
            chance.shuffle(starts)
            for start in starts:
                yield collate(pool[start : start + size], chance, vocabulary, lexicon)

    return batches


def _length(sample: Sample) -> int:
    prompt = sample.prompt
    return len(prompt.heard) + len(prompt.stance) + sum(len(turn.text) for turn in prompt.history) + len(sample.reply)


def texts(samples: list[Sample]) -> list[str]:
    """All words of samples, for the vocabulary."""
    found = []
    for sample in samples:
        prompt = sample.prompt
        found += [prompt.heard, sample.reply, prompt.stance, prompt.boundary, *prompt.memory]
        found += [turn.text for turn in prompt.history]
    return [line for line in found if line]


def train(
    exchange_folder: Path,
    scenes: list[dict[str, Any]],
    bank: Bank,
    run: Path,
    out: Path,
    minutes: float,
    size: int = 16,
) -> dict[str, float]:
    """Train within ``minutes`` and write words.json and llm.safetensors into ``out``; ``run`` keeps checkpoints.

    ``scenes`` must hold nothing of the development file. The vocabulary is trained once and kept.
    """
    found = [e for path in sorted(exchange_folder.glob("*.exchanges")) for e in exchanges.read(path)]
    samples = from_exchanges(found, "train") + from_scenes(scenes)
    unseen = from_exchanges(found, "dev")
    out.mkdir(parents=True, exist_ok=True)
    config = LlmConfig()
    if not (out / text.NAME).exists():
        everything = texts(samples) + [example.text for example in bank.examples]
        text.train(everything, config.vocabulary).save(str(out / text.NAME), pretty=False)
    vocabulary = text.load(out)
    samples = with_neighbours(samples, bank)
    held = [collate(unseen[i : i + 16], random.Random(i), vocabulary, ["the"]) for i in range(0, len(unseen), 16)]

    def evaluate(module: nn.Module) -> dict[str, float]:
        return {"dev_reply": float(np.mean([loss_of(module, batch)[1]["reply"] for batch in held]))}

    talker = Talker(config)
    plan = loop.Plan(minutes=minutes, rate=1.5e-3, weight_decay=0.1)
    figures = loop.run(talker, stream(samples, vocabulary, size), loss_of, run, plan, evaluate if held else None, 240.0)
    weights.save(talker, "llm", out)
    return figures
