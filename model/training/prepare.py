"""Fills the caches that training reads: recorded corpora, noise, and our own texts in synthetic voices.

Knows which texts and voices belong to which split; leaves storing to `cache` and sound to `voices`.
Run through ``poise train nano``; every step continues where an earlier run stopped.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.training import corpora
from model.training.cache import CacheWriter
from model.training.voices import EMOTIONS, Voice, render, speakers, steady_seed

# Voices that only development sees (reserved voices are kept for others, see `voices.RESERVED`).
DEV_VARIANTS = ("m3", "f2", "linda", "max", "Andy")
SPEAKERS = 160


def spoken(text: str) -> str:
    """Words as a recogniser gives them: lower case, no punctuation, no trailing hyphen."""
    return " ".join(re.findall(r"[a-z]+(?:'[a-z]+)*", text.lower().replace("’", "'")))


def train_voices() -> list[Voice]:
    """The speakers of the training side: none of development's."""
    return [v for v in speakers(SPEAKERS, seed=1) if v.name not in DEV_VARIANTS]


def dev_voices() -> list[Voice]:
    """The speakers of the development side."""
    return [Voice("espeak", name, accent, 1.0, 1.0) for name in DEV_VARIANTS for accent in ("en-us", "en-gb")]


def recorded(root: Path, out: Path) -> int:
    """Copy all permissive recorded speech under ``root`` into one cache; returns the number of new clips."""
    with CacheWriter(out) as cache:
        return sum(_copied(folder, cache) for folder in corpora.corpora(root))


def sounds(folder: Path, out: Path) -> int:
    """Copy all permissive sounds of one corpus, events and noise, into a cache; returns the number of new clips."""
    with CacheWriter(out) as cache:
        return _copied(folder, cache)


def _copied(folder: Path, cache: CacheWriter) -> int:
    new = 0
    for row, samples in corpora.items(folder):
        if not cache.has(row["id"]):
            about = {k: row[k] for k in ("id", "corpus", "split", "speaker", "emotion", "event", "licence")}
            cache.add(samples, text=spoken(row["text"]) if row["text"] else None, real=True, **about)
            new += 1
    return new


def phrases_of(scenes: Iterable[dict[str, Any]], split: str) -> Iterator[dict[str, Any]]:
    """What is to be rendered for judgement scenes: one voice a scene, each phrase with its emotion."""
    voices = dev_voices() if split == "dev" else train_voices()
    for scene in scenes:
        # Twins share the voice: they differ in one thing only.
        voice = random.Random(steady_seed("scene", scene["pair"] or scene["id"])).choice(voices)
        for number, phrase in enumerate(scene["phrases"]):
            yield {
                "id": f"{scene['id']}.{number}",
                "say": phrase["text"].rstrip("-"),
                "voice": voice,
                "emotion": phrase["emotion"],
                "split": split,
                "corpus": "scenes",
            }


def user_turns_of(exchanges: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What is to be rendered for the users' side of exchanges."""
    for exchange in exchanges:
        split = exchange["split"]
        voices = dev_voices() if split == "dev" else train_voices()
        for number, turn in enumerate(exchange["turns"]):
            identity = f"{exchange['id']}.{number}"
            voice = random.Random(steady_seed("exchange", identity)).choice(voices)
            about = {"id": identity, "say": turn["user"], "voice": voice, "emotion": turn["emotion"]}
            yield {**about, "split": split, "corpus": "exchanges"}


def rendered(wanted: Iterable[dict[str, Any]], out: Path, threads: int = 2) -> int:
    """Speak what is wanted and not yet there; returns the number of new clips."""

    def speak(want: dict[str, Any]) -> tuple[dict[str, Any], NDArray[np.float32]]:
        return want, render(want["say"], want["voice"], EMOTIONS[want["emotion"]])

    new = 0
    with CacheWriter(out) as cache, ThreadPoolExecutor(threads) as pool:
        todo = [want for want in wanted if not cache.has(want["id"])]
        for want, samples in pool.map(speak, todo):
            about = {k: want[k] for k in ("id", "corpus", "split", "emotion")}
            cache.add(samples, text=spoken(want["say"]), speaker=want["voice"].key, real=False, **about)
            new += 1
    return new
