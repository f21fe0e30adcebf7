"""Every decision replays to the bit; damage is named by line; sound never enters."""

import contextlib
import json
import random
from pathlib import Path

import numpy as np
import pytest

from agent.trace import TraceError, TraceWriter, read, replay
from tests.agent.rehearsal import PauseJudge, rehearsal


async def recorded(home: Path) -> Path:
    async with rehearsal(home, traced=True) as talk:
        await talk.until_reply()
        await talk.hush(0.5)
        await talk.say(0.6)
        await talk.hush(1)
        talk.session.auto = False  # from here on decisions are not carried out
        await talk.session.cancel()
        await talk.say(0.6)
        await talk.hush(1)
    return home / "traces" / "s1.jsonl"


async def test_a_conversation_replays_to_the_bit(tmp_path: Path):
    path = await recorded(tmp_path)
    report = replay(path, PauseJudge())
    assert report.is_exact
    assert report.chunks > 15
    assert report.first_difference == ""


async def test_another_judge_differs_and_the_first_chunk_is_named(tmp_path: Path):
    report = replay(await recorded(tmp_path), PauseJudge("refuse"))
    assert 0 < report.same < report.chunks
    assert "respond" in report.first_difference
    assert "refuse" in report.first_difference


async def test_what_chunks_share_is_written_once_and_read_everywhere(tmp_path: Path):
    path = await recorded(tmp_path)
    raw = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    chunks = [line for line in raw if line["kind"] == "ChunkJudged"]
    assert sum("persona" in line["situation"] for line in chunks) == 1
    assert all(line["situation"]["persona"]["name"] == "Test" for line in read(path) if line["kind"] == "ChunkJudged")
    assert raw[0]["versions"]["numpy"] == np.__version__
    assert raw[1]["person"] == "ann"


async def test_no_sound_is_kept(tmp_path: Path):
    path = await recorded(tmp_path)
    lines = [line for line in read(path) if line["kind"] in ("AudioSent", "ReplyPiece")]
    assert all(line["samples"] > 0 for line in lines)
    assert "pcm" not in path.read_text(encoding="utf-8")


async def test_two_runs_write_the_same_trace(tmp_path: Path):
    one, other = await recorded(tmp_path / "a"), await recorded(tmp_path / "b")
    assert one.read_bytes() == other.read_bytes()


def test_an_unwritable_folder_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(TraceError, match="cannot be written"):
        TraceWriter(tmp_path / "file", "s")


@pytest.mark.parametrize(
    "content",
    ["", "no json\n", "[]\n", '{"a": 1}\n', '{"kind": "header"}\n{"kind": "ChunkJudged"}\n', "\xff", "[" * 100_000],
)
def test_a_damaged_trace_is_one_clear_line(tmp_path: Path, content: str):
    path = tmp_path / "t.jsonl"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(TraceError) as caught:
        replay(path, PauseJudge())
    assert "\n" not in str(caught.value)
    with pytest.raises(TraceError):
        replay(tmp_path / "absent.jsonl", PauseJudge())


async def test_no_damage_does_more_than_a_trace_error(tmp_path: Path):
    whole = (await recorded(tmp_path)).read_bytes()
    whole = whole[: whole.index(b"\n", 12_000) + 1]
    dice, path = random.Random(7), tmp_path / "damaged.jsonl"
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(dice.randrange(1, 4)):
            at, length = dice.randrange(len(damaged)), dice.choice([0, 1, 1, 5, 300])
            damaged[at : at + length] = dice.choice([b"", b"9", b"null", b'"', b"\n", b"[", b"\xff", dice.randbytes(3)])
        path.write_bytes(damaged)
        with contextlib.suppress(TraceError):
            replay(path, PauseJudge())
