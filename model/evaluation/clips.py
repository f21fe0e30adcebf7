"""Reads the clips of one corpus folder to be measured: metadata.jsonl beside plain tar shards, or a training cache.

Kinder than `training.corpora`: restricted items count, any rate and channel number is taken, and a clip that cannot
be read is told with its reason while the others go on.
"""

from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import soxr

from model.inference.tasks import Samples
from model.interface import SAMPLE_RATE, PoiseError
from model.training.cache import Cache, Clip, read_index

ALL = "all"


class CorpusError(PoiseError):
    """A corpus folder is not laid out as it must be, or holds nothing to measure."""

    code = "corpus_unusable"


def rows(folder: Path, split: str = ALL, limit: int | None = None) -> list[dict[str, Any]]:
    """Metadata of a split (or of ALL), at most ``limit`` rows drawn by a fixed seed, in the order of the file.

    Raises CorpusError where there is no such file or split, or a line is no JSON object with id, shard and member.
    """
    path = folder / "metadata.jsonl"
    if _is_cache(folder):
        found = [asdict(clip) for clip in read_index(folder)]
    elif path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [_row(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    else:
        raise CorpusError(f"{path} is not there.", "Give a folder with metadata.jsonl and its tar shards.")
    splits = sorted({str(row.get("split")) for row in found})
    chosen = [row for row in found if split in (ALL, row.get("split"))]
    if not chosen:
        raise CorpusError(f"{path} has no item of the split {split!r}.", f"Take one of {', '.join([*splits, ALL])}.")
    if limit is not None and limit < len(chosen):
        kept = sorted(random.Random(0).sample(range(len(chosen)), limit))
        chosen = [chosen[at] for at in kept]
    return chosen


def _is_cache(folder: Path) -> bool:
    """True for a cache of `training.cache`, in which our own texts lie in synthetic voices."""
    return (folder / "index.jsonl").is_file()


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        raise CorpusError(f"{where} is no JSON.", "Write one JSON object a line.") from None
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in ("id", "shard", "member")):
        raise CorpusError(f"{where} lacks id, shard or member.", "Write one JSON object a line, with these names.")
    return row


def samples(folder: Path, chosen: Sequence[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], Samples | str]]:
    """Each row with its sound, float32 [n] at 16 kHz, or the reason why there is none; shard by shard."""
    if _is_cache(folder):
        cache = Cache(folder)
        yield from ((row, cache.samples(Clip(**row))) for row in chosen)
        return
    shards: dict[str, list[dict[str, Any]]] = {}
    for row in chosen:
        shards.setdefault(row["shard"], []).append(row)
    for shard, members in shards.items():
        try:
            with tarfile.open(folder / shard) as tar:
                for row in members:
                    yield row, _sound(tar, row["member"])
        except (OSError, tarfile.TarError) as error:
            yield from ((row, f"{shard} cannot be read: {error}") for row in members)


def _sound(tar: tarfile.TarFile, member: str) -> Samples | str:
    try:
        stream = tar.extractfile(member)
        data = stream.read() if stream is not None else b""
        found, rate = sf.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except KeyError:
        return f"{member} is not in its shard"
    except (sf.SoundFileError, tarfile.TarError, OSError) as error:
        return f"{member} cannot be read: {error}"
    mono = found.mean(axis=1, dtype=np.float32)
    if not len(mono) or not np.isfinite(mono).all():
        return f"{member} holds no sound"
    whole: Samples = mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE).astype(np.float32)
    return whole
