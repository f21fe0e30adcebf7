"""User turns: where they begin and end, what becomes of words over a reply, when memory is asked."""

import asyncio
from pathlib import Path

import pytest

from agent.events import (
    ChunkJudged,
    ReplyDone,
    ReplyStarted,
    SpeechStarted,
    SpeechStopped,
    TranscriptGrew,
    UserTurnDone,
)
from policies.situation import Floor
from tests.agent.rehearsal import PauseJudge, rehearsal
from tests.agent.tiny_engine import TinyModel


@pytest.mark.parametrize("before", [0.16, 0.4, 0.72])
async def test_a_turn_begins_and_ends_where_speech_does(tmp_path: Path, before: float):
    async with rehearsal(tmp_path) as talk:
        await talk.hush(before)
        await talk.say(0.8)
        await talk.hush(1)
        started, stopped = talk.told(SpeechStarted)[0], talk.told(SpeechStopped)[0]
        assert started.start_ms == pytest.approx(before * 1000, abs=33)
        assert stopped.end_ms == pytest.approx((before + 0.8) * 1000, abs=33)
        assert stopped.end_ms - started.start_ms == pytest.approx(talk.told(UserTurnDone)[0].seconds * 1000, abs=1)


async def test_the_user_is_told_of_within_two_windows(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        await talk.hush(0.16)
        await talk.say(0.16)
        assert talk.told(SpeechStarted)[0].at_ms == 320
        assert talk.session.floor == Floor.USER


async def test_a_click_is_no_turn(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        await talk.say(0.03)
        await talk.hush(1)
        assert not talk.told(SpeechStarted)
        assert talk.session.floor == Floor.NOBODY
        await talk.hush(1)
        assert talk.told(ChunkJudged)[-1].situation.percept.transcript == ""


async def test_a_pause_keeps_the_turn_open(tmp_path: Path):
    async with rehearsal(tmp_path, judge=PauseJudge("silence")) as talk:
        await talk.say(0.5)
        await talk.hush(2)
        assert talk.session.floor == Floor.USER
        await talk.say(0.5)
        assert len(talk.told(SpeechStarted)) == 1
        situation = talk.told(ChunkJudged)[-1].situation
        assert situation.turn_s == pytest.approx(3.0, abs=0.2)
        assert len(situation.percept.transcript.split()) >= 6


async def test_words_over_a_reply_are_not_told_before_they_are_a_turn(tmp_path: Path):
    async with rehearsal(tmp_path, model=TinyModel(hears="mhm")) as talk:
        talk.session.may_interrupt_reply = False
        await talk.until_reply()
        grown = len(talk.told(TranscriptGrew))
        await talk.say(0.4)
        assert talk.session.floor == Floor.BOTH
        await talk.hush(0.4)
        assert talk.session.floor == Floor.AGENT
        assert len(talk.told(TranscriptGrew)) == grown
        assert len(talk.told(SpeechStarted)) == 1


async def test_many_words_over_a_reply_that_went_on_are_kept(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        talk.session.may_interrupt_reply = False
        await talk.until_reply()
        await talk.say(0.7)
        await talk.hush(3)
        assert talk.told(ReplyDone)[0].status == "completed"
        assert [said.who for said in talk.session.history] == ["user", "user", "agent"]
        assert len(talk.told(ReplyStarted)) == 1


async def test_who_speaks_when_the_reply_ends_has_the_floor(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        talk.session.may_interrupt_reply = False
        await talk.until_reply()
        await talk.hush(1.5)
        await talk.say(1)
        assert talk.told(ReplyDone)[0].status == "completed"
        assert talk.session.floor == Floor.USER
        order = [type(e) for e in talk.events if isinstance(e, (SpeechStarted, ReplyDone))]
        assert order == [SpeechStarted, ReplyDone, SpeechStarted]
        await talk.hush(1)
        assert len(talk.told(ReplyStarted)) == 2


async def test_no_task_is_left_behind(tmp_path: Path):
    before = asyncio.all_tasks()
    for n in range(10):
        async with rehearsal(tmp_path, id=f"s{n}") as talk:
            await talk.say(0.3)
            await talk.session.respond(text="hello")
            await talk.hush(0.2)
        assert not talk.parts.graphs.rooms
    assert asyncio.all_tasks() == before
