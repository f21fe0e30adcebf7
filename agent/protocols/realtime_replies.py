"""All responses of one Realtime connection: which one runs, which was asked for, which can be truncated.

At most one response runs in the conversation; out-of-band ones wait until it has ended, because clients keep
one current response only. It knows of no sockets, and of the conversation only where items lie in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.events import AudioSent, ReplyDone, ReplyPiece, ReplyStarted

from .commands import Acknowledge, Cancel, Command
from .realtime_items import Conversation
from .realtime_request import Request
from .realtime_response import ResponseOnWire, ResponsePlan
from .realtime_session import SessionConfig
from .wire_audio import WireOutput
from .wire_error import WireError

Json = dict[str, Any]
GRACE_MS = 2_000  # a cancel this soon after the server itself ended the reply is a race, not a mistake
KEPT = 64  # finished replies that can still be truncated


class Replies:
    """The responses of one connection."""

    def __init__(
        self,
        config: SessionConfig,
        conversation: Conversation,
        conversation_id: str,
        rate: int,
        ids: Callable[[str], str],
    ) -> None:
        self._config, self._conversation, self._conversation_id = config, conversation, conversation_id
        self._rate, self._ids = rate, ids
        self._running: ResponseOnWire | None = None
        self._reply = ""  # the session's id of the running reply
        self._requested: Request | None = None  # a client's response.create that has not begun to speak
        self._asides: dict[str, Request] = {}
        self._held: list[Json] = []
        self._by_item: dict[str, tuple[str, ResponseOnWire]] = {}
        self._ended_ms = -10 * GRACE_MS
        self._failure = ""
        self.voiced = False  # audio was sent: the voice is settled

    # What the client asks for

    def request(self, request: Request) -> str | None:
        """Note a wish for a response; the id of the response if it is out of band."""
        if request.aside:
            response = self._ids("resp")
            self._asides[response] = request
            return response
        if self._running is not None or self._requested is not None:
            raise WireError(
                "conversation_already_has_active_response",
                "Conversation already has an active response.",
                "Wait for response.done, or cancel it.",
            )
        self._requested = request
        return None

    def withdraw(self, event_id: str | None) -> None:
        """The session refused the request of this event."""
        if self._requested is not None and self._requested.event_id == event_id:
            self._requested = None

    def cancel(self, wanted: Any, event_id: str | None, now_ms: int) -> list[Command]:
        """What cancelling leads to; nothing if the server itself ended the response a moment ago."""
        if self._running is not None and wanted in (None, self._running.plan.response):
            return [Cancel(event_id, self._reply)]
        if self._requested is not None and wanted is None:
            return [Cancel(event_id, None)]
        if now_ms - self._ended_ms >= GRACE_MS:
            wrong = "Cancellation failed: no active response found."
            raise WireError("response_cancel_not_active", wrong, "There is nothing to do.")
        return []

    def truncate(self, item: Json, end_ms: int, event_id: str | None) -> list[Command]:
        """Keep of an assistant item only what was heard within ``end_ms``."""
        wire = self._by_item.get(item["id"], ("", None))[1]
        if wire is None:  # too old, or made by the client: the words can no longer be aligned
            content = [{key: part[key] for key in part if key != "transcript"} for part in item["content"]]
            self._conversation.replace({**item, "status": "incomplete", "content": content})
            return []
        wire.truncated_ms = end_ms if wire.truncated_ms is None else min(end_ms, wire.truncated_ms)
        if wire.status != "in_progress":
            wire.sent_text = wire.heard_by(wire.truncated_ms)
            self._conversation.replace(wire.item())
        return self.played(item["id"], end_ms, event_id)

    def played(self, item: Any, played_ms: int, event_id: str | None) -> list[Command]:
        """The client says how much of an item it has played."""
        reply, wire = self._by_item.get(item, ("", None)) if isinstance(item, str) else ("", None)
        if wire is None:
            return []
        return [Acknowledge(event_id, reply, min(played_ms * self._rate // 1000, wire.sent_samples))]

    # What the session does

    def started(self, event: ReplyStarted, decision_id: str | None) -> list[Json]:
        """A reply takes the floor."""
        request = self._requested if event.cause == "client" else None
        if event.cause == "client":
            self._requested = None
        poise = {
            "cause": event.cause,
            "action": event.action,
            "p": event.p,
            "reason": event.reasons[0] if event.reasons else "",
            "decision_id": decision_id,
        }
        request = request or Request(None, self._config.modality, None, None, event.metadata, False, None)
        response = event.reply if event.reply.startswith("resp_") else self._ids("resp")
        wire = self._on_wire(request, response, self._conversation_id, poise)
        self._running, self._reply, self.voiced, self._failure = wire, event.reply, True, ""
        self._by_item[wire.plan.item] = (event.reply, wire)
        while len(self._by_item) > KEPT:
            del self._by_item[next(iter(self._by_item))]
        self._conversation.append(wire.item())
        return wire.opening(self._conversation.previous(wire.plan.item))

    def piece(self, event: ReplyPiece) -> list[Json]:
        """More of a reply was made; words of a text response go out at once."""
        wire = self._speaking(event.reply)
        if wire is None:
            return []
        wire.ends += zip(event.piece.text.split(), event.piece.word_ends, strict=False)
        return wire.words(event.piece.text) if wire.plan.modality == "text" else []

    def audio(self, event: AudioSent) -> list[Json]:
        """More of a reply leaves for the client: words first, then their sound."""
        wire = self._speaking(event.reply)
        if wire is None:
            return []
        text = wire.words(event.text, event.offset / self._rate) if wire.plan.modality == "audio" else []
        return text + wire.audio(np.asarray(event.pcm, dtype=np.float32))

    def done(self, event: ReplyDone) -> list[Json]:
        """A reply has ended."""
        wire = self._speaking(event.reply)
        if wire is None:
            return []
        item = wire.plan.item
        frames = wire.closing(event, self._conversation.previous(item) if item in self._conversation else None)
        if self._failure and event.status == "failed":
            frames[-1]["response"]["status_details"]["error"]["message"] = self._failure
        self._conversation.replace(wire.item())
        self._running, self._reply, self._ended_ms = None, "", event.at_ms
        return frames + self._release()

    def is_read(self, reply: str) -> bool:
        """Whether a reply goes out as text only."""
        wire = self._speaking(reply)
        return wire is not None and wire.plan.modality == "text"

    def failed(self, message: str) -> tuple[bool, str | None]:
        """A failure: whether the running response will tell of it, and whose request it ended."""
        if self._running is not None:
            self._failure = message
            return True, None
        event_id = self._requested.event_id if self._requested is not None else None
        self._requested = None
        return False, event_id

    def aside_done(self, response: str, text: str, pcm: NDArray[np.float32]) -> list[Json]:
        """An out-of-band text is ready: its whole response, as soon as no other one is running."""
        wire = self._on_wire(self._asides.pop(response), response, None, {"cause": "client"})
        frames = wire.opening(None) + wire.words(text) + wire.audio(pcm)
        done = ReplyDone(
            at_ms=0, generation=0, reply=response, status="completed", reason="", text=text, heard_text="", played=0
        )
        self._held += frames + wire.closing(done, None)
        return self._release()

    def aside_failed(self, response: str) -> None:
        """An out-of-band reply will not come."""
        self._asides.pop(response, None)

    def _release(self) -> list[Json]:
        if self._running is not None:
            return []
        held, self._held = self._held, []
        return held

    def _speaking(self, reply: str) -> ResponseOnWire | None:
        return self._running if reply == self._reply else None

    def _on_wire(self, request: Request, response: str, conversation: str | None, poise: Json) -> ResponseOnWire:
        output = self._config.resolved["audio"]["output"]
        plan = ResponsePlan(
            response=response,
            item=self._ids("item"),
            modality=request.modality,
            conversation=conversation,
            format=output["format"],
            voice=output["voice"],
            max_tokens=request.max_tokens or self._config.resolved["max_output_tokens"],
            metadata=request.metadata,
            poise=poise,
        )
        return ResponseOnWire(plan, WireOutput(self._config.format("output"), self._rate), self._rate)
