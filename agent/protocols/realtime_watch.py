"""Poise's own events on the Realtime wire: judgements, decisions, memory, for clients that asked for them.

A client that did not ask gets none of these, because strict clients refuse unknown types. This part keeps
the last judgement, so that official events can carry it as an extra field; it knows of no items or replies.
"""

from __future__ import annotations

from typing import Any

from agent.events import ChunkJudged, Event, MemoryRecalled, MemoryWritten, TurnTimed

Json = dict[str, Any]
CHUNK_MS = 160
MOVED = 0.15  # a probability that moves this far is news in "changes" mode


class Watcher:
    """Projects what only a watching client sees; ``wants`` is the session's ``poise`` object, read live."""

    def __init__(self, wants: Json) -> None:
        self.wants = wants
        self.last: ChunkJudged | None = None
        self._shown: dict[str, float] = {}
        self._decided: tuple[str, str] | None = None
        self._ducked = False

    def project(self, event: Event) -> list[Json]:
        """The frames a watching client gets for an event."""
        match event:
            case ChunkJudged():
                self.last = event
                return [*self._judgement(event), *self._decision(event), *self._ducking(event)]
            case MemoryRecalled(texts=texts) if texts:
                return self._if("memory", "poise.memory.recalled", event, texts=list(texts))
            case MemoryWritten(texts=texts) if texts:
                return self._if("memory", "poise.memory.written", event, texts=list(texts))
            case TurnTimed():
                ledger = event.model_dump(exclude={"at_ms", "generation", "reply"})
                return self._if("timing", "poise.turn.timed", event, **ledger)
        return []

    def hint(self) -> Json:
        """The last judgement, short, as an extra field of official events."""
        if self.last is None:
            return {}
        judged = self.last
        return {"action": judged.decision.action, "p": _rounded(judged.judgement.p), "chunk": judged.chunk}

    def _judgement(self, event: ChunkJudged) -> list[Json]:
        mode, p = self.wants["judgements"], event.judgement.p
        if mode == "off" or (mode == "changes" and not self._news(p)):
            return []
        self._shown = p
        choice = max(p, key=lambda action: p[action])
        percept = event.situation.percept
        frame = {
            "type": "poise.judgement.created",
            "chunk": event.chunk,
            "start_ms": event.chunk * CHUNK_MS,
            "end_ms": (event.chunk + 1) * CHUNK_MS,
            "p": _rounded(p),
            "choice": choice,
            "confidence": round(p[choice], 4),
            "user_done": event.judgement.user_done,
            "floor": str(event.situation.floor.value),
            "move": event.decision.move,
            "speech": round(percept.speech, 3),
            "pause_ms": round(1000 * percept.pause_s),
            "transcript": {"stable": percept.stable, "tentative": percept.tentative},
            "emotion": _rounded(percept.emotion),
            "stage_ms": {stage: round(ms, 2) for stage, ms in event.stage_ms.items()},
        }
        return [frame]

    def _news(self, p: dict[str, float]) -> bool:
        if not self._shown:
            return True
        before, now = (max(table, key=lambda action: table[action]) for table in (self._shown, p))
        return before != now or any(abs(p[action] - self._shown.get(action, 0.0)) >= MOVED for action in p)

    def _decision(self, event: ChunkJudged) -> list[Json]:
        decision = event.decision
        now = (decision.move, decision.action)
        news = now != self._decided or decision.move in ("take_floor", "yield_floor")
        self._decided = now
        if not news:
            return []
        return self._if(
            "decision",
            "poise.decision.made",
            event,
            decision_id=f"dec_{event.chunk}",
            chunk=event.chunk,
            action=decision.action,
            move=decision.move,
            reason=decision.reasons[0] if decision.reasons else "",
            reasons=list(decision.reasons),
            flip=decision.flip,
            evidence=list(event.judgement.evidence),
        )

    def _ducking(self, event: ChunkJudged) -> list[Json]:
        ducked = event.decision.move == "duck"
        if ducked == self._ducked:
            return []
        self._ducked = ducked
        return self._if("ducking", "poise.ducking.changed", event, gain_db=-12.0 if ducked else 0.0, ramp_ms=20)

    def _if(self, name: str, kind: str, event: Event, **fields: Any) -> list[Json]:
        return [{"type": kind, "at_ms": event.at_ms, **fields}] if name in self.wants["events"] else []


def _rounded(table: dict[str, float] | None) -> dict[str, float] | None:
    return None if table is None else {name: round(value, 4) for name, value in table.items()}
