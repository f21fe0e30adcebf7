"""Runs a judge and the policy over the situations of one scene, keeping account of the floor.

Open loop: decisions never change what is heard. Where the agent speaks at the start, it does so until the policy
yields; from then on the user holds the floor and the agent's words are history. It knows no audio and no scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from model.interface import Said
from policies.policy import DEFAULT, Thresholds, decide
from policies.situation import Decision, Floor, Judge, Judgement, PolicyState, Situation

Judged = tuple[Situation, Judgement, Decision]


def drive(situations: Iterable[Situation], judge: Judge, thresholds: Thresholds = DEFAULT) -> Iterator[Judged]:
    """What was judged and decided for each situation, in order."""
    state, yielded = PolicyState(), False
    for one in situations:
        seen = after_yielding(one) if yielded else one
        judgement = judge.judge(seen)
        decision, state = decide(judgement, seen, state, thresholds)
        yielded = yielded or decision.move == "yield_floor"
        yield seen, judgement, decision


def after_yielding(situation: Situation) -> Situation:
    """The same situation once the agent has fallen silent: its words are history, cut off."""
    if not situation.agent_says:
        return situation
    cut = Said(who="agent", text=situation.agent_says, cut=True)
    changed: dict[str, Any] = {"history": (*situation.history, cut), "agent_says": "", "floor": Floor.USER}
    return situation.model_copy(update=changed)


def decisions(judged: Iterable[Judged]) -> list[dict[str, Any]]:
    """Decisions other than silence as ``{"t_s", "action"}``; a time is the end of the chunk, in seconds."""
    return [
        {"t_s": round(seen.time_s, 3), "action": decision.action}
        for seen, _, decision in judged
        if decision.action != "silence"
    ]
