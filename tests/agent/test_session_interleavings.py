"""Anything in any order: whatever a client and a judge do, the log of a session stays sound."""

import random
from collections import Counter
from pathlib import Path

import pytest

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
    UserTurnDone,
)
from policies.situation import ACTIONS, Judgement, Situation
from tests.agent.rehearsal import PERSONA, Rehearsal, rehearsal


class Moody:
    """Judges by dice, mostly for taking the floor."""

    name = "moody"

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def judge(self, situation: Situation) -> Judgement:
        chosen = self._dice.choice([*ACTIONS, "silence", "silence", "silence"])
        return Judgement(
            p={a: 0.92 if a == chosen else 0.02 for a in ACTIONS}, user_done=None, evidence=(), judge="moody"
        )


async def act(talk: Rehearsal, dice: random.Random) -> None:
    """One thing a client may do."""
    session = talk.session
    match dice.choice(["say"] * 4 + ["hush"] * 3 + list("rRcCakxpmM")):
        case "say":
            await talk.say(dice.choice([0.05, 0.16, 0.3, 0.7]))
        case "hush":
            await talk.hush(dice.choice([0.05, 0.2, 0.4, 1.0]))
        case "r":
            await session.respond(text="typed")
        case "R":
            await session.respond(instruction="Be kind.")
        case "c":
            await session.cancel(session.replying)
        case "C":
            await session.cancel()
        case "a":
            for started in talk.told(ReplyStarted)[-2:]:
                session.acknowledge(started.reply, dice.randrange(-10, 40_000))
        case "k":
            await session.commit()
        case "x":
            await session.clear_input()
        case "p":
            await session.set_persona(PERSONA.model_copy(update={"patience": dice.choice(["low", "high"])}))
        case "m":
            session.auto = dice.random() < 0.7
        case "M":
            session.may_interrupt_reply = dice.random() < 0.7


def check(talk: Rehearsal) -> None:
    """What holds of every log."""
    assert [e.message for e in talk.told(Failed)] == []
    started, done = [[e.reply for e in talk.told(kind)] for kind in (ReplyStarted, ReplyDone)]
    assert started == done
    assert max(Counter(done).values(), default=1) == 1
    open_reply: str | None = None
    open_item: str | None = None
    for event in talk.events:
        match event:
            case ReplyStarted():
                assert open_reply is None
                open_reply = event.reply
            case AudioSent() | ReplyPiece():
                assert event.reply == open_reply
            case ReplyDone():
                assert event.reply == open_reply
                assert event.text.startswith(event.heard_text)
                open_reply = None
            case SpeechStarted():
                assert open_item is None
                open_item = event.item
            case SpeechStopped():
                assert event.item == open_item
                open_item = None
            case UserTurnDone():
                assert open_item is None
            case _:
                pass
    assert isinstance(talk.events[-1], Closed)
    assert [e.chunk for e in talk.told(ChunkJudged)] == list(range(len(talk.told(ChunkJudged))))
    assert all(e.decision.chunk == e.situation.percept.chunk == e.chunk for e in talk.told(ChunkJudged))
    assert [e.at_ms for e in talk.events] == sorted(e.at_ms for e in talk.events)
    assert [e.generation for e in talk.events] == sorted(e.generation for e in talk.events)


async def rehearse(home: Path, seed: int, acts: int) -> None:
    dice = random.Random(seed)
    async with rehearsal(home, judge=Moody(seed), id=f"s{seed}", closes_after_s=1.0) as talk:
        for _ in range(acts):
            await act(talk, dice)
        await talk.session.close()
        check(talk)


@pytest.mark.parametrize("seed", range(6))
async def test_a_few_conversations_in_any_order(tmp_path: Path, seed: int):
    await rehearse(tmp_path, seed, 25)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
async def test_many_conversations_in_any_order(tmp_path: Path, seed: int):
    await rehearse(tmp_path, seed, 60)
