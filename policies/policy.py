"""What is made of a judgement: floor rules, thresholds, smoothing, safety, and the reasons in plain words.

Pure: the same judgement, situation and state always give the same decision and the same next state. It does not
know how judgements come about, how an action is voiced, or what time it is except through the situation.
"""

from __future__ import annotations

from dataclasses import dataclass

from model.interface import CHUNK_S, Percept
from policies import cues
from policies.safety import crisis
from policies.situation import ACTIONS, Action, Decision, Floor, Judgement, Move, PolicyState, Situation

YIELDED: tuple[Action, ...] = ("respond", "refuse", "deflect")


@dataclass(frozen=True)
class Thresholds:
    """Every number the policy goes by. Probabilities 0..1, times in seconds."""

    smoothing: float = 0.65  # weight of this chunk's probabilities; the rest is what was held before
    pause_s: float = 0.3  # least pause before the floor is taken from somebody who has yielded
    take_soon: float = 0.66  # probability of a turn needed right after that pause ...
    take_late: float = 0.46  # ... and after ``late_s`` of pause; linear in between
    late_s: float = 1.2
    waits_s: float = 1.76  # pause after which a turn is taken even if the judge leans to silence ...
    question_s: float = 1.28  # the same after a finished question, which is never left unanswered
    sure_silence: float = 0.985  # ... unless it is this sure
    touched: float = 0.75  # share of a boundary's words in a request from which the boundary decides ...
    touched_s: float = 0.8  # ... after this pause
    crisis_take: float = 0.3  # probability of a turn needed when words of crisis were heard
    interrupt: float = 0.6  # probability of interrupt needed while the user still speaks
    interrupt_words: int = 4  # never interrupted before so many words
    fresh_words: int = 1  # new words needed before acting again ...
    fresh_s: float = 0.3  # ... and seconds of new speech
    fresh_speech_s: float = 0.8  # or so much new speech, whatever its words
    speech: float = 0.5  # speech probability from which a chunk counts as speech
    aside: float = 0.3  # facing below this: said to somebody else
    noise: float = 0.6  # event probability from which a sound is no claim to the floor
    yield_words_s: float = 0.16  # overlap after which words that are no back-channel take the floor
    yield_speech_s: float = 0.48  # overlap after which speech without words takes it
    yield_back_channel_s: float = 1.28  # overlap after which even listener's noises do


PATIENCE = {"low": 0.9, "medium": 1.0, "high": 1.12}  # on thresholds: an impatient persona needs less
DEFAULT = Thresholds()


def decide(
    judgement: Judgement, situation: Situation, state: PolicyState, thresholds: Thresholds = DEFAULT
) -> tuple[Decision, PolicyState]:
    """The decision for one chunk and what must be remembered until the next."""
    if situation.floor in (Floor.AGENT, Floor.BOTH):
        return _while_agent_speaks(situation, state, thresholds)
    state = _forget_old_turn(state, situation.percept).model_copy(update={"overlap_s": 0.0})
    p = _smooth(judgement, situation.percept, state, thresholds)
    held = state.model_copy(update={"held": tuple((a, p[a]) for a in ACTIONS)})
    if situation.floor == Floor.NOBODY:
        return _stay_silent(situation, "nobody holds the floor", "Speech by the user would have been heard out."), held
    decision = _while_user_speaks(p, judgement, situation, state, thresholds)
    if decision.move != "take_floor":
        return decision, held
    acted = {"acted_words": _count(situation.percept), "acted_s": situation.time_s, "held": ()}
    return decision, state.model_copy(update={**acted, "acted_spoken_s": situation.percept.spoken_s})


