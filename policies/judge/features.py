"""What the tuned judge reads of a situation: two texts and a row of numbers.

The words so far and the context (persona, memory, history) go to the reader; everything else (pauses, voice,
addressee, floor, lexical cues) becomes one vector. It knows nothing of networks or training.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from model.interface import EMOTIONS, EVENTS
from policies import cues
from policies.safety import crisis
from policies.situation import Floor, Situation

PATIENCE = ("low", "medium", "high")
RELATIONSHIP = ("stranger", "acquaintance", "friend", "close")
PAUSE_KNOTS = (0.2, 0.35, 0.5, 0.65, 0.8, 1.0, 1.2, 1.4)  # seconds
STILL_KNOTS = (0.25, 0.5, 1.0)
TAIL_WORDS = 14
STATES = (3, 256)


def words_text(situation: Situation) -> str:
    """The words so far, as the recogniser gives them."""
    return situation.percept.transcript


def context_text(situation: Situation) -> str:
    """Persona, memory and what was said before, most weighty first, as one line."""
    persona = situation.persona
    parts = [f"{persona.stance}, {persona.patience} patience, {persona.relationship}."]
    if persona.boundaries:
        parts.append(f"boundaries: {'; '.join(persona.boundaries)}.")
    if situation.memory:
        parts.append(f"remembers: {'; '.join(situation.memory[:3])}.")
    if saying := agent_line(situation):
        parts.append(f"was just saying: {saying}.")
    for said in reversed(situation.history[-3:]):
        parts.append(f"{said.who} said: {said.text}")
    return " ".join(parts).lower()


def agent_line(situation: Situation) -> str:
    """What the agent says, or was cut off saying when this turn began."""
    if situation.agent_says:
        return situation.agent_says
    last = situation.history[-1] if situation.history else None
    return last.text if last is not None and last.who == "agent" and last.cut else ""


def vector(situation: Situation) -> NDArray[np.float32]:
    """Float32 [SIZE]: all numbers of the situation, each of order one."""
    return np.asarray([*_times(situation), *_voice(situation), *_sides(situation), *_cues(situation)], dtype=np.float32)


def states(situation: Situation) -> NDArray[np.float32] | None:
    """Frame states of the percept, float32 [3, 256], or None where the engine has none of this shape."""
    found = situation.percept.states
    return None if found is None or found.shape != STATES else np.asarray(found, dtype=np.float32)


def _soft_step(value: float, at: float, width: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(min((value - at) / width, 30.0), -30.0)))


def _times(situation: Situation) -> list[float]:
    percept = situation.percept
    pause, still = min(percept.pause_s, 5.0), min(situation.still_s, 5.0)
    return [
        float(percept.pause_s > 0),
        pause,
        *(_soft_step(pause, knot, 0.06) for knot in PAUSE_KNOTS),
        *(_soft_step(still, knot, 0.1) for knot in STILL_KNOTS),
        math.log1p(min(percept.spoken_s, 60.0)),
        math.log1p(min(situation.turn_s, 60.0)),
        math.log1p(len(percept.transcript.split())),
        len(percept.tentative.split()) / 5.0,
    ]


def _voice(situation: Situation) -> list[float]:
    percept = situation.percept
    emotion, event = percept.emotion or {}, percept.event or {}
    known = percept.facing is not None
    return [
        *(emotion.get(name, 0.0) for name in EMOTIONS),
        float(bool(emotion)),
        *(event.get(name, 0.0) for name in EVENTS),
        float(bool(event)),
        percept.facing if percept.facing is not None else 0.0,
        float(known and percept.facing is not None and percept.facing < 0.5),
        float(known),
        percept.confidence if percept.confidence is not None else 0.5,
        percept.speech,
        (max(percept.level_db, -60.0) + 25.0) / 10.0,
    ]


def _sides(situation: Situation) -> list[float]:
    persona = situation.persona
    return [
        *(float(situation.floor == floor) for floor in Floor),
        float(bool(situation.agent_says)),
        float(bool(agent_line(situation))),
        float(bool(situation.memory)),
        float(bool(situation.history)),
        *(float(persona.patience == name) for name in PATIENCE),
        *(float(persona.relationship == name) for name in RELATIONSHIP),
    ]


def _cues(situation: Situation) -> list[float]:
    heard = cues.words(situation.percept.transcript)
    boundary, share = cues.nearest_boundary(situation.persona.boundaries, heard[-TAIL_WORDS:])
    kind = crisis(situation.percept.transcript)
    return [
        float(cues.is_unfinished(heard)),
        float(bool(heard) and heard[-1] in cues.HESITATIONS),
        float(cues.is_question(heard)),
        float(cues.is_back_channel(heard)),
        float(cues.has_phrase(heard[-8:], cues.QUIET_REQUESTS) is not None),
        float(cues.has_phrase(heard[-TAIL_WORDS:], cues.REQUESTS) is not None),
        float(cues.has_phrase(heard[-TAIL_WORDS:], cues.URGENT) is not None),
        float(bool(set(heard[:4]) & cues.STOP_WORDS)),
        share,
        share * float(cues.STEERING.search(boundary) is not None),
        *(float(kind == name) for name in ("self-harm", "abuse", "danger")),
        max((cues.overlap(line, heard) for line in situation.memory), default=0.0),
    ]


SIZE = 17 + 20 + 15 + 14  # times, voice, sides, cues
