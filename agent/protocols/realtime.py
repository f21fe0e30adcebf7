"""The Realtime protocol without a socket: client messages become commands, events become frames.

Feed it text with :meth:`Realtime.receive` and events with :meth:`Realtime.project`; send what it returns, in
order. It reads no clock, waits for nothing and owns no session: the same messages give the same frames.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.events import (
    AudioSent,
    Event,
    Failed,
    ReplyDone,
    ReplyPiece,
    ReplyStarted,
    SpeechStarted,
    SpeechStopped,
    UserTurnDone,
)
from model.interface import PoiseError

from . import realtime_items as items
from .commands import AddText, Aside, ClearInput, Command, Commit, Configure, Feed, Identify, Respond, SetPersona
from .realtime_replies import Replies
from .realtime_request import read_message, read_response
from .realtime_session import Identity, SessionConfig
from .realtime_watch import Watcher
from .wire_audio import WireInput
from .wire_error import WireError

Json = dict[str, Any]
MIN_COMMIT = 1_600  # samples at 16 kHz: less than 100 ms is no turn


@dataclass(slots=True)
class Answer:
    """What one client message led to: frames to send first, then commands to carry out, in order."""

    frames: list[Json] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)


class Realtime:
    """One client's view of one session."""

    def __init__(
        self,
        identity: Identity,
        *,
        output_rate: int,
        ids: Callable[[str], str],
        events: str = "",
        judgements: str = "",
    ) -> None:
        self._ids = ids
        self.config = SessionConfig(identity, events, judgements)
        self.conversation = items.Conversation()
        self._replies = Replies(self.config, self.conversation, identity.conversation, output_rate, ids)
        self._watch = Watcher(self.config.poise)
        self._input = WireInput(self.config.format("input"))
        self._buffered = 0  # samples at 16 kHz since the last commit or clear
        self._user_items: dict[str, str] = {}
        self._begun = False  # the conversation has content: whose it is can no longer change

    # What goes out

    def opened(self) -> list[Json]:
        """The first frame of a connection."""
        return self._named([{"type": "session.created", "session": self.config.echo()}])

    def project(self, event: Event) -> list[Json]:
        """The frames of one event of the log."""
        return self._named(self._official(event) + self._watch.project(event))

    def is_read(self, reply: str) -> bool:
        """Whether a reply goes out as text only."""
        return self._replies.is_read(reply)

    def refused(self, error: PoiseError, event_id: str | None, kind: str = "invalid_request_error") -> list[Json]:
        """A typed error frame; a refused response.create is forgotten."""
        self._replies.withdraw(event_id)
        return self._named([_error(error.code, str(error), getattr(error, "param", None), event_id, kind)])

    def aside_done(self, response: str, text: str, pcm: NDArray[np.float32]) -> list[Json]:
        """An out-of-band reply is ready; ``pcm`` is float32 [n] at the engine's rate."""
        return self._named(self._replies.aside_done(response, text, pcm))

    def aside_failed(self, response: str, error: PoiseError, event_id: str | None) -> list[Json]:
        """An out-of-band reply could not be made."""
        self._replies.aside_failed(response)
        return self.refused(error, event_id, "server_error")

    # What comes in

    def receive(self, text: str | bytes, now_ms: int) -> Answer:
        """Read one client message; a bad one is answered with a typed error, never with an exception."""
        answer = Answer()
        event_id: str | None = None
        try:
            message = read_message(text)
            event_id = message.get("event_id") if isinstance(message.get("event_id"), str) else None
            handler = _HANDLERS.get(message["type"])
            if handler is None:
                raise WireError("unknown_event", f"There is no client event {message['type'][:80]!r}.", "", "type")
            handler(self, message, event_id, now_ms, answer)
        except WireError as error:
            answer = Answer([_error(error.code, str(error), error.param, event_id, "invalid_request_error")])
        self._named(answer.frames)
        return answer

    def _update(self, message: Json, event_id: str | None, now_ms: int, answer: Answer) -> None:
        before, was = self.config.resolved, self.config.poise
        self.config.merge(message.get("session"), self._replies.voiced, self._begun)
        resolved, poise = self.config.resolved, self.config.poise
        self._watch.wants = poise
        heard, earlier = resolved["audio"]["input"], before["audio"]["input"]
        if heard["format"] != earlier["format"]:
            self._input = WireInput(self.config.format("input"))
        if poise["person"] != was["person"]:
            answer.commands.append(Identify(event_id, poise["person"]))
        if heard["turn_detection"] != earlier["turn_detection"]:
            answer.commands.append(_configure(event_id, heard["turn_detection"]))
        new_persona = poise["persona"] if poise["persona"] != was["persona"] else None
        if new_persona or resolved["instructions"] != before["instructions"]:
            answer.commands.append(self._set_persona(event_id, new_persona))
        answer.frames.append({"type": "session.updated", "session": self.config.echo()})
        if new_persona and "persona" in poise["events"]:
            answer.frames.append({"type": "poise.persona.changed", "at_ms": now_ms, "persona": new_persona})

    def _persona(self, message: Json, event_id: str | None, now_ms: int, answer: Answer) -> None:
        name = self.config.known_persona(message.get("persona"))
        self._update({"session": {"poise": {"persona": name}}}, event_id, now_ms, answer)

    def _set_persona(self, event_id: str | None, name: str | None) -> SetPersona:
        texts = [self.config.resolved["instructions"], *self.conversation.system_texts()]
        return SetPersona(event_id, name, "\n".join(text for text in texts if text))

    def _append(self, message: Json, event_id: str | None, now_ms: int, answer: Answer) -> None:
        pcm = self._input.decode(message.get("audio"))
        self._begun = True
        self._buffered += len(pcm)
        answer.commands.append(Feed(event_id, pcm))

    def _commit(self, message: Json, event_id: str | None, now_ms: int, answer: Answer) -> None:
        if self._buffered < MIN_COMMIT:
            raise WireError(
                "input_audio_buffer_commit_empty", "Less than 100 ms of audio is there to commit.", "Append more."
            )
        self._buffered = 0
        answer.commands.append(Commit(event_id))

    def _clear(self, message: Json, event_id: str | None, now_ms: int, answer: Answer) -> None:
        self._buffered = 0
        answer.commands.append(ClearInput(event_id))
        answer.frames.append({"type": "input_audio_buffer.cleared"})

    def _create_item(self, message: Json, event_id: str | None, now_ms: int, answer: Answer) -> None:
        item = items.created(message.get("item"), self._ids("item"))
        self.conversation.add(item, message.get("previous_item_id"))
        self._begun = True
        for kind in ("conversation.item.added", "conversation.item.done"):
            answer.frames.append(self._item_frame(kind, item))
        text, role = items.words(item), item.get("role")
        if role == "system":
            answer.commands.append(self._set_persona(event_id, None))
        elif text and role in ("user", "assistant"):
            answer.commands.append(AddText(event_id, item["id"], "user" if role == "user" else "agent", text))

    def _retrieve(self, message: Json, event_id: str | None, now_ms: int, answer: Answer) -> None:
        item = self.conversation.retrieve(message.get("item_id"))
        answer.frames.append({"type": "conversation.item.retrieved", "item": item})

    def _delete(self, message: Json, event_id: str | None, now_ms: int, answer: Answer) -> None:
        self.conversation.delete(message.get("item_id"))
        answer.frames.append({"type": "conversation.item.deleted", "item_id": message["item_id"]})

    def _truncate(self, message: Json, event_id: str | None, now_ms: int, answer: Answer) -> None:
        item, end_ms = message.get("item_id"), _whole(message.get("audio_end_ms"), "audio_end_ms")
        known = self.conversation.get(item) if isinstance(item, str) else None
        if known is None or known.get("role") != "assistant":
            wrong = f"No spoken item {str(item)[:60]} in this conversation."
            raise WireError("item_truncate_invalid_item_id", wrong, "Name an assistant item.", "item_id")
        answer.commands += self._replies.truncate(known, end_ms, event_id)
        fields = {"item_id": item, "content_index": 0, "audio_end_ms": end_ms}
        answer.frames.append({"type": "conversation.item.truncated", **fields})

    def _respond(self, message: Json, event_id: str | None, now_ms: int, answer: Answer) -> None:
        request = read_response(message.get("response"), event_id, self.config.modality)
        self._begun = True
        aside = self._replies.request(request)
        if aside is not None:
            answer.commands.append(Aside(event_id, aside, request.instructions, request.text or ""))
        else:
            answer.commands.append(Respond(event_id, request.instructions, request.text, request.metadata))

    def _cancel(self, message: Json, event_id: str | None, now_ms: int, answer: Answer) -> None:
        answer.commands += self._replies.cancel(message.get("response_id"), event_id, now_ms)

    def _played(self, message: Json, event_id: str | None, now_ms: int, answer: Answer) -> None:
        played_ms = _whole(message.get("played_ms"), "played_ms")
        answer.commands += self._replies.played(message.get("item_id"), played_ms, event_id)

    def _ignore(self, message: Json, event_id: str | None, now_ms: int, answer: Answer) -> None:
        """Events that belong to other transports."""

    # Events of the log

    def _official(self, event: Event) -> list[Json]:
        match event:
            case SpeechStarted():
                return self._speech("input_audio_buffer.speech_started", event.item, audio_start_ms=event.start_ms)
            case SpeechStopped():
                return self._speech("input_audio_buffer.speech_stopped", event.item, audio_end_ms=event.end_ms)
            case UserTurnDone():
                return self._user_turn(event)
            case ReplyStarted():
                decision = f"dec_{self._watch.last.chunk}" if self._watch.last else None
                return self._replies.started(event, decision)
            case ReplyPiece():
                return self._replies.piece(event)
            case AudioSent():
                return self._replies.audio(event)
            case ReplyDone():
                return self._replies.done(event)
            case Failed():
                return self._failed(event)
        return []

    def _speech(self, kind: str, item: str, **times: int) -> list[Json]:
        if self.config.turn_detection is None:
            return []  # in manual mode the client itself says when a turn begins and ends
        frame: Json = {"type": kind, **times, "item_id": self._user_item(item)}
        if kind.endswith("started"):
            frame["poise"] = self._watch.hint()
        return [frame]

    def _user_item(self, item: str) -> str:
        """The session's own name where it is one of the wire and still free, so that traces can be compared."""
        if item not in self._user_items:
            free = item.startswith("item_") and item not in self.conversation
            self._user_items[item] = item if free else self._ids("item")
        return self._user_items[item]

    def _user_turn(self, event: UserTurnDone) -> list[Json]:
        identity = self._user_item(event.item)
        if identity in self.conversation:
            return []
        self._buffered = 0
        item = items.user_audio(identity, None)
        self.conversation.append(item)
        previous = self.conversation.previous(identity)
        frames: list[Json] = [
            {"type": "input_audio_buffer.committed", "previous_item_id": previous, "item_id": identity},
            self._item_frame("conversation.item.added", item),
            self._item_frame("conversation.item.done", item),
        ]
        part = {"item_id": identity, "content_index": 0}
        heard = "conversation.item.input_audio_transcription"
        if event.transcript:
            frames.append({"type": f"{heard}.delta", **part, "delta": event.transcript})
        usage = {"type": "duration", "seconds": round(event.seconds, 3)}
        done = {"type": f"{heard}.completed", **part, "transcript": event.transcript, "usage": usage}
        self.conversation.replace(items.user_audio(identity, event.transcript))
        return [*frames, {**done, "poise": {"emotion": event.emotion}}]

    def _item_frame(self, kind: str, item: Json) -> Json:
        return {"type": kind, "previous_item_id": self.conversation.previous(item["id"]), "item": item}

    def _failed(self, event: Failed) -> list[Json]:
        told, event_id = self._replies.failed(event.message)
        if told:  # the response says so itself when it ends; some clients do not survive an extra error
            return []
        return [_error(event.code, event.message, None, event_id, "server_error")]

    def _named(self, frames: list[Json]) -> list[Json]:
        for place, frame in enumerate(frames):
            frames[place] = {"type": frame.pop("type"), "event_id": self._ids("event"), **frame}
        return frames


