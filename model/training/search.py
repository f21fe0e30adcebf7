"""Tunes the transcript's beam search on dumped phone posteriors, one setting at a time.

Knows archives of `model.training.posteriors` and word errors; not how the posteriors came about.
Run: ``python -m model.training.search ARCHIVE.npz ... [--limit N] [--rounds N]``; prints the best settings as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.nano.decoder import Decoder, Search
from model.nano.vocabulary import Vocabulary
from model.training.edits import edit_distance
from model.training.wording import spoken

GRID = {
    "language": (0.6, 0.8, 0.9, 1.05, 1.2),
    "bonus": (-0.5, 0.0, 0.5, 1.0, 2.0),
    "blank": (-2.0, -1.0, 0.0),
    "outlook": (0.3, 0.6, 1.0),
}
Clip = tuple[NDArray[np.float32], tuple[str, ...]]  # ln posteriors [frames, 40], words


def read(path: Path, limit: int) -> list[Clip]:
    """The first ``limit`` clips of an archive."""
    with np.load(path) as file:
        numbers = [n for n in range(limit) if f"logp_{n}" in file.files]
        return [(file[f"logp_{n}"].astype(np.float32), spoken(str(file[f"text_{n}"]))) for n in numbers]


def error_rate(clips: Iterable[Clip], words: Vocabulary, search: Search) -> float:
    """Word errors per spoken word."""
    decoder, errors, count = Decoder(words, search), 0, 0
    for logp, reference in clips:
        decoder.reset()
        decoder.step(logp)
        found = decoder.transcript()
        errors += edit_distance(reference, [*found.stable.split(), *found.tentative.split()])
        count += len(reference)
    return errors / max(count, 1)


def tune(sets: Sequence[Sequence[Clip]], words: Vocabulary, search: Search, rounds: int) -> tuple[Search, float]:
    """Coordinate search for the least mean error rate over ``sets``; returns the settings and that rate."""

    def rate(trial: Search) -> float:
        return float(np.mean([error_rate(clips, words, trial) for clips in sets]))

    best, least = search, rate(search)
    for _ in range(rounds):
        before = best
        for name, values in GRID.items():
            for value in values:
                if value == getattr(best, name):
                    continue
                trial = replace(best, **{name: value})  # type: ignore[arg-type]  # all of GRID are floats
                found = rate(trial)
                best, least = (trial, found) if found < least else (best, least)
        if best == before:
            break
    return best, least


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archives", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=40, help="clips of each archive")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    sets = [read(path, given.limit) for path in given.archives]
    words = Vocabulary.load()
    best, least = tune(sets, words, Search(), given.rounds)
    before = [round(error_rate(clips, words, Search()), 4) for clips in sets]
    after = [round(error_rate(clips, words, best), 4) for clips in sets]
    sys.stdout.write(json.dumps({"search": asdict(best), "mean": least, "before": before, "after": after}) + "\n")


if __name__ == "__main__":
    main()
