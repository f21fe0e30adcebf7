"""Seeing, correcting, taking along and erasing everything of one person."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memory import rights
from memory.records import BadMemoryError
from memory.store import MemoryStore
from tests.memory.test_store import words


@pytest.fixture
def store(tmp_path: Path):
    with MemoryStore(tmp_path / "memory", words) as store:
        store.remember("ann", ["red apples", "blue sky"], "s1")
        store.remember("bob", ["green grass"], "s2")
        yield store


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    folder = tmp_path / "traces"
    folder.mkdir()
    for session, person in (("s1", "ann"), ("s2", "bob"), ("s3", "ann")):
        lines = [{"kind": "header"}, {"kind": "Session", "person": person}, {"kind": "Closed"}]
        (folder / f"{session}.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n{torn")
    (folder / "broken.jsonl").write_bytes(b"\xff\x00")
    return folder


def test_list_and_correct(store):
    first = next(m for m in rights.list_all(store, "ann") if m.text == "red apples")
    rights.correct(store, "ann", first.id, "yellow apples")
    assert {m.text for m in rights.list_all(store, "ann")} == {"yellow apples", "blue sky"}


def test_export_takes_everything_along(store, traces):
    told = json.loads(json.dumps(rights.export_all(store, "ann", [rights.TraceFiles(traces)])))
    assert {memory["text"] for memory in told["memories"]} == {"red apples", "blue sky"}
    assert set(told["traces"]) == {"s1", "s3"}
    assert told["traces"]["s1"][-1] == "{torn"


def test_forget_all_erases_memory_traces_and_what_hangs_on_them(store, traces):
    dropped: list[str] = []
    gone = rights.forget_all(store, "ann", [rights.TraceFiles(traces, also=[dropped.append])])
    assert gone == {"memories": 2, "traces": 2}
    assert dropped == ["s1", "s3"]
    assert sorted(path.name for path in traces.iterdir()) == ["broken.jsonl", "s2.jsonl"]
    assert [m.text for m in store.list("bob")] == ["green grass"]
    assert rights.forget_all(store, "ann", [rights.TraceFiles(traces)]) == {"memories": 0, "traces": 0}


def test_no_traces_folder_is_no_fault(store, tmp_path):
    assert rights.TraceFiles(tmp_path / "nowhere").forget("ann") == 0


def test_a_bad_person_touches_nothing(store, traces):
    with pytest.raises(BadMemoryError):
        rights.forget_all(store, "../ann", [rights.TraceFiles(traces)])
    assert len(store.list("ann")) == 2
