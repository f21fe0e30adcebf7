"""The memory on disk: one Chroma collection per person, searched by cosine of sentence embeddings.

The only file that imports chromadb. It knows nothing of who speaks, of what deserves to be kept (extract.py) or of
how the words are used; it stores texts verbatim and never reads them as anything but data. Blocking: call it from
one worker thread. Thread-safe all the same. Try it: see tests/memory/test_store.py.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
from chromadb.config import Settings
from chromadb.errors import ChromaError, NotFoundError
from numpy.typing import NDArray

from memory.erase import scrub
from memory.lock import FolderLock
from memory.records import (
    BadMemoryError,
    EmbedTexts,
    Memory,
    Now,
    StoreDamagedError,
    StoreError,
    StoreLockedError,
    check_person,
    check_text,
)
from memory.third_person import as_told

__all__ = ["BadMemoryError", "Memory", "MemoryStore", "StoreDamagedError", "StoreError", "StoreLockedError"]

SAME = 0.97  # cosine from which two texts say the same, unless their telling words differ
RECENCY = 0.03  # what a memory of this moment gains over a very old one
HALF_LIFE_DAYS = 30.0
FLOOR = 0.25  # cosine below which nothing is recalled
Memories = list[Memory]
Batch = list[Memories]  # one row per question
Names = list[str]
Vectors = NDArray[np.float32]  # [n, d]
Rows = list[tuple[Memory, Any]]  # with vectors, float32 [d]
_PREFIX, _FRESH = "p-", ".new"
_CONFIGURATION: Any = {"hnsw": {"space": "cosine"}}
_TELLING = re.compile(
    r"\d+|\b(?:not?|never|nobody|nothing|without|un\w+|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|"
    r"twelve|\w+teen|\w+ty|hundred|thousand|half|quarter|\w+day|today|tonight|tomorrow|yesterday|week|month|year|"
    r"january|february|march|april|may|june|july|august|september|october|november|december)\b|n't\b"
)


class MemoryStore:
    """Everything remembered, of all persons, in one folder that this object owns until ``close``."""

    def __init__(self, folder: Path, embed: EmbedTexts, now: Now | None = None) -> None:
        """Open or create ``folder``.

        ``embed``: n texts -> float32 [n, d], normalised. ``now``: the caller's clock, aware; without one, memories
        carry no date and newer ones are not preferred. Raises StoreError (unwritable folder), StoreLockedError (another
        owner) and StoreDamagedError (unreadable database; nothing is changed on disk).
        """
        self.folder, self._embed, self._now = Path(folder), embed, now
        self._guard = threading.RLock()
        self._lock = FolderLock(self.folder)
        try:
            with self._errors("opened"):
                self._client = chromadb.PersistentClient(
                    str(self.folder), settings=Settings(anonymized_telemetry=False)
                )
                self._finish_rebuilds()
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        """Give the folder back; the store cannot be used afterwards. Harmless twice."""
        with self._guard:
            self._client.close()
            self._lock.release()

    def __enter__(self) -> MemoryStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def remember(self, person: str, texts: Sequence[str], session: str, source: str = "user") -> Memories:
        """Store ``texts``; what is known already is only dated anew. Returns one memory per text, in order.

        ``source`` becomes the memory's kind. All texts are checked before the first is stored (BadMemoryError).
        """
        check_person(person)
        checked = [check_text(text) for text in texts]
        if not checked:
            return []
        vectors = self._vectors([as_told(text) for text in checked])
        told = [Memory("", person, text, source, self._stamp(), session) for text in checked]
        with self._guard, self._errors("written"):
            return self._store(self._collection(person, create=True), told, vectors)

    def recall(self, person: str, query: str, k: int = 3, floor: float = FLOOR) -> Memories:
        """The up to ``k`` memories nearest to ``query``, best first, each with its cosine (>= ``floor``) as score.

        Order: cosine + RECENCY * 0.5 ** (age / 30 days).
        """
        check_person(person)
        if k < 1 or not query.strip():
            return []
        vector = self._vectors([query])
        with self._guard, self._errors("read"):
            collection = self._collection(person)
            if collection is None:
                return []
            found = self._nearest(collection, vector, count=4 * k + 12)[0]
        near = [memory for memory in found if memory.score >= floor]
        return sorted(near, key=lambda memory: -(memory.score + RECENCY * self._freshness(memory)))[:k]

    def list(self, person: str) -> Memories:
        """Everything remembered of ``person``, oldest first."""
        check_person(person)
        with self._guard, self._errors("read"):
            collection = self._collection(person)
            return [] if collection is None else [memory for memory, _ in _contents(collection)]

    def correct(self, person: str, id: str, text: str) -> Memory:
        """Replace the text of one memory and date it anew; BadMemoryError where there is no such id."""
        check_person(person)
        text = check_text(text)
        vector = self._vectors([as_told(text)])[0]
        with self._guard:
            old = next((memory for memory in self.list(person) if memory.id == id), None)
            if old is None:
                raise BadMemoryError(f"There is no memory {id!r} of {person!r}.", "List the memories to see their ids.")
            new = replace(old, text=text, created=self._stamp() or old.created)
            self._rebuild(person, lambda memory: memory.id != id, [(new, vector)])
        return new

    def forget(self, person: str, id: str | None = None, matching: str | None = None) -> int:
        """Erase one memory (``id``), all that contain ``matching`` (any case), or, with neither, all of ``person``.

        Returns how many went. Their words and vectors are gone from the disk when this returns.
        """
        check_person(person)
        if matching is not None and not matching.strip():
            raise BadMemoryError(
                "Nothing was named to be forgotten.", "Give some words of it, or leave them out for all."
            )
        needle = None if matching is None else matching.casefold()

        def stays(memory: Memory) -> bool:
            if id is None and needle is None:
                return False
            return (id is not None and memory.id != id) or (needle is not None and needle not in memory.text.casefold())

        with self._guard:
            gone = sum(not stays(memory) for memory in self.list(person))
            if gone or (id is None and needle is None):
                self._rebuild(person, stays, [])
        return gone

    def people(self) -> Names:
        """All persons something is (or may have been) remembered of, sorted."""
        with self._guard, self._errors("read"):
            names = [collection.name for collection in self._client.list_collections()]
        return sorted(_person(name) for name in names if name.startswith(_PREFIX) and not name.endswith(_FRESH))

    def export(self, person: str) -> dict[str, Any]:
        """All that is stored of ``person``, ready for JSON."""
        return {"person": person, "memories": [memory.as_dict() for memory in self.list(person)]}

    # inside: the caller holds the guard

    def _store(self, collection: Any, told: Memories, vectors: Vectors) -> Memories:
        """Add what is new of ``told`` in one write, date anew what is known; in the order given."""
        known = self._nearest(collection, vectors, count=3)
        result: Memories = []
        added: Rows = []
        dated: dict[str, Memory] = {}
        for new, vector, near in zip(told, vectors, known, strict=True):
            near = near + [replace(memory, score=float(vector @ other)) for memory, other in added]
            old = next((old for old in near if _same(old, new)), None)
            if old is None:
                result.append(replace(new, id=_fresh_id(new, len(added))))
                added.append((result[-1], vector))
            else:
                result.append(replace(old, created=new.created or old.created, session=new.session, score=0.0))
                dated[old.id] = result[-1]
        if dated := {id: memory for id, memory in dated.items() if id not in {row.id for row, _ in added}}:
            collection.update(ids=[*dated], metadatas=[_metadata(memory) for memory in dated.values()])
        _add(collection, added)
        return result

    def _nearest(self, collection: Any, vectors: Vectors, count: int) -> Batch:
        """For each vector [n, d] the nearest memories, nearest first, with their cosine as score."""
        total = collection.count()
        if not total:
            return [[] for _ in vectors]
        found = collection.query(
            query_embeddings=vectors, n_results=min(count, total), include=["documents", "metadatas", "distances"]
        )
        columns = (found["ids"], found["documents"], found["metadatas"], found["distances"])
        return [
            [_memory(id, text, data, 1.0 - float(far)) for id, text, data, far in zip(*row, strict=True)]
            for row in zip(*columns, strict=True)
        ]

    def _rebuild(self, person: str, stays: Callable[[Memory], bool], extra: Rows) -> None:
        """Write what stays (and ``extra``) into a fresh collection, put it in place of the old one, scrub the disk.

        Safe against a crash at any line: ``_finish_rebuilds`` completes or drops a half-made one.
        """
        name = _name(person)
        with self._errors("rewritten"):
            old = self._collection(person)
            rows = [row for row in (_contents(old) if old else []) if stays(row[0])] + extra
            if rows:
                self._drop(name + _FRESH)
                fresh = self._client.get_or_create_collection(
                    name + _FRESH, embedding_function=None, configuration=_CONFIGURATION
                )
                _add(fresh, rows)
            if old:
                self._client.delete_collection(name)
            if rows:
                fresh.modify(name=name)
            scrub(self.folder)

    def _finish_rebuilds(self) -> None:
        """After a crash: a fresh collection whose old one still stands is dropped, else takes its place."""
        names = {collection.name for collection in self._client.list_collections()}
        for fresh in [name for name in names if name.startswith(_PREFIX) and name.endswith(_FRESH)]:
            if fresh.removesuffix(_FRESH) in names:
                self._drop(fresh)
            else:
                self._client.get_collection(fresh, embedding_function=None).modify(name=fresh.removesuffix(_FRESH))

    def _drop(self, name: str) -> None:
        with suppress(NotFoundError):
            self._client.delete_collection(name)

    def _collection(self, person: str, create: bool = False) -> Any:
        """The person's collection; None where there is none and none is to be made."""
        if create:
            return self._client.get_or_create_collection(
                _name(person), embedding_function=None, configuration=_CONFIGURATION
            )
        try:
            return self._client.get_collection(_name(person), embedding_function=None)
        except NotFoundError:
            return None

    def _vectors(self, texts: Names) -> Vectors:
        vectors = np.asarray(self._embed(texts), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            raise StoreError(
                f"The embedding gave {vectors.shape} for {len(texts)} texts.", "Use an embedding of finite [n, d]."
            )
        return vectors

    def _stamp(self) -> str:
        return self._now().isoformat(timespec="seconds") if self._now else ""

    def _freshness(self, memory: Memory) -> float:
        """1 for now, halved every HALF_LIFE_DAYS; 0 where a date is unknown."""
        if not self._now or not memory.created:
            return 0.0
        days = (self._now() - datetime.fromisoformat(memory.created)).total_seconds() / 86_400
        return float(0.5 ** (max(days, 0.0) / HALF_LIFE_DAYS))

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        """Turn what Chroma and sqlite raise into StoreErrors."""
        try:
            yield
        except (ChromaError, sqlite3.Error, OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            if "malformed" in reason or "not a database" in reason or "corrupt" in reason:
                raise StoreDamagedError(
                    f"The memory database in {self.folder} is damaged ({reason}).",
                    "Put back a copy of the folder, or move it away to begin anew.",
                ) from error
            raise StoreError(
                f"The memory in {self.folder} could not be {done} ({reason}).",
                "Check free space and permissions of the folder, then try again.",
            ) from error


def _name(person: str) -> str:
    """A collection name for a person: reversible, and safe for any id whatever its case or ends."""
    return _PREFIX + person.encode("ascii").hex()


def _person(name: str) -> str:
    return bytes.fromhex(name.removeprefix(_PREFIX)).decode("ascii")


def _same(old: Memory, new: Memory) -> bool:
    """Whether ``new`` says nothing that ``old`` (scored against it) does not say."""
    return old.score > SAME and _telling(old.text) == _telling(new.text)


def _telling(text: str) -> set[str]:
    """Words that make two like sentences say different things: numbers, days, negations, names."""
    low = text.lower()
    names = {word.strip(".,;:!?\"'").removesuffix("'s").lower() for word in text.split()[1:] if word[:1].isupper()}
    return set(_TELLING.findall(low)) | names


def _fresh_id(memory: Memory, place: int) -> str:
    """An id made of the content and its place in the batch, so that equal histories give equal stores.

    Two different memories of one person share one with a chance of 2**-64.
    """
    told = "\0".join((memory.person, memory.session, memory.created, str(place), memory.text))
    return hashlib.blake2s(told.encode(), digest_size=8).hexdigest()


def _metadata(memory: Memory) -> dict[str, str]:
    data = memory.as_dict()
    return {name: data[name] for name in ("person", "kind", "created", "session")}


def _memory(id: str, text: str, data: dict[str, str], score: float = 0.0) -> Memory:
    return Memory(id, data["person"], text, data["kind"], data["created"], data["session"], score)


def _add(collection: Any, rows: Rows) -> None:
    """Add rows in batches that Chroma accepts."""
    for start in range(0, len(rows), 1000):
        batch = rows[start : start + 1000]
        collection.add(
            ids=[memory.id for memory, _ in batch],
            documents=[memory.text for memory, _ in batch],
            metadatas=[_metadata(memory) for memory, _ in batch],
            embeddings=np.stack([vector for _, vector in batch]),
        )


def _contents(collection: Any) -> Rows:
    """All memories with their vectors, oldest first."""
    got = collection.get(include=["documents", "metadatas", "embeddings"])
    rows = [
        (_memory(id, text, data), vector)
        for id, text, data, vector in zip(
            got["ids"], got["documents"], got["metadatas"], got["embeddings"], strict=True
        )
    ]
    return sorted(rows, key=lambda row: (row[0].created, row[0].id))
