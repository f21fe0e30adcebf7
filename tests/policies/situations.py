"""Situations for tests, written as a chunk stream would give them. Knows nothing of what is tested."""

from __future__ import annotations

from typing import Any

from model.interface import CHUNK_S, Percept
from policies.situation import Floor, Judgement, Persona, Situation

PLAIN = Persona(name="Test", stance="plain listener")


def percept(words: str = "", pause_s: float = 0.0, **other: Any) -> Percept:
    """A percept of ``words`` followed by a pause; speech is what the pause says."""
    fields: dict[str, Any] = {
        "chunk": 10,
        "stable": words,
        "tentative": "",
        "confidence": 0.9,
        "emotion": None,
        "event": None,
        "facing": None,
        "speech": 0.0 if pause_s else 0.9,
        "pause_s": pause_s,
        "spoken_s": 0.35 * len(words.split()),
        "level_db": -25.0,
        "states": None,
    }
    return Percept(**{**fields, **other})


def situation(words: str = "", pause_s: float = 0.0, persona: Persona = PLAIN, **other: Any) -> Situation:
    """A situation in which the user holds the floor, unless told otherwise."""
    about = {k: other.pop(k) for k in ("memory", "history", "floor", "agent_says", "time_s", "still_s") if k in other}
    heard = percept(words, pause_s, **other)
    fields: dict[str, Any] = {
        "memory": (),
        "history": (),
        "floor": Floor.USER,
        "agent_says": "",
        "time_s": heard.spoken_s + pause_s,
        "turn_s": heard.spoken_s + pause_s,
        "still_s": pause_s,
    }
    return Situation(percept=heard, persona=persona, **{**fields, **about})


def judgement(**p: float) -> Judgement:
    """A judgement with these probabilities; silence gets the rest."""
    rest = 1.0 - sum(p.values())
    full = {"interrupt": 0.0, "refuse": 0.0, "deflect": 0.0, "silence": rest, "respond": 0.0, **p}
    return Judgement(p=full, user_done=None, evidence=("test",), judge="test")


def stream(words: str, pause_s: float, persona: Persona = PLAIN, **other: Any) -> list[Situation]:
    """Chunk by chunk: the words grow at 2.8 a second, then the pause grows up to ``pause_s``."""
    said = words.split()
    found: list[Situation] = []
    chunk = 0
    while (chunk + 1) * CHUNK_S * 2.8 < len(said):
        now = said[: int((chunk + 1) * CHUNK_S * 2.8)]
        time = (chunk + 1) * CHUNK_S
        found.append(situation(" ".join(now), 0.0, persona, chunk=chunk, spoken_s=time, time_s=time, **other))
        chunk += 1
    spoken = chunk * CHUNK_S
    for quiet in range(1, round(pause_s / CHUNK_S) + 1):
        time, pause = (chunk + 1) * CHUNK_S, quiet * CHUNK_S
        found.append(situation(words, pause, persona, chunk=chunk, spoken_s=spoken, time_s=time, **other))
        chunk += 1
    return found
