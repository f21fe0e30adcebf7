"""Reads recorded corpora: a folder with ``metadata.jsonl`` and plain tar shards of 16 kHz mono audio.

Knows the layout and the licences, not what the audio is used for. Restricted items (non-commercial,
no-derivatives, share-alike) are left out unless a caller asks for them by name.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
PERMISSIVE = ("public domain", "CC0", "CC BY 4.0", "CC BY 3.0", "MIT", "Apache-2.0")


def is_permissive(licence: str) -> bool:
    """True where weights trained on the item may be shipped (public domain, CC0, CC BY, MIT, Apache-2.0)."""
    return licence.split(" (")[0] in PERMISSIVE


def rows(folder: Path, split: str | None = None, permissive_only: bool = True) -> list[dict[str, Any]]:
    """Metadata of one corpus, optionally of one split; permissive items only unless told otherwise."""
    lines = (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines if line.strip()]
    return [
        row for row in found if split in (None, row["split"]) and (not permissive_only or is_permissive(row["licence"]))
    ]


def items(
    folder: Path, split: str | None = None, permissive_only: bool = True
) -> Iterator[tuple[dict[str, Any], NDArray[np.float32]]]:
    """Yield (row, float32 samples [n] at 16 kHz), shard by shard.

    Raises ValueError for an item that is not 16 kHz mono: corpora are converted once, when they are made.
    """
    wanted: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows(folder, split, permissive_only):
        wanted.setdefault(row["shard"], {})[row["member"]] = row
    for shard, members in wanted.items():
        with tarfile.open(folder / shard) as tar:
            for member in tar:
                if member.name not in members:
                    continue
                stream = tar.extractfile(member)
                assert stream is not None  # a regular file, by the corpus layout
                samples, rate = sf.read(io.BytesIO(stream.read()), dtype="float32")
                if rate != SAMPLE_RATE or samples.ndim != 1:
                    raise ValueError(f"{member.name} in {folder / shard} is not 16 kHz mono")
                yield members[member.name], samples


def corpora(root: Path) -> list[Path]:
    """All corpus folders under ``root`` (those that hold a metadata.jsonl), sorted by name."""
    return sorted(path.parent for path in root.glob("*/metadata.jsonl"))
