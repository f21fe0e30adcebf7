"""A conversation in virtual time: turns, barge-in, cancelling, typed turns, manual turns, closing."""

from pathlib import Path

import numpy as np
import pytest

from agent.audio import BadAudioError
from agent.events import (
    AudioSent,
    ChunkJudged,
    Closed,
    Failed,
    ReplyDone,
    ReplyPiece,
    ReplyStarted,
    SpeechStarted,
    SpeechStopped,
    TranscriptGrew,
    TurnTimed,
    UserTurnDone,
)
from agent.session import SessionBusyError, SessionClosedError
from model.interface import CHUNK_SAMPLES
from policies.situation import Floor, Persona
from tests.agent.rehearsal import PERSONA, PauseJudge, rehearsal
from tests.agent.tiny_engine import TinyModel


async def test_a_turn_and_its_reply_in_order(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        await talk.until_reply()
        await talk.hush(3)
        ones = (ReplyPiece, AudioSent, ChunkJudged, TranscriptGrew)
        kinds = [type(e) for e in talk.events if not isinstance(e, ones)]
        assert kinds == [SpeechStarted, SpeechStopped, UserTurnDone, ReplyStarted, ReplyDone, TurnTimed]
        done = talk.told(ReplyDone)[0]
        assert (done.status, done.heard_text, done.played) == ("completed", done.text, 32_000)
        assert [(s.who, s.cut) for s in talk.session.history] == [("user", False), ("agent", False)]
        assert talk.session.floor == Floor.NOBODY


async def test_the_transcript_grows_to_what_the_turn_says(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        await talk.until_reply()
        grown = "".join(e.delta for e in talk.told(TranscriptGrew))
        done = talk.told(UserTurnDone)[0]
        assert done.transcript.startswith(grown)
        assert grown
        assert {e.item for e in talk.told(TranscriptGrew)} == {done.item} == {talk.told(SpeechStarted)[0].item}
        assert done.seconds == pytest.approx(0.8, abs=0.05)


async def test_chunks_are_judged_once_each_in_order(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        await talk.hush(0.1)
        await talk.session.feed(np.zeros(10 * CHUNK_SAMPLES, np.float32))
        await talk.clock.settle()
        assert [e.chunk for e in talk.told(ChunkJudged)] == list(range(10))


async def test_speech_started_comes_before_the_cut(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        await talk.until_reply()
        await talk.hush(0.5)
        await talk.say(0.8)
        ends = [type(e) for e in talk.events if isinstance(e, (SpeechStarted, ReplyDone))]
        assert ends == [SpeechStarted, SpeechStarted, ReplyDone]
        done = talk.told(ReplyDone)[0]
        assert (done.status, done.reason) == ("cut", "barge_in")
        assert talk.session.history[-1].text == done.heard_text
        assert talk.session.history[-1].cut
        assert talk.session.floor == Floor.USER


async def test_words_over_the_reply_belong_to_the_next_turn(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        await talk.until_reply()
        await talk.hush(0.5)
        await talk.say(0.8)
        await talk.hush(0.6)
        first, second = talk.told(UserTurnDone)
        assert second.item != first.item
        assert len(second.transcript.split()) >= 5


async def test_a_reply_of_which_nothing_was_heard_never_was(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        await talk.until_reply()
        first = talk.told(UserTurnDone)[0].transcript
        await talk.session.cancel(reason="barge_in")
        assert talk.told(ReplyDone)[0].heard_text == ""
        assert [said.who for said in talk.session.history] == ["user"]
        assert talk.session.history[0].text == first


async def test_going_on_before_the_reply_is_heard_makes_one_turn(tmp_path: Path):
    async with rehearsal(tmp_path, lead_s=0.08) as talk:
        talk.parts.model.word_s = 1.0  # no word ends before the barge-in
        await talk.until_reply()
        await talk.say(0.6)
        assert talk.told(ReplyDone)[0].heard_text == ""
        await talk.hush(0.6)
        assert [said.who for said in talk.session.history] == ["user"]
        both = [e.transcript for e in talk.told(UserTurnDone)]
        assert talk.session.history[0].text == " ".join(both)
        assert talk.told(ChunkJudged)[-1].situation.history == tuple(talk.session.history)


async def test_a_listeners_noise_does_not_stop_the_reply(tmp_path: Path):
    async with rehearsal(tmp_path, model=TinyModel(hears="mhm")) as talk:
        await talk.until_reply()
        await talk.hush(0.3)
        await talk.say(0.3)
        await talk.hush(3)
        assert talk.told(ReplyDone)[0].status == "completed"
        assert len(talk.told(SpeechStarted)) == len(talk.told(UserTurnDone)) == 1
        assert talk.session.floor == Floor.NOBODY
        assert talk.told(ChunkJudged)[-1].situation.percept.transcript == ""


async def test_overlap_ducks_and_comes_back(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        talk.parts.model.word_s = 0.5
        await talk.until_reply()
        await talk.hush(0.5)
        at = len(talk.sent(talk.told(ReplyStarted)[0].reply))
        await talk.say(0.1)
        await talk.hush(4)
        moves = {e.decision.move for e in talk.told(ChunkJudged)}
        sent = talk.sent(talk.told(ReplyStarted)[0].reply)
        steps = sent[at:].reshape(-1, 80).max(axis=1)
        full = np.round(sent * 64) / 64
        assert ("duck" in moves) == (np.abs(sent - full).max() > 0.005)
        assert steps[-1] == pytest.approx(full[-1])


async def test_cancelling_twice_is_cancelling_once(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        await talk.until_reply()
        await talk.hush(0.5)
        reply = talk.session.replying
        assert not await talk.session.cancel("resp_other")
        assert await talk.session.cancel(reply)
        assert not await talk.session.cancel(reply)
        await talk.hush(1)
        assert [(e.status, e.reason) for e in talk.told(ReplyDone)] == [("cut", "client_cancelled")]


async def test_a_new_reply_supersedes_the_old(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        first = await talk.session.respond(text="hello", metadata={"a": "b"})
        await talk.hush(0.5)
        second = await talk.session.respond(text="no wait")
        await talk.hush(3)
        done = {e.reply: (e.status, e.reason) for e in talk.told(ReplyDone)}
        assert done == {first: ("cut", "superseded"), second: ("completed", "")}
        assert talk.told(ReplyStarted)[0].metadata == {"a": "b"}
        assert [s.text for s in talk.session.history if s.who == "user"] == ["hello", "no wait"]


async def test_generations_only_grow_and_mark_each_event(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        for _ in range(3):
            await talk.until_reply()
            await talk.hush(0.4)
            await talk.say(0.5)
        numbers = [e.generation for e in talk.events]
        assert numbers == sorted(numbers)
        for kind in (AudioSent, ReplyPiece):
            of = {(e.reply, e.generation) for e in talk.told(kind)}
            assert len(of) == len({reply for reply, _ in of})


async def test_a_typed_item_is_what_the_next_reply_answers(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        await talk.session.add_text("item_1", "user", "what is the time")
        await talk.session.respond(instruction="Be brief.")
        await talk.hush(3)
        assert [s.text for s in talk.session.history][:1] == ["what is the time"]
        assert talk.told(ReplyStarted)[0].cause == "client"


async def test_in_manual_mode_only_the_client_begins_replies(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        talk.session.auto = False
        await talk.say(0.8)
        await talk.hush(6)
        assert not talk.told(ReplyStarted)
        assert not talk.told(UserTurnDone)
        await talk.session.commit()
        assert len(talk.told(UserTurnDone)[0].transcript.split()) >= 5
        await talk.session.respond()
        assert talk.told(ReplyStarted)


async def test_committing_hears_the_last_samples_too(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        talk.session.auto = False
        await talk.session.feed(np.full(CHUNK_SAMPLES + 1500, 0.1, np.float32))
        await talk.session.commit()
        assert talk.told(UserTurnDone)[0].transcript == "w0 w1"
        await talk.session.commit()
        assert talk.told(UserTurnDone)[1].transcript == ""


async def test_cleared_input_is_forgotten(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        await talk.say(0.6)
        await talk.hush(0.26)
        await talk.session.clear_input()
        await talk.hush(1)
        assert talk.session.floor == Floor.NOBODY
        assert not talk.session.history
        assert talk.told(ChunkJudged)[-1].situation.percept.transcript == ""


async def test_barge_in_can_be_switched_off(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        talk.session.may_interrupt_reply = False
        await talk.until_reply()
        await talk.say(3)
        assert talk.told(ReplyDone)[0].status == "completed"
        assert talk.session.floor == Floor.USER


async def test_an_interruption_is_not_ended_by_the_users_running_on(tmp_path: Path):
    judge = PauseJudge("interrupt", -1.0)
    async with rehearsal(tmp_path, judge=judge) as talk:
        await talk.say(1.6)
        started = talk.told(ReplyStarted)[0]
        assert started.action == "interrupt"
        assert not talk.told(ReplyDone)
        await talk.say(3)
        assert talk.told(ReplyDone)[0].reason == "barge_in"
        assert talk.told(ReplyDone)[0].at_ms - started.at_ms >= 2400


async def test_a_turn_nobody_answers_is_closed(tmp_path: Path):
    async with rehearsal(tmp_path, judge=PauseJudge("silence")) as talk:
        await talk.say(0.8)
        await talk.hush(5)
        assert len(talk.told(UserTurnDone)) == 1
        assert talk.session.floor == Floor.NOBODY
        assert [s.who for s in talk.session.history] == ["user"]


async def test_a_persona_with_a_greeting_opens_by_itself(tmp_path: Path):
    persona = Persona(name="Open", stance="plain", greeting="Hello there.", opens_after_s=2.0)
    async with rehearsal(tmp_path, persona=persona) as talk:
        await talk.hush(1.9)
        assert not talk.told(ReplyStarted)
        await talk.hush(4)
        started = talk.told(ReplyStarted)[0]
        assert (started.cause, started.action) == ("timer", "open")
        assert talk.session.history[0].text.startswith("Hello there.")


async def test_it_does_not_open_where_the_user_was_first(tmp_path: Path):
    persona = Persona(name="Open", stance="plain", greeting="Hello there.", opens_after_s=1.0)
    async with rehearsal(tmp_path, persona=persona, judge=PauseJudge("silence")) as talk:
        await talk.say(1.5)
        await talk.hush(2)
        assert not talk.told(ReplyStarted)


@pytest.mark.parametrize("bad", [np.array([np.nan], np.float32), np.zeros((2, 2), np.float32)])
async def test_bad_samples_are_refused_and_nothing_is_lost(tmp_path: Path, bad: np.ndarray):
    async with rehearsal(tmp_path) as talk:
        await talk.session.feed(np.full(1000, 0.1, np.float32))
        with pytest.raises(BadAudioError):
            await talk.session.feed(bad)
        await talk.session.feed(np.full(CHUNK_SAMPLES - 1000, 0.1, np.float32))
        await talk.clock.settle()
        assert [e.situation.percept.transcript for e in talk.told(ChunkJudged)] == ["w0"]


async def test_another_persona_from_the_next_chunk_on(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        await talk.hush(0.2)
        await talk.session.set_persona(PERSONA.model_copy(update={"name": "Other"}))
        await talk.hush(0.2)
        assert [e.situation.persona.name for e in talk.told(ChunkJudged)] == ["Test", "Other"]


async def test_closing_in_the_middle_of_a_reply_cuts_it(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        await talk.until_reply()
        await talk.hush(0.5)
        await talk.session.close("client_gone")
        await talk.session.close()
        assert [type(e) for e in talk.events[-3:]] == [ReplyDone, TurnTimed, Closed]
        assert talk.told(ReplyDone)[0].status == "cut"
        assert talk.session.history[-1].text == talk.told(ReplyDone)[0].heard_text
        with pytest.raises(SessionClosedError):
            await talk.session.feed(np.zeros(10, np.float32))
        assert not await talk.session.cancel()


async def test_a_session_is_open_once(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        with pytest.raises(SessionBusyError):
            async with rehearsal(tmp_path, parts=talk.parts):
                pass


async def test_audio_fed_at_once_is_late_and_says_so(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        listener_hear = type(talk.session._ears._listener).hear

        def slow(self, chunk):
            talk.clock.jump(0.3)
            return listener_hear(self, chunk)

        talk.session._ears._listener.hear = slow.__get__(talk.session._ears._listener)
        await talk.session.feed(np.zeros(3 * CHUNK_SAMPLES, np.float32))
        await talk.clock.settle()
        late = [e.stage_ms["late"] for e in talk.told(ChunkJudged)]
        assert late == pytest.approx([300, 600, 900])
        assert not talk.told(Failed)
