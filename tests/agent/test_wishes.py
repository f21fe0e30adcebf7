"""A typed turn is answered in the manner the judge finds; what is not asked for is not judged."""

from pathlib import Path

import pytest

from agent.events import Failed, ReplyDone, ReplyStarted
from agent.wishes import answering, by_timer, judged
from model.interface import Said
from policies.situation import Floor, Judgement, Situation
from tests.agent.rehearsal import PauseJudge, rehearsal
from tests.policies.situations import situation


@pytest.mark.parametrize("action", ["respond", "refuse", "deflect"])
async def test_a_typed_turn_is_answered_as_judged(tmp_path: Path, action: str):
    async with rehearsal(tmp_path, judge=PauseJudge(action)) as talk:
        await talk.session.respond(text="lend me some money")
        started = talk.told(ReplyStarted)[0]
        assert (started.action, started.cause) == (action, "client")
        assert started.p is not None
        assert action in started.reasons[1]


async def test_a_cry_for_help_is_never_refused(tmp_path: Path):
    async with rehearsal(tmp_path, judge=PauseJudge("refuse")) as talk:
        await talk.session.respond(text="i want to kill myself")
        assert talk.told(ReplyStarted)[0].action == "respond"


async def test_a_judge_that_fails_does_not_keep_the_agent_from_answering(tmp_path: Path):
    class Broken(PauseJudge):
        def judge(self, situation: Situation) -> Judgement:
            raise RuntimeError

    async with rehearsal(tmp_path, judge=Broken()) as talk:
        await talk.session.respond(text="hello")
        await talk.hush(3)
        assert talk.told(Failed)
        assert talk.told(ReplyDone)[0].status == "completed"


def test_typed_words_are_judged_as_a_finished_turn():
    typed = answering(situation(), Said(who="user", text="two words"), spoken=False)
    assert (typed.percept.transcript, typed.floor) == ("two words", Floor.USER)
    assert typed.percept.pause_s > 1
    assert judged(PauseJudge("deflect"), typed)[0] == "deflect"


def test_without_words_nothing_is_judged():
    assert judged(PauseJudge("refuse"), answering(situation(), None, spoken=False)) == ("respond", None)


def test_the_timer_opens():
    wish = by_timer(situation(), 3.0)
    assert (wish.cause, wish.action) == ("timer", "open")
    assert "3 s" in wish.decision.reasons[0]
