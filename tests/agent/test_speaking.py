"""Replies that are cut, stall, fail or are remembered: what left, what was heard, and what the log says."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from agent.events import (
    AudioSent,
    ChunkJudged,
    Failed,
    MemoryRecalled,
    MemoryWritten,
    ReplyDone,
    ReplyPiece,
    ReplyStarted,
    TurnTimed,
)
from memory.records import Memory
from memory.store import MemoryStore
from model.interface import Piece, ReplyPrompt
from policies.situation import Floor
from tests.agent.rehearsal import Rehearsal, rehearsal
from tests.agent.tiny_engine import TinyListener, TinyModel
from tests.memory.test_store import words


async def barge_in_at(talk: Rehearsal, seconds: float) -> ReplyDone:
    """A turn, its reply, and the user's words so many seconds after it began."""
    await talk.until_reply()
    await talk.hush(seconds)
    await talk.say(0.48)
    await talk.hush(0.1)
    return talk.told(ReplyDone)[-1]


def check_cut(talk: Rehearsal, done: ReplyDone) -> None:
    """Wire, history and playback agree on what was heard, and nothing left after the cut."""
    at = talk.events.index(done)
    assert not [e for e in talk.events[at:] if isinstance(e, (AudioSent, ReplyPiece)) and e.reply == done.reply]
    ends = [e.piece.word_ends[0] for e in talk.told(ReplyPiece) if e.reply == done.reply]
    words = done.text.split()
    assert done.heard_text.split() == [w for w, end in zip(words, ends, strict=True) if end <= done.played]
    first = next(e.at_ms for e in talk.told(AudioSent) if e.reply == done.reply)
    assert done.played == pytest.approx(min((done.at_ms - first) * 16, ends[-1]), abs=16)
    said = [s for s in talk.session.history if s.who == "agent"]
    if done.heard_text:
        assert (said[-1].text, said[-1].cut) == (done.heard_text, done.status == "cut")
    sent = talk.sent(done.reply)
    assert len(sent) <= done.played + 0.4 * 16_000 + 16


