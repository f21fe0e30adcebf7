"""Makes what was deleted from a Chroma folder really gone from the disk.

Chroma's own delete leaves the words in its write-ahead queue, in free database pages and in the index folder of
a dropped collection. This knows Chroma's tables by name and nothing else of the house; it is used by store.py
after a deletion, on a database nobody else has open. Seen with chromadb 1.5; other layouts are left as they are.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

DATABASE = "chroma.sqlite3"


def scrub(folder: Path) -> None:
    """Purge the queue, the free pages and the index folders of collections that no longer exist.

    Raises sqlite3.Error where the database cannot be rewritten (a full disk, damage).
    """
    with closing(sqlite3.connect(folder / DATABASE, timeout=10)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        database.execute("PRAGMA secure_delete = ON")
        if {"embeddings_queue", "collections"} <= tables:
            _purge_queue(database)
        if "embedding_fulltext_search" in tables:
            database.execute("INSERT INTO embedding_fulltext_search(embedding_fulltext_search) VALUES ('optimize')")
        database.commit()
        database.execute("VACUUM")
        if "segments" in tables:
            _drop_orphans(folder, {name for (name,) in database.execute("SELECT id FROM segments")})


def _purge_queue(database: sqlite3.Connection) -> None:
    """Remove queued writes (which hold the words) to collections that are gone."""
    alive = {name for (name,) in database.execute("SELECT id FROM collections")}
    topics = [name for (name,) in database.execute("SELECT DISTINCT topic FROM embeddings_queue")]
    dead = [(topic,) for topic in topics if topic.rsplit("/", 1)[-1] not in alive]
    database.executemany("DELETE FROM embeddings_queue WHERE topic = ?", dead)


def _drop_orphans(folder: Path, alive: set[str]) -> None:
    """Remove index folders (named by UUID) that no segment owns: they hold vectors of what was said."""
    for path in folder.iterdir():
        if path.is_dir() and path.name not in alive and _is_uuid(path.name):
            shutil.rmtree(path, ignore_errors=True)  # held open on Windows: goes with the next deletion


def _is_uuid(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
