"""Whether rendered speech is good enough: agreement with an independent recogniser, level, clipping, length, rate.

Knows sound and words only. What it measures goes into the journal and the card, whether it passed or not.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.evaluation.recogniser import Sphinx
from model.training.data.build_config import Gates
from model.training.edits import edit_distance
from model.training.prepare import spoken
from model.training.voices import SAMPLE_RATE


def measure(samples: NDArray[np.float32], text: str, gates: Gates) -> dict[str, Any]:
    """Seconds, level, clipped share, words a second; and, with a recogniser, what it heard and its edits a word."""
    words = spoken(text).split()
    seconds = len(samples) / SAMPLE_RATE
    found: dict[str, Any] = {
        "seconds": round(seconds, 3),
        "level_db": round(10 * math.log10(float(np.mean(samples**2)) + 1e-12), 2),
        "clipped": round(float(np.mean(np.abs(samples) > 0.999)), 5),
        "words_per_s": round(len(words) / seconds, 2),
    }
    if gates.recogniser == "pocketsphinx":
        heard = spoken(_recogniser().hear(samples))
        found |= {"heard": heard, "word_errors": round(edit_distance(words, heard.split()) / max(len(words), 1), 3)}
    return found


def faults(found: dict[str, Any], gates: Gates) -> list[str]:
    """The gates that do not open; none for good speech."""
    checks = {
        "too short": found["seconds"] < gates.min_seconds,
        "too long": found["seconds"] > gates.max_seconds,
        "too quiet": found["level_db"] < gates.min_level_db,
        "too loud": found["level_db"] > gates.max_level_db,
        "clipped": found["clipped"] > gates.max_clipped,
        "spoken too fast": found["words_per_s"] > gates.max_words_per_s,
        "recogniser disagrees": found.get("word_errors", 0.0) > gates.max_word_errors,
    }
    return [name for name, failed in checks.items() if failed]


@functools.cache
def _recogniser() -> Sphinx:
    """One a process: it takes a second to load."""
    return Sphinx()