async def test_a_barge_in_at_any_time_is_exact(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        for tenth in range(0, 20, 3):
            check_cut(talk, await barge_in_at(talk, tenth / 10))


@pytest.mark.slow
async def test_a_barge_in_every_20_ms_is_exact(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        for step in range(110):
            check_cut(talk, await barge_in_at(talk, step / 50))


async def test_no_piece_in_time_is_a_failure_and_the_floor_is_free(tmp_path: Path):
    gate = threading.Event()

    class Stalls(TinyModel):
        def open(self, seed: int) -> TinyListener:
            return StallsListener(self)

    class StallsListener(TinyListener):
        def reply(self, prompt: ReplyPrompt) -> Iterator[Piece]:
            gate.wait(20)
            return super().reply(prompt)

    async with rehearsal(tmp_path, model=Stalls(), patience=1.0) as talk:
        reply = await talk.session.respond(text="hello")
        await talk.clock.advance(10.5)
        done = talk.told(ReplyDone)[0]
        assert (done.reply, done.status, done.reason) == (reply, "failed", "reply_stalled")
        assert talk.told(Failed)[0].code == "reply_stalled"
        assert talk.session.floor == Floor.NOBODY
        await talk.session.respond(text="still there")
        await talk.clock.advance(10.5)
        assert [e.reason for e in talk.told(ReplyDone)] == ["reply_stalled"] * 2
        gate.set()
        talk.clock._patience = 30.0
        await talk.session.respond(text="again")
        await talk.hush(3)
        assert talk.told(ReplyDone)[2].status == "completed"


@pytest.mark.parametrize("where", ["reply", "hear"])
async def test_an_engine_that_fails_does_not_end_the_session(tmp_path: Path, where: str):
    async with rehearsal(tmp_path) as talk:
        listener = talk.session._ears._listener
        works = getattr(listener, where)

        def broken(*_: object) -> None:
            raise RuntimeError("the user said something secret")

        setattr(listener, where, broken)
        await talk.session.respond(text="hello")
        await talk.hush(1)
        assert [e.code for e in talk.told(Failed)] == ["engine_error"]
        assert "secret" not in talk.told(Failed)[0].message
        setattr(listener, where, works)
        await talk.hush(3)
        await talk.until_reply()
        await talk.hush(3)
        assert talk.told(ReplyDone)[-1].status == "completed"
        assert talk.told(ChunkJudged)


async def test_a_piece_that_breaks_the_contract_fails_the_reply(tmp_path: Path):
    class Gap(TinyListener):
        def reply(self, prompt: ReplyPrompt) -> Iterator[Piece]:
            for piece in super().reply(prompt):
                yield piece.model_copy(update={"offset": piece.offset * 2})

    class Gaps(TinyModel):
        def open(self, seed: int) -> TinyListener:
            return Gap(self)

    async with rehearsal(tmp_path, model=Gaps()) as talk:
        await talk.session.respond(text="hello")
        await talk.hush(1)
        assert talk.told(Failed)[0].code == talk.told(ReplyDone)[0].reason == "bad_piece"


async def test_an_endless_reply_ends(tmp_path: Path):
    class Endless(TinyListener):
        def reply(self, prompt: ReplyPrompt) -> Iterator[Piece]:
            size = 16_000 * 10
            for n in range(10**6):
                yield Piece(
                    text="on",
                    word_ends=((n + 1) * size,),
                    units=(),
                    pcm=np.zeros(size, np.float32),
                    emotion="calm",
                    offset=n * size,
                )

    class Model(TinyModel):
        def open(self, seed: int) -> TinyListener:
            return Endless(self)

    async with rehearsal(tmp_path, model=Model()) as talk:
        await talk.session.respond(text="hello")
        await talk.clock.advance(170)
        assert len(talk.told(ReplyPiece)) <= 18
        await talk.clock.advance(20)
        assert talk.told(ReplyDone)[0].played == 180 * 16_000


async def test_the_engine_is_closed_before_it_speaks_again(tmp_path: Path):
    log: list[str] = []

    class Logs(TinyListener):
        def reply(self, prompt: ReplyPrompt) -> Iterator[Piece]:
            log.append("open")
            try:
                yield from super().reply(prompt)
            finally:
                log.append("closed")

    class Model(TinyModel):
        def open(self, seed: int) -> TinyListener:
            return Logs(self)

    async with rehearsal(tmp_path, model=Model(words="on " * 20, word_s=0.9)) as talk:
        for text in ("one", "two", "three"):
            await talk.session.respond(text=text)
            await talk.hush(0.5)
    assert log == ["open", "closed"] * 3


async def test_the_client_knows_better_what_it_played(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        reply = await talk.session.respond(text="hello")
        await talk.hush(0.7)
        await talk.session.cancel()
        assert talk.session.history[-1].text == "one two"
        talk.session.acknowledge(reply, 4000)
        assert talk.session.history[-1].text == "one"
        talk.session.acknowledge(reply, 0)
        assert [s.who for s in talk.session.history] == ["user"]


async def test_the_ledger_of_a_turn(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        await barge_in_at(talk, 0.8)
        times = talk.told(TurnTimed)[0]
        assert times.user_stopped_ms == pytest.approx(800, abs=33)
        assert times.decided_ms == times.first_audio_ms == pytest.approx(talk.told(ReplyStarted)[0].at_ms, abs=1)
        assert times.barge_in_ms is not None
        assert times.silent_ms is not None
        assert 0 < times.silent_ms - times.barge_in_ms <= 500


class Notebook:
    """A memory in a list; what is asked of a store, without a disk."""

    def __init__(self) -> None:
        self.kept: list[str] = ["The user's dog is called Benno."]

    def remember(self, person: str, texts: Sequence[str], session: str) -> list[Memory]:
        self.kept += texts
        return [self._memory(person, text) for text in texts]

    def recall(self, person: str, query: str, k: int = 3) -> list[Memory]:
        return [self._memory(person, text) for text in self.kept[:k]]

    def close(self) -> None:
        self.kept.clear()

    def _memory(self, person: str, text: str) -> Memory:
        return Memory(id="m", person=person, text=text, kind="fact", created="", session="s")


async def test_memory_is_recalled_before_and_written_after(tmp_path: Path):
    notebook = Notebook()
    async with rehearsal(tmp_path, memory=notebook) as talk:
        await talk.session.respond(text="my name is Ann and I have a cat called Tilly")
        await talk.hush(3)
        assert talk.told(MemoryRecalled)[0].texts == ("The user's dog is called Benno.",)
        written = talk.told(MemoryWritten)[0].texts
        assert any("Tilly" in text for text in written)
        await talk.say(1)
        assert talk.told(ChunkJudged)[-1].situation.memory


async def test_a_memory_that_fails_does_not_keep_the_agent_from_speaking(tmp_path: Path):
    class Broken(Notebook):
        def recall(self, person: str, query: str, k: int = 3) -> list[Memory]:
            raise OSError("disk")

    async with rehearsal(tmp_path, memory=Broken()) as talk:
        await talk.session.respond(text="hello there my old friend")
        await talk.hush(3)
        assert talk.told(Failed)
        assert talk.told(ReplyDone)[0].status == "completed"


async def test_a_fact_told_in_one_session_is_known_in_the_next(tmp_path: Path):
    for id, text in (("s1", "my dog is called Benno"), ("s2", "what is my dog called")):
        store = MemoryStore(tmp_path / "memory", words)
        async with rehearsal(tmp_path, memory=store, id=id) as talk:
            await talk.session.respond(text=text)
            await talk.hush(3)
            recalled = [fact for event in talk.told(MemoryRecalled) for fact in event.texts]
    assert any("Benno" in fact for fact in recalled)
