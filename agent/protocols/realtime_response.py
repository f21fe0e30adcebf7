"""One reply on the Realtime wire: its frames from `response.created` to `response.done`, in the fixed order.

It keeps the words, their times and what was sent of one response. It knows of no other response, of no
conversation and of no socket; event ids are added by whoever sends the frames.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.events import ReplyDone

from .realtime_items import message
from .wire_audio import WireOutput

Json = dict[str, Any]
MAX_DELTA_BYTES = 24_000  # 32 kB of base64: some clients die of frames beyond 1 MiB, all like small ones
NO_USAGE: Json = {
    "total_tokens": 0,
    "input_tokens": 0,
    "output_tokens": 0,
    "input_token_details": {
        "text_tokens": 0,
        "audio_tokens": 0,
        "image_tokens": 0,
        "cached_tokens": 0,
        "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 0, "audio_tokens": 0},
}
_CANCELLED = {"barge_in": "turn_detected", "superseded": "turn_detected"}


@dataclass(frozen=True, slots=True)
class ResponsePlan:
    """What is settled about a response before its first frame."""

    response: str
    item: str
    modality: str  # "audio" or "text"
    conversation: str | None  # None: out of band, never among the items
    format: Json
    voice: str
    max_tokens: int | str
    metadata: dict[str, str] | None
    poise: Json | None = None


@dataclass(slots=True)
class ResponseOnWire:
    """A response while it is on the wire."""

    plan: ResponsePlan
    output: WireOutput
    rate: int  # Hz of the engine's samples
    ends: list[tuple[str, int]] = field(default_factory=list)  # word, sample at which it ends
    sent_text: str = ""
    sent_samples: int = 0  # engine rate
    truncated_ms: int | None = None
    status: str = "in_progress"

    def opening(self, previous: str | None) -> list[Json]:
        """Everything before the first delta."""
        item = self.item()
        kind = {"type": "audio", "transcript": ""} if self.plan.modality == "audio" else {"type": "text", "text": ""}
        frames: list[Json] = [{"type": "response.created", "response": self.record([])}]
        if self.plan.poise is not None:
            frames[0]["poise"] = self.plan.poise
        frames.append(
            {"type": "response.output_item.added", "response_id": self.plan.response, "output_index": 0, "item": item}
        )
        if self.plan.conversation is not None:
            frames.append({"type": "conversation.item.added", "previous_item_id": previous, "item": item})
        return [*frames, self._content("response.content_part.added", part=kind)]

    def item(self) -> Json:
        """The assistant item in its present state."""
        if self.status == "in_progress":
            return message(self.plan.item, "assistant", "in_progress", [])
        kind, key = ("output_audio", "transcript") if self.plan.modality == "audio" else ("output_text", "text")
        status = "completed" if self.status == "completed" and self.truncated_ms is None else "incomplete"
        return message(self.plan.item, "assistant", status, [{"type": kind, key: self.sent_text}])

    def record(self, output: list[Json]) -> Json:
        """The response object."""
        return {
            "object": "realtime.response",
            "id": self.plan.response,
            "status": self.status,
            "status_details": None,
            "output": output,
            "conversation_id": self.plan.conversation,
            "output_modalities": [self.plan.modality],
            "max_output_tokens": self.plan.max_tokens,
            "audio": {"output": {"format": self.plan.format, "voice": self.plan.voice}},
            "usage": None if self.status == "in_progress" else NO_USAGE,
            "metadata": self.plan.metadata,
        }

    def words(self, text: str, start_s: float | None = None) -> list[Json]:
        """More words; deltas joined give the whole text."""
        clean = " ".join(text.split())
        if not clean:
            return []
        delta = f" {clean}" if self.sent_text else clean
        self.sent_text += delta
        if self.plan.modality == "text":
            return [self._content("response.output_text.delta", delta=delta)]
        frame = self._content("response.output_audio_transcript.delta", delta=delta)
        if start_s is not None:
            frame["start_time"] = round(start_s, 3)
        return [frame]

    def audio(self, pcm: NDArray[np.float32]) -> list[Json]:
        """More sound (engine rate); nothing in a text response."""
        self.sent_samples += len(pcm)
        return [] if self.plan.modality == "text" else self._audio(self.output.encode(pcm))

    def _audio(self, data: bytes) -> list[Json]:
        cuts = range(0, len(data), MAX_DELTA_BYTES)
        pieces = (base64.b64encode(data[cut : cut + MAX_DELTA_BYTES]).decode() for cut in cuts)
        return [self._content("response.output_audio.delta", delta=piece) for piece in pieces]

    def closing(self, done: ReplyDone, previous: str | None) -> list[Json]:
        """Everything from the last delta to `response.done`."""
        frames = self._rest(done)
        self.status = {"completed": "completed", "cut": "cancelled", "failed": "failed"}[done.status]
        if self.truncated_ms is not None:
            self.sent_text = self.heard_by(self.truncated_ms)
        frames += self._content_done()
        item = self.item()
        if self.plan.conversation is not None:
            frames.append({"type": "conversation.item.done", "previous_item_id": previous, "item": item})
        ends = {"response_id": self.plan.response, "output_index": 0, "item": item}
        frames.append({"type": "response.output_item.done", **ends})
        response = self.record([item])
        response["status_details"] = self._details(done)
        played_ms = round(1000 * done.played / self.rate)
        heard = {"heard_text": done.heard_text, "played_ms": played_ms, "reason": done.reason}
        return [*frames, {"type": "response.done", "response": response, "poise": heard}]

    def _rest(self, done: ReplyDone) -> list[Json]:
        """The words and samples a completed reply still owes, or the words a cut one keeps."""
        if done.status == "completed":
            full = " ".join(done.text.split())
            rest = full[len(self.sent_text) :] if full.startswith(self.sent_text) else ""
            tail = [] if self.plan.modality == "text" else self._audio(self.output.flush())
            return self.words(rest) + tail
        if self.plan.modality == "audio":
            self.sent_text = " ".join(done.heard_text.split())
        return []

    def _content_done(self) -> list[Json]:
        if self.plan.modality == "text":
            part = {"type": "text", "text": self.sent_text}
            done = [self._content("response.output_text.done", text=self.sent_text)]
        else:
            part = {"type": "audio", "transcript": self.sent_text}
            done = [
                self._content("response.output_audio.done"),
                self._content("response.output_audio_transcript.done", transcript=self.sent_text),
            ]
        return [*done, self._content("response.content_part.done", part=part)]

    def _details(self, done: ReplyDone) -> Json | None:
        if done.status == "completed":
            return None
        if done.status == "cut":
            return {"type": "cancelled", "reason": _CANCELLED.get(done.reason, "client_cancelled")}
        error = {"type": "server_error", "code": done.reason or "reply_failed", "message": "The reply failed."}
        return {"type": "failed", "error": error}

    def heard_by(self, end_ms: int) -> str:
        """The words that end within the first ``end_ms`` of the reply's audio."""
        limit = end_ms * self.rate / 1000
        return " ".join(word for word, end in self.ends if end <= limit)

    def _content(self, kind: str, **fields: Any) -> Json:
        ids = {"response_id": self.plan.response, "item_id": self.plan.item, "output_index": 0, "content_index": 0}
        return {"type": kind, **ids, **fields}
