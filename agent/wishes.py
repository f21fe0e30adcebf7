"""Why and how the agent takes the floor when it was not the chunk's decision: a client's wish, or the timer's.

Pure. That it speaks is settled; in which manner it answers (respond, refuse, deflect) the judge still says. It
does not know how replies are made.
"""

from __future__ import annotations

from agent.events import Cause
from agent.listening import SILENCE
from agent.reply import Wish
from model.interface import Said
from policies.policy import YIELDED
from policies.safety import crisis
from policies.situation import Action, Decision, Floor, Judge, Judgement, Situation

TYPED_PAUSE_S = 1.5  # a typed turn is over: it is judged as if so long a pause had followed
WORD_S = 0.35  # what a typed word counts as speech


def answering(situation: Situation, said: Said | None, spoken: bool) -> Situation:
    """The situation at the end of a turn; ``spoken`` if its words were heard just now, else they were typed."""
    words = said.text if said else ""
    if spoken:
        heard = situation.percept.model_copy(update={"stable": words, "tentative": ""})
    else:
        speech = {"stable": words, "spoken_s": WORD_S * len(words.split()), "pause_s": TYPED_PAUSE_S}
        heard = SILENCE.model_copy(update={**speech, "chunk": situation.percept.chunk})
    return situation.model_copy(update={"percept": heard, "floor": Floor.USER, "agent_says": ""})


def judged(judge: Judge, situation: Situation) -> tuple[Action, Judgement | None]:
    """In which manner to answer; blocking. Words of crisis are always answered."""
    words = situation.percept.transcript
    if not words:
        return "respond", None
    judgement = judge.judge(situation)
    if crisis(words):
        return "respond", judgement
    return max(YIELDED, key=lambda action: judgement.p[action]), judgement


def by_client(
    situation: Situation,
    action: Action,
    judgement: Judgement | None,
    cause: Cause,
    instruction: str | None,
    metadata: dict[str, str] | None,
) -> Wish:
    """A client asks for a reply."""
    leads = () if judgement is None else (f"{action} leads with {judgement.p[action]:.2f}",)
    reasons = ("the client asked for a reply", *leads)
    decision = _decision(situation, action, reasons, "Only the client could have waited.")
    return Wish(cause, action, situation, decision, judgement, instruction, metadata)


def by_timer(situation: Situation, seconds: float) -> Wish:
    """Nobody has spoken for so long: the agent opens."""
    reasons = (f"nobody has spoken for {seconds:g} s",)
    return Wish("timer", "open", situation, _decision(situation, "respond", reasons, "A word of the user."))


def _decision(situation: Situation, action: Action, reasons: tuple[str, ...], flip: str) -> Decision:
    chunk = max(situation.percept.chunk, 0)
    return Decision(chunk=chunk, action=action, move="take_floor", reasons=reasons, flip=flip)
