"""Small real parts for tests of replies: a bag-of-words encoder, a bank of general replies, a tiny LLM.

Knows no weights on disk, so these tests run on a fresh checkout; what shipped weights do is measured elsewhere.
"""

from __future__ import annotations

from functools import cache
from typing import Any
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray

from model.interface import ReplyPrompt, Said
from model.nano.adapter import Adapter
from model.nano.bank import Bank, Example, Group
from model.nano.config import LlmConfig
from model.nano.llm import Llm
from model.nano.replies import Replier
from model.nano.text import Vocabulary, train
from model.training.replies import general

TINY = LlmConfig(vocabulary=600, width=32, layers=2, heads=2, inner=48)


def bag(texts: list[str]) -> NDArray[np.float32]:
    """Hashed words, normalised: a stand-in for sentence embeddings that needs no weights."""
    rows = np.zeros((len(texts), 384), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in text.lower().split():
            row[crc32(word.encode()) % 384] += 1.0
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return rows


@cache
def bank() -> Bank:
    """The general replies, found by shared words."""
    groups: list[Group] = []
    keys: list[str] = []
    examples: list[Example] = []
    for row in general():
        spans = (len(keys), len(keys) + len(row.keys)), (len(examples), len(examples) + len(row.examples))
        groups.append(Group(*spans, row.kind))
        keys += row.keys
        examples += row.examples
    return Bank(tuple(examples), tuple(groups), bag(keys), np.zeros((385, 6), np.float32))


@cache
def vocabulary() -> Vocabulary:
    """A vocabulary of the general replies."""
    return Vocabulary(train([example.text for example in bank().examples], TINY.vocabulary))


def llm() -> Llm:
    """A tiny LLM with its first, untrained weights."""
    return Llm(TINY).eval()


@cache
def replier() -> Replier:
    """A replier of these parts."""
    return Replier(llm(), Adapter(TINY), vocabulary(), bank(), bag)


def prompt(heard: str, **about: Any) -> ReplyPrompt:
    """A prompt to respond to ``heard``, all else plain unless named."""
    parts: dict[str, Any] = {
        "action": "respond", "instruction": "", "opening": "", "delivery": "warm", "max_words": 30, "persona": "Sol",
        "stance": "patient warm listener", "boundary": "", "confidence": 0.9, "emotion": None, "memory": (),
        "history": (),
    }  # fmt: skip
    return ReplyPrompt(heard=heard, **(parts | about))


def said(*texts: str) -> tuple[Said, ...]:
    """A history of user and agent in turn."""
    return tuple(Said(who="agent" if i % 2 else "user", text=text) for i, text in enumerate(texts))


def seeded(seed: int = 0) -> torch.Generator:
    """A private generator."""
    return torch.Generator().manual_seed(seed)