def _while_user_speaks(
    p: dict[str, float], judgement: Judgement, situation: Situation, state: PolicyState, t: Thresholds
) -> Decision:
    percept, scale = situation.percept, PATIENCE[situation.persona.patience]
    if not _is_fresh(percept, state, t):
        return _stay_silent(
            situation, "nothing new was said since the last action", "New words would have been judged."
        )
    if _interrupts(p, situation, t.interrupt * scale, t):
        reasons = (f"interrupt at {p['interrupt']:.2f} is above {t.interrupt * scale:.2f}", *judgement.evidence)
        return _decision(
            situation, "interrupt", "take_floor", reasons, f"An interrupt below {t.interrupt * scale:.2f}."
        )
    action, take = _best_yielded(p, situation)
    needed = _take_needed(situation, t)
    if percept.pause_s < t.pause_s:
        return _stay_silent(
            situation,
            "the user is speaking" if percept.pause_s == 0 else f"the pause is only {percept.pause_s:.2f} s long",
            f"{action} at {take:.2f} would have needed a pause of {t.pause_s:.2f} s and {needed:.2f}.",
            judgement.evidence,
        )
    guarded, boundary = _guarded(situation, t)
    if guarded is not None and percept.pause_s >= t.touched_s:
        reason = f"it asks for what the boundary {boundary!r} rules out"
        return _decision(
            situation, guarded, "take_floor", (reason, *judgement.evidence), "Other words, another answer."
        )
    if _waited_long(p, percept, scale, t):
        reason = f"nobody has spoken for {percept.pause_s:.2f} s"
        flip = f"A silence above {t.sure_silence:.3f} would have been kept; it was {p['silence']:.2f}."
        return _decision(situation, action, "take_floor", (reason, *judgement.evidence), flip)
    if take < needed or p["silence"] > take + 0.25:
        later = f", or a longer pause than {percept.pause_s:.2f} s" if percept.pause_s < t.late_s else ""
        flip = f"{action} would have needed a turn at {needed:.2f} instead of {take:.2f}{later}."
        return _stay_silent(
            situation, f"silence at {p['silence']:.2f} outweighs taking the turn", flip, judgement.evidence
        )
    other = max((a for a in YIELDED if a != action), key=lambda a: p[a])
    reasons = (f"the user has yielded: a turn at {take:.2f} is above {needed:.2f}", *_why(action, p, situation))
    flip = f"{other} at {p[other]:.2f} would have needed more than {p[action]:.2f}; silence, a turn below {needed:.2f}."
    return _decision(situation, action, "take_floor", (*reasons, *judgement.evidence), flip)


def _guarded(situation: Situation, t: Thresholds) -> tuple[Action | None, str]:
    """Refuse or deflect, and the boundary that a request touches outright; (None, "") where there is none.

    A crisis goes before every boundary.
    """
    heard = cues.words(situation.percept.transcript)
    boundary, share = cues.nearest_boundary(situation.persona.boundaries, heard)
    asked = cues.has_phrase(heard, cues.REQUESTS) is not None
    if share < t.touched or not asked or crisis(situation.percept.transcript):
        return None, ""
    return ("deflect" if cues.STEERING.search(boundary) else "refuse"), boundary


def _waited_long(p: dict[str, float], percept: Percept, scale: float, t: Thresholds) -> bool:
    """True where a person who spoke to the agent has waited so long that silence would seem deaf."""
    heard = cues.words(percept.transcript)
    aside = percept.facing is not None and percept.facing < t.aside
    if not heard or aside or cues.has_phrase(heard, cues.QUIET_REQUESTS) is not None:
        return False
    asked = cues.is_question(heard) and not cues.is_unfinished(heard)
    waits = (t.question_s if asked else t.waits_s) * max(scale, 1.0)
    return percept.pause_s >= waits and p["silence"] < t.sure_silence


def _while_agent_speaks(situation: Situation, state: PolicyState, t: Thresholds) -> tuple[Decision, PolicyState]:
    percept = situation.percept
    speaking = percept.speech >= t.speech
    overlap = state.overlap_s + CHUNK_S if speaking else (state.overlap_s if percept.pause_s < 0.5 else 0.0)
    after = state.model_copy(update={"overlap_s": overlap, "held": ()})
    if overlap == 0.0:
        return _decision(
            situation, "silence", "go_on", ("the user is silent",), "Overlapping speech would duck."
        ), after
    heard = cues.words(percept.transcript)
    if (why := _no_claim(percept, heard, overlap, t)) is not None:
        move: Move = "duck" if speaking else "go_on"
        return _decision(situation, "silence", move, (why,), "Words that claim the floor would yield it."), after
    limit = t.yield_words_s if heard else t.yield_speech_s
    if speaking and overlap > limit - 1e-6:
        what = f"the user says {' '.join(heard[-4:])!r}" if heard else f"the user has spoken for {overlap:.2f} s"
        return _decision(situation, "silence", "yield_floor", (what,), "A back-channel would not yield."), PolicyState()
    move = "duck" if speaking else "go_on"
    why = f"{overlap:.2f} s of overlapping speech is too little to tell"
    return _decision(
        situation, "silence", move, (why,), f"Words, or {limit:.2f} s of speech, would yield the floor."
    ), after


