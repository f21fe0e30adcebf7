"""Events and a protocol for tests of the Realtime wire; what a session would emit, made by hand."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter

from agent import events
from agent.protocols.realtime import Answer, Realtime
from agent.protocols.realtime_session import Identity
from model.interface import Percept, Piece
from policies.situation import Decision, Floor, Judgement, Persona, Situation

OFFICIAL: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(kind)
    for kind in get_args(get_args(RealtimeServerEvent)[0])
    for name in get_args(kind.model_fields["type"].annotation)
}
P = {"interrupt": 0.05, "refuse": 0.05, "deflect": 0.05, "silence": 0.15, "respond": 0.7}
RATE = 16_000


def counter() -> Callable[[str], str]:
    numbers = itertools.count(1)
    return lambda kind: f"{kind}_{next(numbers):018d}"


def realtime(**wishes: str) -> Realtime:
    identity = Identity(
        session="sess_000000000000000001",
        conversation="conv_000000000000000001",
        model="poise-1",
        person="default",
        persona="maren",
        personas=("maren", "sol"),
        expires_at=1_790_000_000,
    )
    return Realtime(identity, output_rate=RATE, ids=counter(), **wishes)


def tell(wire: Realtime, now_ms: int = 0, **message: Any) -> Answer:
    """One client message."""
    answer = wire.receive(json.dumps(message), now_ms)
    checked(answer.frames)
    return answer


def hear(wire: Realtime, *log: events.Event) -> list[dict[str, Any]]:
    """The frames of some events, each validated by the official client's types."""
    return checked([frame for event in log for frame in wire.project(event)])


def checked(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for frame in frames:
        assert list(frame)[:2] == ["type", "event_id"]
        official(json.loads(json.dumps(frame)))
    return frames


def official(frame: dict[str, Any]) -> None:
    """What is not our own must be exactly what the official client knows under this type."""
    if not frame["type"].startswith("poise."):
        OFFICIAL[frame["type"]].validate_python(frame, strict=True)


def types(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in frames]


def at(ms: int = 0) -> dict[str, int]:
    return {"at_ms": ms, "generation": 1}


def user_turn(item: str = "item_u1", words: str = "i lost my job") -> list[events.Event]:
    return [
        events.SpeechStarted(**at(200), item=item, start_ms=120),
        events.TranscriptGrew(**at(900), item=item, delta=words),
        events.SpeechStopped(**at(1600), item=item, end_ms=1480),
        events.UserTurnDone(**at(1600), item=item, transcript=words, emotion="sad", seconds=1.36),
    ]


def started(
    reply: str = "resp_a1", cause: events.Cause = "judge", metadata: dict[str, str] | None = None
) -> events.Event:
    return events.ReplyStarted(
        **at(1700),
        reply=reply,
        cause=cause,
        action="respond",
        p=P,
        reasons=("the user has finished",),
        metadata=metadata,
    )


def spoken(reply: str = "resp_a1", text: str = "I am so sorry.", samples: int = 3_200) -> list[events.Event]:
    """Pieces of one word each, every one 200 ms, made and sent."""
    log: list[events.Event] = []
    for n, word in enumerate(text.split()):
        pcm = np.full(samples, 0.25, np.float32)
        ends = ((n + 1) * samples,)
        piece = Piece(text=word, word_ends=ends, units=(1,), pcm=pcm, emotion="warm", offset=n * samples)
        log.append(events.ReplyPiece(**at(1800), reply=reply, piece=piece))
        log.append(events.AudioSent(**at(1800), reply=reply, offset=n * samples, pcm=pcm, text=word))
    return log


def done(
    reply: str = "resp_a1", status: Any = "completed", reason: str = "", heard: str = "I am so sorry."
) -> events.Event:
    return events.ReplyDone(
        **at(3000), reply=reply, status=status, reason=reason, text="I am so sorry.", heard_text=heard, played=6_400
    )


def judged(
    chunk: int = 7, p: dict[str, float] | None = None, move: Any = "listen", action: Any = "silence"
) -> events.Event:
    percept = Percept(
        chunk=chunk, stable="i lost", tentative="my", confidence=0.9, emotion=None, event=None, facing=None,
        speech=0.9, pause_s=0.0, spoken_s=1.0, level_db=-20.0, states=None,
    )  # fmt: skip
    situation = Situation(
        percept=percept, persona=Persona(name="maren", stance="dry"), memory=(), history=(), floor=Floor.USER,
        agent_says="", time_s=1.28, turn_s=1.0, still_s=0.1,
    )  # fmt: skip
    return events.ChunkJudged(
        **at(1280), chunk=chunk, situation=situation,
        judgement=Judgement(p=p or P, user_done=0.8, evidence=("pause",), judge="rules"),
        decision=Decision(chunk=chunk, action=action, move=move, reasons=("he goes on",), flip="a longer pause"),
        stage_ms={"hear": 12.0, "late": 20.0},
    )  # fmt: skip
