"""Builds the situation of each chunk: what was heard, who the agent is, what it knows, who holds the floor.

Pure, so that the session, the evaluation and the replay all see the same thing. It does not know where percepts
or memories come from. (For the session: keep one Watch, call `watch` then `build` on every chunk.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from model.interface import CHUNK_S, Percept, Said
from policies.situation import Floor, Persona, Situation


@dataclass(frozen=True)
class Watch:
    """What must be kept from chunk to chunk to know ``turn_s`` and ``still_s`` (session clock, seconds)."""

    words: str = ""  # transcript when it last grew
    grew_s: float = 0.0  # when that was
    began_s: float | None = None  # when the user's turn began; None before it has


def watch(before: Watch, percept: Percept, time_s: float) -> Watch:
    """The watch after one more chunk; a turn in which nothing has been spoken yet starts it anew."""
    if percept.spoken_s == 0.0:
        return Watch(grew_s=time_s)
    began = time_s - CHUNK_S if before.began_s is None else before.began_s
    if percept.transcript != before.words:
        return Watch(words=percept.transcript, grew_s=time_s, began_s=began)
    return Watch(words=before.words, grew_s=before.grew_s, began_s=began)


def build(
    percept: Percept,
    persona: Persona,
    seen: Watch,
    time_s: float,
    *,
    floor: Floor,
    memory: Iterable[str] = (),
    history: Iterable[Said] = (),
    agent_says: str = "",
) -> Situation:
    """All that the judge may see at ``time_s``, the end of the chunk that ``percept`` and ``seen`` are of."""
    return Situation(
        percept=percept,
        persona=persona,
        memory=tuple(memory),
        history=tuple(history),
        floor=floor,
        agent_says=agent_says,
        time_s=time_s,
        turn_s=0.0 if seen.began_s is None else time_s - seen.began_s,
        still_s=time_s - seen.grew_s if percept.spoken_s else 0.0,
    )
