"""Every stage of a reply, every next one."""

import itertools

import pytest

from agent.playback import Playback
from agent.reply import ENDS, NEXT, Reply, ReplyError, Stage


def reply_at(stage: Stage) -> Reply:
    return Reply("resp_1", 1, None, Playback(16_000), stage=stage)  # type: ignore[arg-type]


@pytest.mark.parametrize(("stage", "to"), list(itertools.product(Stage, Stage)))
def test_a_stage_is_left_by_a_listed_way_or_names_both(stage: Stage, to: Stage):
    reply = reply_at(stage)
    if to in NEXT[stage]:
        reply.move(to)
        assert reply.stage == to
        return
    with pytest.raises(ReplyError) as caught:
        reply.move(to)
    assert stage.value in caught.value.wrong
    assert to.value in caught.value.wrong


def test_ends_are_ends():
    assert all(reply_at(stage).is_over == (not NEXT[stage]) for stage in Stage)
    assert {stage for stage in Stage if not NEXT[stage]} == set(ENDS)
