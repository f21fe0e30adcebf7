"""The graphs walk their nodes; checkpoints outlive sessions, stay small, and say so when they are broken."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from agent.graph import CheckpointError, Graphs
from tests.agent.rehearsal import rehearsal


class Walked:
    """A room that notes where it was led."""

    def __init__(self, way: str = "listen") -> None:
        self.steps: list[str] = []
        self.way = way

    def __getattr__(self, name: str) -> Any:
        async def step(_: object) -> Any:
            self.steps.append(name)
            return {"decide": self.way, "remember": {"n": len(self.steps)}}.get(name)

        return step


@pytest.mark.parametrize("way", ["listen", "take_floor", "yield_floor"])
async def test_a_chunk_goes_one_of_three_ways(tmp_path: Path, way: str):
    graphs, room = Graphs(tmp_path), Walked(way)
    graphs.rooms["s"] = room  # type: ignore[assignment]
    await graphs.on_chunk("s", 0)
    assert room.steps == ["hear", "judge", "decide", way]


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
async def test_one_checkpoint_is_kept_however_long_the_conversation(tmp_path: Path, kind: str):
    graphs, room = Graphs(tmp_path, kind), Walked()
    graphs.rooms["s"] = room  # type: ignore[assignment]
    await graphs.open()
    for n in range(5):
        await graphs.on_turn("s", f"r{n}")
    await graphs.save("s", {"n": 99})
    assert room.steps[:4] == ["recall", "plan", "speak", "remember"]
    assert await graphs.resume("s") == {"n": 99}
    assert await graphs.resume("other") is None
    saver: Any = graphs._saver
    assert len([c async for c in saver.alist({"configurable": {"thread_id": "s"}})]) == 1
    await graphs.forget("s")
    assert await graphs.resume("s") is None
    await graphs.close()


async def test_history_is_taken_up_again_after_a_restart(tmp_path: Path):
    async with rehearsal(tmp_path, checkpoints="sqlite") as talk:
        await talk.until_reply()
        await talk.hush(0.8)
        await talk.session.cancel()
        before = talk.session.history
    async with rehearsal(tmp_path, checkpoints="sqlite") as talk:
        assert talk.session.history == before
        await talk.session.respond(text="and now")
        await talk.hush(3)
        assert len(talk.session.history) == len(before) + 2
    async with rehearsal(tmp_path, checkpoints="sqlite", id="other") as talk:
        assert talk.session.history == ()


async def test_a_killed_session_resumes_from_its_last_turn(tmp_path: Path):
    async with rehearsal(tmp_path, checkpoints="sqlite") as talk:
        await talk.session.respond(text="hello")
        await talk.hush(3)
        kept = await talk.parts.graphs.resume("s1")
        assert kept is not None
        assert [s["who"] for s in kept["history"]] == ["user", "agent"]


async def test_a_corrupt_file_is_one_clear_line(tmp_path: Path):
    (tmp_path / "checkpoints.sqlite").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(CheckpointError) as caught:
        await Graphs(tmp_path, "sqlite").open()
    assert "checkpoints.sqlite" in caught.value.wrong
    assert "move that file away" in caught.value.mend


async def test_a_corrupt_entry_is_one_clear_line(tmp_path: Path):
    async with rehearsal(tmp_path, checkpoints="sqlite") as talk:
        await talk.session.respond(text="hello")
        await talk.hush(3)
    with sqlite3.connect(tmp_path / "checkpoints.sqlite") as database:
        database.execute("UPDATE checkpoints SET checkpoint = x'c1c1c1'")
    database.close()
    graphs = Graphs(tmp_path, "sqlite")
    await graphs.open()
    with pytest.raises(CheckpointError):
        await graphs.resume("s1")
    await graphs.close()


@pytest.mark.parametrize("kind", ["paper", "redis://x"])
async def test_an_unknown_place_is_named(tmp_path: Path, kind: str):
    with pytest.raises(CheckpointError, match=kind):
        await Graphs(tmp_path, kind).open()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(CheckpointError, match="cannot be used"):
        await Graphs(tmp_path / "file" / "home", "sqlite").open()