def _no_claim(percept: Percept, heard: list[str], overlap: float, t: Thresholds) -> str | None:
    """Why what overlaps is no claim to the floor, or None."""
    event, chance = _strongest_event(percept)
    if not heard and event != "none" and chance >= t.noise:
        return f"it is a {event}, not speech ({chance:.2f})"
    if percept.facing is not None and percept.facing < t.aside and not set(heard) & cues.STOP_WORDS:
        return f"it is said to somebody else (facing {percept.facing:.2f})"
    if cues.is_back_channel(heard) and overlap < t.yield_back_channel_s:
        return f"{' '.join(heard)!r} is a listener's noise"
    return None


def _strongest_event(percept: Percept) -> tuple[str, float]:
    return max(percept.event.items(), key=lambda kv: kv[1]) if percept.event else ("none", 1.0)


def _interrupts(p: dict[str, float], situation: Situation, needed: float, t: Thresholds) -> bool:
    enough = _count(situation.percept) >= t.interrupt_words
    return enough and p["interrupt"] >= needed and p["interrupt"] >= max(p[a] for a in ACTIONS)


def _best_yielded(p: dict[str, float], situation: Situation) -> tuple[Action, float]:
    """The likeliest of respond, refuse, deflect and the probability that one of them is right."""
    take = sum(p[a] for a in YIELDED) + (p["interrupt"] if situation.percept.pause_s > 0 else 0.0)
    if crisis(situation.percept.transcript):
        return "respond", take  # safety first: a crisis is never refused or deflected
    return max(YIELDED, key=lambda a: p[a]), take


def _take_needed(situation: Situation, t: Thresholds) -> float:
    """Probability of a turn needed now: less, the longer the pause and the less patient the persona."""
    if crisis(situation.percept.transcript):
        return t.crisis_take
    share = min(max((situation.percept.pause_s - t.pause_s) / (t.late_s - t.pause_s), 0.0), 1.0)
    return (t.take_soon + share * (t.take_late - t.take_soon)) * PATIENCE[situation.persona.patience]


def _is_fresh(percept: Percept, state: PolicyState, t: Thresholds) -> bool:
    spoken = percept.spoken_s - state.acted_spoken_s
    if state.acted_words == 0 and state.acted_spoken_s == 0.0:
        return True
    return spoken >= t.fresh_speech_s or (spoken >= t.fresh_s and _count(percept) >= state.acted_words + t.fresh_words)


def _forget_old_turn(state: PolicyState, percept: Percept) -> PolicyState:
    """In a new turn words and speech start from nothing, and so does what was acted upon."""
    words, spoken = min(state.acted_words, _count(percept)), min(state.acted_spoken_s, percept.spoken_s)
    if spoken < state.acted_spoken_s:
        return state.model_copy(update={"acted_words": words, "acted_spoken_s": spoken, "held": ()})
    return state


def _smooth(judgement: Judgement, percept: Percept, state: PolicyState, t: Thresholds) -> dict[str, float]:
    before = dict(state.held) or judgement.p
    if percept.pause_s == 0.0 and before.get("interrupt", 0.0) < 0.2:
        before = judgement.p  # what was thought of a pause is void once speech goes on
    return {a: t.smoothing * judgement.p[a] + (1 - t.smoothing) * before[a] for a in ACTIONS}


def _why(action: Action, p: dict[str, float], situation: Situation) -> tuple[str, ...]:
    found = crisis(situation.percept.transcript)
    if found:
        return (f"words of {found} are answered, never refused",)
    return (f"{action} leads with {p[action]:.2f}",)


def _count(percept: Percept) -> int:
    return len(percept.transcript.split())


def _stay_silent(situation: Situation, why: str, flip: str, evidence: tuple[str, ...] = ()) -> Decision:
    return _decision(situation, "silence", "listen", (why, *evidence), flip)


def _decision(situation: Situation, action: Action, move: Move, reasons: tuple[str, ...], flip: str) -> Decision:
    return Decision(chunk=situation.percept.chunk, action=action, move=move, reasons=reasons, flip=flip)
