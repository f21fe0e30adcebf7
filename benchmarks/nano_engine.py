"""The figures of `benchmarks.engine` that make sense for nano, through the interface all speech models share.

Nano's ear is append-only and each session steps it by itself, so there is no batch to measure: sessions are threads.
"""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from model.interface import CHUNK_S, CHUNK_SAMPLES, Chunk, Listener, ReplyPrompt, Said, Turn
from model.nano import engine

CHUNKS = 25  # of a turn, 4 s
PROMPT = ReplyPrompt(
    action="respond", instruction="Answer briefly.", opening="", delivery="warm", max_words=30, persona="maren",
    stance="You are Maren.", boundary="", heard="i had a very long day today", confidence=0.9, emotion=None,
    memory=(), history=(),
)  # fmt: skip


def percentiles(values: list[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile."""
    return {f"p{p}": round(float(np.percentile(values, p)), 2) for p in (50, 95, 99)}


def chunk(index: int) -> Chunk:
    """Noise at the level of speech."""
    pcm = np.random.default_rng(index).normal(0, 0.1, CHUNK_SAMPLES).clip(-1, 1).astype(np.float32)
    return Chunk(index=index, pcm=pcm, speech=0.9)


def hear(listener: Listener, index: int) -> float:
    """Milliseconds of one chunk."""
    began = time.perf_counter()
    listener.hear(chunk(index))
    return (time.perf_counter() - began) * 1000


def measure(replies: int, most: int, threads: int) -> dict[str, Any]:
    """Cost of a chunk, first sound, sound made in a second, and sessions that fit a tick."""
    model = engine.load()
    chunks, first, rates = [], [], []
    for number in range(replies + 1):
        listener = model.open(number)
        heard = [hear(listener, index) for index in range(CHUNKS)]
        listener.end_turn(Turn(user=Said(who="user", text=PROMPT.heard), agent=None))
        began, samples, sounded = time.perf_counter(), 0, 0.0
        for piece in listener.reply(PROMPT):
            sounded = sounded or time.perf_counter()
            samples += len(piece.pcm)
        if number:  # the first warms up
            chunks += heard
            first.append((sounded - began) * 1000)
            rates.append(samples / model.spec.output_rate / (time.perf_counter() - began))
    ticks: dict[str, float] = {}
    with ThreadPoolExecutor(threads) as pool:
        count = 1
        while count <= most:
            listeners = [model.open(number) for number in range(count)]
            times = []
            for index in range(5):
                began = time.perf_counter()
                list(pool.map(lambda listener, at=index: hear(listener, at), listeners))
                times.append((time.perf_counter() - began) * 1000)
            ticks[str(count)] = round(statistics.median(times), 1)
            count *= 2
    inside = [int(count) for count, ms in ticks.items() if ms <= CHUNK_S * 1000]
    return {
        "scale": "nano",
        "judged_chunk_ms": percentiles(chunks),
        "first_audio_ms": percentiles(first),
        "audio_s_per_s": round(statistics.median(rates), 2),
        "listening": {"tick_ms": ticks, "sessions_in_a_tick": max(inside, default=0)},
    }
