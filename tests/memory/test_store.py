"""The store on real Chroma folders, with a bag-of-words embedding that needs no weights."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from numpy.typing import NDArray

from memory.records import BadMemoryError, StoreDamagedError, StoreError, StoreLockedError
from memory.store import MemoryStore

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def words(texts: list[str]) -> NDArray[np.float32]:
    """A bag of hashed words, [n, 384], normalised: same words, same place."""
    out = np.full((len(texts), 384), 1e-3, np.float32)
    for row, text in zip(out, texts, strict=True):
        for word in text.lower().replace(".", "").split():
            row[crc32(word.encode()) % 384] += 1
    return out / np.linalg.norm(out, axis=1, keepdims=True)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def store(tmp_path: Path):
    with MemoryStore(tmp_path / "memory", words, Clock()) as store:
        yield store


def texts(memories) -> list[str]:
    return [memory.text for memory in memories]


def test_what_was_remembered_is_recalled_best_first(store):
    store.remember("ann", ["The user's dog is called Benno.", "The user lives in Cork."], session="s1")
    found = store.recall("ann", "what is my dog called", k=1)
    assert texts(found) == ["The user's dog is called Benno."]
    assert 0.25 < found[0].score <= 1
    assert found[0].session == "s1"
    assert found[0].kind == "user"


def test_persons_are_apart(store):
    store.remember("ann", ["The user's dog is called Benno."], session="s1")
    assert store.recall("Ann", "dog called Benno") == []
    assert store.list("bob") == []
    assert store.people() == ["ann"]


def test_irrelevant_memories_stay_away(store):
    store.remember("ann", ["The user's dog is called Benno."], session="s1")
    assert store.recall("ann", "tax return deadline") == []
    assert store.recall("ann", "  ") == []
    assert store.recall("ann", "dog", k=0) == []


def test_told_twice_is_dated_anew(store):
    first = store.remember("ann", ["The user lives in Cork."], session="s1")[0]
    store._now.time += timedelta(days=3)
    again = store.remember("ann", ["The user lives in Cork."], session="s2")[0]
    assert again.id == first.id
    assert again.created > first.created
    assert again.session == "s2"
    assert store.list("ann") == [again]


def test_other_number_is_another_memory(tmp_path):
    def blunt(texts: list[str]) -> NDArray[np.float32]:
        return np.tile(np.eye(1, 384, dtype=np.float32), (len(texts), 1))

    with MemoryStore(tmp_path, blunt) as store:
        store.remember("ann", ["The code is three one.", "The code is three two.", "The code is three two."], "s")
        assert len(store.list("ann")) == 2


def test_newer_wins_among_equals(store):
    store.remember("ann", ["dentist on monday"], session="s1")
    store._now.time += timedelta(days=60)
    store.remember("ann", ["dentist on friday"], session="s2")
    assert texts(store.recall("ann", "dentist on", k=1)) == ["dentist on friday"]


def test_correct_replaces_the_text(store):
    memory = store.remember("ann", ["The user lives in Cork.", "The user has a cat."], session="s1")[0]
    new = store.correct("ann", memory.id, "The user lives in Ennis.")
    assert new.id == memory.id
    assert set(texts(store.list("ann"))) == {"The user lives in Ennis.", "The user has a cat."}
    assert texts(store.recall("ann", "lives in Ennis", k=1)) == ["The user lives in Ennis."]
    with pytest.raises(BadMemoryError):
        store.correct("ann", "nothing", "x")


def test_forget_one_matching_all(store):
    ids = [m.id for m in store.remember("ann", ["red apples", "green apples", "blue sky", "grey sky"], "s")]
    assert store.forget("ann", id=ids[0]) == 1
    assert store.forget("ann", id=ids[0]) == 0
    assert store.forget("ann", matching="APPLES") == 1
    assert set(texts(store.list("ann"))) == {"blue sky", "grey sky"}
    assert store.forget("ann") == 2
    assert store.people() == []
    assert store.forget("ann") == 0


def test_forgetting_nothing_named_is_refused(store):
    store.remember("ann", ["red apples"], "s")
    with pytest.raises(BadMemoryError):
        store.forget("ann", matching=" ")
    assert len(store.list("ann")) == 1


def on_disk(folder: Path, data: bytes) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and data in path.read_bytes()]


@pytest.mark.parametrize("count", [3, pytest.param(1_100, marks=pytest.mark.slow)], ids=["queued", "indexed"])
def test_forgotten_words_and_vectors_are_gone_from_disk(store, count):
    told = [f"zanzibar{i}x secret{i}" for i in range(count)]
    ids = [memory.id for memory in store.remember("ann", told, "s")]
    assert on_disk(store.folder, b"zanzibar1x")
    store.forget("ann", id=ids[1])
    assert not on_disk(store.folder, b"zanzibar1x")
    assert not on_disk(store.folder, ids[1].encode())
    assert not on_disk(store.folder, words([told[1]])[0].tobytes())
    assert on_disk(store.folder, b"zanzibar2x")
    assert len(store.list("ann")) == count - 1
    assert texts(store.recall("ann", told[2], k=1)) == [told[2]]
    store.forget("ann")
    assert not on_disk(store.folder, b"zanzibar")


def test_bad_persons_and_texts_change_nothing(store):
    for person in ("", "a b", "../x", "ä", "x" * 65, "a\n"):
        with pytest.raises(BadMemoryError):
            store.remember(person, ["x"], "s")
    for text in ("", "  ", "x" * 2001, "a\0b", "\ud800"):
        with pytest.raises(BadMemoryError):
            store.remember("ann", ["fine", text], "s")
    assert store.list("ann") == []


@pytest.mark.parametrize("person", ["a", ".", "..", "-", "_", "A.b-c_D", "x" * 64])
def test_any_allowed_person_id_works(store, person):
    store.remember(person, ["x"], "s")
    assert store.people() == [person]
    assert len(store.list(person)) == 1


def test_broken_embedding_leaves_the_store_as_it_was(store):
    store.remember("ann", ["red apples"], "s")
    good, store._embed = store._embed, lambda texts: np.full((len(texts), 384), np.nan, np.float32)
    with pytest.raises(StoreError):
        store.remember("ann", ["blue sky"], "s")
    store._embed = good
    assert texts(store.recall("ann", "red apples")) == ["red apples"]


def test_other_width_is_an_error_and_harmless(store):
    store.remember("ann", ["red apples"], "s")
    good, store._embed = store._embed, lambda texts: np.ones((len(texts), 5), np.float32)
    with pytest.raises(StoreError) as caught:
        store.remember("ann", ["blue sky"], "s")
    assert caught.value.wrong
    assert caught.value.mend
    assert caught.value.code == "memory_unusable"
    store._embed = good
    assert texts(store.list("ann")) == ["red apples"]


def test_one_owner_at_a_time(store):
    with pytest.raises(StoreLockedError, match="in use by process"):
        MemoryStore(store.folder, words)
    store.close()
    MemoryStore(store.folder, words).close()


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        MemoryStore(tmp_path / "file" / "memory", words)


@pytest.mark.parametrize("damage", [lambda data: b"garbage" * 500, lambda data: data[: len(data) // 2]])
def test_damaged_database(tmp_path, damage):
    with MemoryStore(tmp_path, words) as store:
        store.remember("ann", ["red apples"], "s")
    database = tmp_path / "chroma.sqlite3"
    broken = damage(database.read_bytes())
    database.write_bytes(broken)
    with pytest.raises(StoreDamagedError), MemoryStore(tmp_path, words) as store:
        store.list("ann")
    assert len(database.read_bytes()) == len(broken)


def test_half_made_rebuilds_are_finished(tmp_path):
    with MemoryStore(tmp_path, words) as store:
        store.remember("ann", ["red apples"], "s")
        store.remember("bob", ["blue sky"], "s")
        store._client.get_collection("p-616e6e", embedding_function=None).modify(name="p-616e6e.new")
        store._client.get_or_create_collection("p-626f62.new", embedding_function=None)
    with MemoryStore(tmp_path, words) as store:
        assert texts(store.list("ann")) == ["red apples"]
        assert texts(store.list("bob")) == ["blue sky"]
        assert store.people() == ["ann", "bob"]


def test_export_is_json_and_whole(store):
    store.remember("ann", ["red apples"], "s1", source="agent")
    told = json.loads(json.dumps(store.export("ann")))
    assert told["person"] == "ann"
    assert set(told["memories"][0]) == {
        "id",
        "person",
        "text",
        "kind",
        "created",
        "session",
    }
    assert told["memories"][0]["kind"] == "agent"
    assert told["memories"][0]["created"] == NOON.isoformat()


CHILD = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[2]]
from tests.memory.test_store import words
from memory.store import MemoryStore
with MemoryStore(Path(sys.argv[1]), words) as store:
    store.remember("ann", ["The user's dog is called Benno."], session="s1")
"""


def test_the_next_process_remembers(tmp_path):
    subprocess.run([sys.executable, "-c", CHILD, str(tmp_path), str(ROOT)], check=True, cwd=ROOT)
    with MemoryStore(tmp_path, words) as store:
        assert texts(store.recall("ann", "dog called")) == ["The user's dog is called Benno."]


def test_threads_may_share_it(store):
    def tell(who: int) -> None:
        for i in range(10):
            store.remember("ann", [f"thread{who} says item{i}"], session=f"s{who}")
            store.recall("ann", f"thread{who} item{i}")

    threads = [threading.Thread(target=tell, args=(who,)) for who in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.list("ann")) == 30
