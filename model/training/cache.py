"""One flat file of int16 audio with an index beside it: quick random access for training.

Knows how clips are stored and read back; not where they come from. A cache is written once by
`prepare` and read by every stage; an interrupted write is continued, never started anew.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Clip:
    """One recording: where it lies in the file (samples at 16 kHz) and all that is known of it."""

    id: str
    corpus: str
    split: str
    offset: int
    length: int
    text: str | None = None
    speaker: str | None = None
    emotion: str | None = None
    event: str | None = None
    licence: str = "own"
    real: bool = True


class CacheWriter:
    """Appends clips; use as a context manager. Clips that are there already are skipped by ``has``."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._audio_path, self._index_path = folder / "audio.i16", folder / "index.jsonl"
        self._known = {clip.id: clip for clip in read_index(folder)} if self._index_path.exists() else {}
        self._end = max((c.offset + c.length for c in self._known.values()), default=0)

    def __enter__(self) -> CacheWriter:
        self._audio = self._audio_path.open("r+b" if self._audio_path.exists() else "w+b")
        self._audio.seek(2 * self._end)
        self._audio.truncate()
        self._index = self._index_path.open("a", encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._audio.close()
        self._index.close()

    def has(self, identity: str) -> bool:
        """True where a clip of this id is stored."""
        return identity in self._known

    def add(self, samples: NDArray[np.float32], **about: object) -> None:
        """Store float32 samples [n] in -1..1; ``about`` are the remaining fields of Clip."""
        clip = Clip(offset=self._end, length=len(samples), **about)  # type: ignore[arg-type]
        pcm = np.clip(np.round(samples * 32767), -32768, 32767).astype("<i2")
        self._audio.write(pcm.tobytes())
        self._audio.flush()
        self._index.write(json.dumps(asdict(clip), ensure_ascii=False) + "\n")
        self._index.flush()
        self._known[clip.id] = clip
        self._end += len(samples)


def read_index(folder: Path) -> list[Clip]:
    """All clips of a cache, in the order they were written."""
    return [
        Clip(**json.loads(line)) for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines() if line
    ]


class Cache:
    """Read access: ``clips`` and ``samples(clip)``."""

    def __init__(self, folder: Path) -> None:
        self.clips = read_index(folder)
        self._audio = np.memmap(folder / "audio.i16", dtype="<i2", mode="r")

    def samples(self, clip: Clip) -> NDArray[np.float32]:
        """Float32 samples [clip.length] in -1..1."""
        return self._audio[clip.offset : clip.offset + clip.length].astype(np.float32) / 32768.0