def _configure(event_id: str | None, detection: Json | None) -> Configure:
    if detection is None:
        return Configure(event_id, auto=False, may_interrupt=False)
    return Configure(event_id, auto=detection["create_response"], may_interrupt=detection["interrupt_response"])


def _whole(value: Any, param: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise WireError("invalid_type", f"{param} must be a number of milliseconds.", "Send an integer.", param)
    return max(0, int(value))


def _error(code: str, message: str, param: str | None, event_id: str | None, kind: str) -> Json:
    fields = {"type": kind, "code": code, "message": message.strip(), "param": param, "event_id": event_id}
    return {"type": "error", "error": fields}


_HANDLERS: dict[str, Callable[[Realtime, Json, str | None, int, Answer], None]] = {
    "session.update": Realtime._update,
    "input_audio_buffer.append": Realtime._append,
    "input_audio_buffer.commit": Realtime._commit,
    "input_audio_buffer.clear": Realtime._clear,
    "conversation.item.create": Realtime._create_item,
    "conversation.item.retrieve": Realtime._retrieve,
    "conversation.item.delete": Realtime._delete,
    "conversation.item.truncate": Realtime._truncate,
    "response.create": Realtime._respond,
    "response.cancel": Realtime._cancel,
    "output_audio_buffer.clear": Realtime._ignore,
    "poise.playback.ack": Realtime._played,
    "poise.persona.set": Realtime._persona,
}


def encoded(frame: Json) -> str:
    """A frame as it goes on the wire."""
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
