"""Reading what a Realtime client sent: JSON to a checked message, `response.create` to a request.

Everything a client can get wrong in shape is refused here, with a code and a sentence. It knows nothing of
the state of a conversation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .realtime_items import words
from .realtime_session import MAX_INSTRUCTIONS, modalities
from .wire_error import WireError

Json = dict[str, Any]
MAX_PAIRS, MAX_KEY, MAX_VALUE = 16, 64, 512  # limits of metadata


@dataclass(frozen=True, slots=True)
class Request:
    """A client's wish for one response."""

    event_id: str | None
    modality: str
    instructions: str | None
    text: str | None  # what to answer, when it is not in the conversation
    metadata: dict[str, str] | None
    aside: bool  # out of band: outside conversation and memory
    max_tokens: int | str | None


def read_message(text: str | bytes) -> Json:
    """One client message: a JSON object with a ``type``."""
    if isinstance(text, bytes):
        raise WireError("binary_frame", "Binary frames are not part of this protocol.", "Send JSON text.")
    try:
        message = json.loads(text, parse_constant=_no_constant)
        if "\\ud" in text.lower():
            json.dumps(message, ensure_ascii=False).encode()  # half a character cannot be stored or sent back
    except (ValueError, RecursionError) as error:
        raise WireError("invalid_json", "The message is not JSON.", "Send one JSON object per frame.") from error
    if not isinstance(message, dict):
        raise WireError("invalid_json", "The message is not a JSON object.", "Send one JSON object per frame.")
    if not isinstance(message.get("type"), str):
        raise WireError("missing_type", "The message has no type.", 'Add "type".', "type")
    return message


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def read_response(value: Any, event_id: str | None, modality: str) -> Request:
    """The parameters of `response.create`; absent ones come from the session."""
    given = {} if value is None else value
    if not isinstance(given, dict):
        raise WireError("invalid_type", "response must be an object.", "Send a JSON object.", "response")
    instructions = given.get("instructions")
    if not isinstance(instructions, str | None) or len(instructions or "") > MAX_INSTRUCTIONS:
        raise WireError("invalid_type", "instructions must be a text.", "Send a text.", "response.instructions")
    place = given.get("conversation") or "auto"
    if place not in ("auto", "none"):
        raise WireError("invalid_value", "conversation is auto or none.", "Use one.", "response.conversation")
    if given.get("output_modalities") is not None:
        modality = modalities(given["output_modalities"], "response.output_modalities")[0]
    return Request(
        event_id=event_id,
        modality=modality,
        instructions=instructions or None,
        text=_typed(given.get("input")),
        metadata=_metadata(given.get("metadata")),
        aside=place == "none",
        max_tokens=_tokens(given.get("max_output_tokens")),
    )


def _tokens(value: Any) -> int | str | None:
    if value in (None, "inf"):
        return value  # type: ignore[no-any-return]
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 4096:
        raise WireError(
            "invalid_value", "max_output_tokens is not understood.", 'Use 1 to 4096 or "inf".', "max_output_tokens"
        )
    return value


def _typed(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise WireError("invalid_type", "response.input must be a list of items.", "Send a list.", "response.input")
    spoken = [item for item in value if item.get("role") == "user" and isinstance(item.get("content"), list)]
    parts = [{"content": [part for part in item["content"] if isinstance(part, dict)]} for item in spoken]
    return " ".join(str(words(item)) for item in parts) or None


def _metadata(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    fits = isinstance(value, dict) and len(value) <= MAX_PAIRS
    if not fits or not all(
        isinstance(text, str) and len(key) <= MAX_KEY and len(text) <= MAX_VALUE for key, text in value.items()
    ):
        raise WireError(
            "invalid_value",
            "metadata is at most 16 pairs of texts of up to 64 and 512 characters.",
            "Shorten it.",
            "response.metadata",
        )
    return dict(value)
