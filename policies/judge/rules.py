"""The baseline with reasons: pauses, words and a few lexical cues, no training.

It scores each action by rules that can be read, and turns the scores into probabilities. It knows nothing
of meaning: a boundary is touched where its words were heard, a question is what begins like one.
"""

from __future__ import annotations

import math

from policies import cues
from policies.safety import crisis
from policies.situation import ACTIONS, Judge, Judgement, Situation

PATIENCE_S = {"low": -0.15, "medium": 0.0, "high": 0.25}  # on the pause that counts as yielding
BASE_PAUSE_S, QUESTION_S, UNFINISHED_S, HESITATION_S, SHORT_S = 1.1, -0.4, 0.8, 0.6, 0.3
RAMBLE_S = {"low": 14.0, "medium": 40.0, "high": math.inf}
TAIL_WORDS = 14


class RulesJudge:
    """Judges by pauses, endings, boundary words and danger words."""

    name = "rules"

    def judge(self, situation: Situation) -> Judgement:
        """Five probabilities from weighed cues; the evidence names the cues."""
        heard = cues.words(situation.percept.transcript)
        evidence: list[str] = []
        done = _done(situation, heard, evidence)
        weight = dict.fromkeys(ACTIONS, 0.02)
        weight["silence"] += 1.0 - done
        cut = _cutting_in(situation, heard, evidence)
        weight["interrupt"] += cut * (1.0 if situation.percept.pause_s < 0.3 else 1.0 - done)
        for action, share in _manner(situation, heard, evidence).items():
            weight[action] += done * share
        total = sum(weight.values()) + cut
        p = {action: weight[action] / total for action in ACTIONS}
        p["interrupt"] += cut / total
        return Judgement(p=p, user_done=done, evidence=tuple(evidence), judge=self.name)


def _done(situation: Situation, heard: list[str], evidence: list[str]) -> float:
    """Probability that the user has yielded the floor to the agent."""
    percept = situation.percept
    if percept.spoken_s == 0 or percept.pause_s == 0:
        return 0.0
    if percept.facing is not None and percept.facing < 0.35:
        evidence.append(f"spoken to somebody else (facing {percept.facing:.2f})")
        return 0.05
    if (phrase := cues.has_phrase(heard[-8:], cues.QUIET_REQUESTS)) and not crisis(percept.transcript):
        evidence.append(f"asked for quiet: {phrase!r}")
        return 0.1
    if cues.is_back_channel(heard) and (situation.agent_says or len(heard) < 2):
        evidence.append("only a listener's noise")
        return 0.1
    needed = BASE_PAUSE_S + PATIENCE_S[situation.persona.patience] + _ending(heard, evidence)
    if crisis(percept.transcript):
        needed = min(needed, 0.7)
    evidence.append(f"a pause of {percept.pause_s:.2f} s, {needed:.2f} s needed")
    return 1.0 / (1.0 + math.exp(-(percept.pause_s - needed) / 0.12))


def _ending(heard: list[str], evidence: list[str]) -> float:
    """Seconds by which the last words lengthen (or shorten) the pause that is needed."""
    if heard and heard[-1] in cues.HESITATIONS:
        evidence.append(f"hesitates: {heard[-1]!r}")
        return HESITATION_S
    if cues.is_unfinished(heard):
        evidence.append(f"unfinished: ends in {heard[-1]!r}")
        return UNFINISHED_S
    if cues.is_question(heard):
        evidence.append("asked a question")
        return QUESTION_S
    return SHORT_S if len(heard) < 3 else 0.0


def _cutting_in(situation: Situation, heard: list[str], evidence: list[str]) -> float:
    """Weight of a reason not to wait: danger, a request to be stopped, a ramble without patience."""
    percept = situation.percept
    if percept.facing is not None and percept.facing < 0.35:
        return 0.0
    if crisis(percept.transcript) == "danger":
        evidence.append("words of acute danger")
        return 3.0
    if phrase := cues.has_phrase(heard[-12:], cues.URGENT):
        evidence.append(f"urgent: {phrase!r}")
        return 0.5
    if percept.spoken_s > RAMBLE_S[situation.persona.patience]:
        evidence.append(f"has spoken for {percept.spoken_s:.0f} s")
        return 2.5
    return 0.0


def _manner(situation: Situation, heard: list[str], evidence: list[str]) -> dict[str, float]:
    """How a finished turn is taken up: shares of respond, refuse, deflect."""
    if kind := crisis(situation.percept.transcript):
        evidence.append(f"words of {kind}")
        return {"respond": 1.0}
    best, share = cues.nearest_boundary(situation.persona.boundaries, heard[-TAIL_WORDS:])
    if share < 0.3:
        return {"respond": 0.8, "refuse": 0.1, "deflect": 0.1}
    evidence.append(f"touches the boundary {best!r} ({share:.2f})")
    if cues.STEERING.search(best) or not cues.OPEN_REFUSALS.search(best):
        return {"deflect": 0.7, "refuse": 0.15, "respond": 0.15}
    return {"refuse": 0.7, "deflect": 0.15, "respond": 0.15}


def load() -> Judge:
    """The rule judge; it has no settings."""
    return RulesJudge()
