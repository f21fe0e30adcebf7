"""Word error rates of nano's ear on caches of recordings, with pocketsphinx on the same audio beside it.

Streams every clip in chunks of 160 ms as a session would. It does not know how the ear was trained: the caller
names clips that were kept apart. Run: ``python -m benchmarks.transcript NAME=CACHE[:CORPUS[:SPLIT]] ...``; the
last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.evaluation.recogniser import Sphinx
from model.inference.nano import padded
from model.interface import CHUNK_SAMPLES, Chunk
from model.nano.listening import Ears
from model.training.cache import Cache, Clip
from model.training.edits import edit_distance
from model.training.wording import spoken


@dataclass
class Tally:
    """Counts over one set of clips."""

    words: int = 0
    nano: int = 0  # word errors
    pocketsphinx: int = 0
    unlisted: int = 0  # spoken words that nano's list lacks
    changed: int = 0  # stable prefixes that changed: must stay 0
    times: list[float] = field(default_factory=list)  # seconds per chunk, nano
    confidence: list[tuple[float, float]] = field(default_factory=list)  # given, and the share of right words

    def row(self) -> dict[str, float]:
        """The figures."""
        given = np.array(self.confidence) if len(self.confidence) > 2 else np.zeros((3, 2))
        spread = given.std(axis=0).min() > 0
        return {
            "words": self.words,
            "wer_nano": round(self.nano / max(self.words, 1), 4),
            "wer_pocketsphinx": round(self.pocketsphinx / max(self.words, 1), 4),
            "unlisted": round(self.unlisted / max(self.words, 1), 4),
            "stable_changed": self.changed,
            "chunk_ms_p50": round(1e3 * float(np.median(self.times)), 1),
            "chunk_ms_p95": round(1e3 * float(np.percentile(self.times, 95)), 1),
            "confidence_r": round(float(np.corrcoef(given.T)[0, 1]), 3) if spread else 0.0,
        }


def clips(source: str, limit: int) -> tuple[Cache, list[Clip]]:
    """A cache and the clips of it that CACHE[:CORPUS[:SPLIT]] names; at most ``limit``, drawn by a fixed seed."""
    folder, corpus, split = [*source.split(":"), "", ""][:3]
    cache = Cache(Path(folder))
    found = [c for c in cache.clips if c.text and c.corpus == (corpus or c.corpus) and c.split == (split or "dev")]
    return cache, random.Random(0).sample(found, min(limit, len(found)))


def nano(ears: Ears, samples: NDArray[np.float32], tally: Tally) -> tuple[list[str], float | None]:
    """Nano's words and confidence; notes times and whether a stable word ever changed."""
    hearing, stable, percept = ears.open(), "", None
    for index, pcm in enumerate(padded(samples).reshape(-1, CHUNK_SAMPLES)):
        start = time.perf_counter()
        percept = hearing.hear(Chunk(index=index, pcm=pcm, speech=1.0))
        tally.times.append(time.perf_counter() - start)
        tally.changed += not f"{percept.stable} ".startswith(f"{stable} " if stable else "")
        stable = percept.stable
    assert percept is not None  # a clip is followed by silence
    return percept.transcript.split(), percept.confidence


def run(source: str, limit: int, ears: Ears, sphinx: Sphinx | None, show: bool) -> Tally:
    """Measure one set."""
    tally = Tally()
    cache, chosen = clips(source, limit)
    listed = set(ears.vocabulary.words)
    for clip in chosen:
        reference, samples = spoken(clip.text or ""), cache.samples(clip)
        heard, confidence = nano(ears, samples, tally)
        errors = edit_distance(reference, heard)
        tally.words += len(reference)
        tally.nano += errors
        tally.unlisted += sum(word not in listed for word in reference)
        tally.confidence.append((confidence or 0.0, 1 - min(1.0, errors / max(len(reference), 1))))
        other = spoken(sphinx.hear(samples)) if sphinx else ()
        tally.pocketsphinx += edit_distance(reference, other)
        if show:
            sys.stdout.write(f"= {' '.join(reference)}\nn {' '.join(heard)}\np {' '.join(other)}\n")
    return tally


def main() -> None:
    """Command line: prints a table and then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", help="NAME=CACHE[:CORPUS[:SPLIT]]")
    parser.add_argument("--limit", type=int, default=100, help="clips of each set")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--alone", action="store_true", help="without pocketsphinx")
    parser.add_argument("--show", action="store_true", help="print every transcript")
    given = parser.parse_args()
    ears, sphinx, rows = Ears.load(given.weights), None if given.alone else Sphinx(), {}
    for named in given.sets:
        name, _, source = named.partition("=")
        rows[name] = run(source, given.limit, ears, sphinx, given.show).row()
        cells = "  ".join(f"{key} {value}" for key, value in rows[name].items())
        sys.stdout.write(f"{name:12} {cells}\n")
    sys.stdout.write(json.dumps({"limit": given.limit, "sets": rows}) + "\n")


if __name__ == "__main__":
    main()
