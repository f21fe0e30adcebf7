"""The conversation as the Realtime wire sees it: items in order, and the chain of previous ids.

It keeps what was said, never how it sounded: audio of items is not stored. It knows of no events, replies
or sockets; it answers with records the caller puts into frames.
"""

from __future__ import annotations

import copy
from typing import Any

from .wire_error import WireError

Json = dict[str, Any]
MAX_ITEMS = 2_000
_ROLE_CONTENT = {
    "user": {"input_text", "input_audio", "input_image"},
    "assistant": {"output_text", "output_audio", "text"},
    "system": {"input_text"},
}
_NEEDED = {
    "function_call": ("name", "arguments"),
    "function_call_output": ("call_id", "output"),
}


class Conversation:
    """Ordered items; every item knows which one it followed when it was added."""

    def __init__(self) -> None:
        self._items: dict[str, Json] = {}
        self._order: list[str] = []

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def get(self, item: str) -> Json | None:
        """A copy of an item, or None."""
        return copy.deepcopy(self._items.get(item))

    @property
    def last(self) -> str | None:
        """Id of the last item, None when there is none."""
        return self._order[-1] if self._order else None

    def previous(self, item: str) -> str | None:
        """Id of the item before; None for the first."""
        place = self._order.index(item)
        return self._order[place - 1] if place else None

    def add(self, item: Json, after: Any = None) -> None:
        """A client's item: appended, or inserted after an id (``root`` = at the front)."""
        if len(self._order) >= MAX_ITEMS:
            raise WireError("item_limit_reached", "The conversation holds 2,000 items.", "Delete some.", "item")
        if item["id"] in self._items:
            raise WireError(
                "item_create_duplicate_item_id", "There is an item with that id.", "Use another id.", "item.id"
            )
        if after not in (None, "root") and (not isinstance(after, str) or after not in self._items):
            raise WireError(
                "item_create_invalid_previous_item_id",
                f"No item {str(after)[:60]} in this conversation.",
                "Name an item that exists, or root.",
                "previous_item_id",
            )
        place = len(self._order) if after is None else 0 if after == "root" else self._order.index(after) + 1
        self._insert(place, item)

    def append(self, item: Json) -> None:
        """An item of the server's own making goes to the end, whatever the limits."""
        self._insert(len(self._order), item)

    def _insert(self, place: int, item: Json) -> None:
        self._items[item["id"]] = item
        self._order.insert(place, item["id"])

    def system_texts(self) -> list[str]:
        """The words of all system messages, in order."""
        return [words(self._items[name]) for name in self._order if self._items[name].get("role") == "system"]

    def replace(self, item: Json) -> None:
        """New state of an item that is there; an item deleted meanwhile stays deleted."""
        if item["id"] in self._items:
            self._items[item["id"]] = item

    def delete(self, item: Any) -> None:
        """Take an item out of the conversation."""
        if not isinstance(item, str) or item not in self._items:
            raise WireError("item_delete_invalid_item_id", _no_item(item), "Name an item that exists.", "item_id")
        del self._items[item]
        self._order.remove(item)

    def retrieve(self, item: Any) -> Json:
        """A copy of an item."""
        if not isinstance(item, str) or item not in self._items:
            raise WireError("item_retrieve_invalid_item_id", _no_item(item), "Name an item that exists.", "item_id")
        return copy.deepcopy(self._items[item])


def _no_item(item: Any) -> str:
    return f"No item {str(item)[:60]} in this conversation."


def created(item: Any, fresh_id: str) -> Json:
    """A client's item, checked and completed; nulls are left out, audio is not kept."""
    if not isinstance(item, dict):
        raise WireError("invalid_type", "item must be an object.", "Send a JSON object.", "item")
    kept = {key: copy.deepcopy(value) for key, value in item.items() if value is not None}
    identity = kept.get("id", fresh_id)
    if not isinstance(identity, str) or not 0 < len(identity) <= 64:
        raise WireError("invalid_value", "item.id must be a text of 1 to 64 characters.", "Shorten it.", "item.id")
    kept.update(id=identity, object="realtime.item", status="completed")
    kind = kept.get("type")
    if kind == "message":
        kept["content"] = _content(kept)
    elif isinstance(kind, str) and kind in _NEEDED:
        _need(kept, _NEEDED[kind])
        kept.setdefault("call_id", fresh_id.replace("item_", "call_"))
    else:
        raise WireError("invalid_value", "item.type is not understood.", "Use message or function_call…", "item.type")
    return kept


def _content(item: Json) -> list[Json]:
    role, content = item.get("role"), item.get("content")
    if not isinstance(role, str) or role not in _ROLE_CONTENT:
        raise WireError("invalid_value", "item.role is not understood.", "Use user, assistant or system.", "item.role")
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise WireError("invalid_type", "item.content must be a list of objects.", "Send a list.", "item.content")
    return [_part(part, role) for part in content]


def _part(part: Json, role: str) -> Json:
    kind = part.get("type")
    if not isinstance(kind, str) or kind not in _ROLE_CONTENT[role]:
        raise WireError(
            "invalid_value", f"{role} content cannot be {str(kind)[:40]}.", "Use a type of that role.", "item.content"
        )
    kept = {key: value for key, value in part.items() if value is not None and key != "audio"}
    if kind == "input_audio":
        kept.setdefault("transcript", None)  # a client dies when this key is absent
    for key in ("text", "transcript"):
        if kept.get(key) is not None and not isinstance(kept[key], str):
            raise WireError("invalid_type", f"item.content.{key} must be a text.", "Send a text.", "item.content")
    if kind in ("input_text", "output_text", "text") and "text" not in kept:
        raise WireError("invalid_value", "A text part needs its text.", "Add text.", "item.content")
    if kind == "text":
        kept["type"] = "output_text"
    return kept


def _need(item: Json, keys: tuple[str, ...]) -> None:
    for key in keys:
        if not isinstance(item.get(key), str):
            raise WireError("invalid_value", f"item.{key} must be a text.", f"Add {key}.", f"item.{key}")


def words(item: Json) -> str:
    """All words of a message item, typed or spoken."""
    texts = [part.get("text") or part.get("transcript") or "" for part in item.get("content", [])]
    return " ".join(text for text in texts if text)


def user_audio(identity: str, transcript: str | None) -> Json:
    """A spoken user item."""
    return message(identity, "user", "completed", [{"type": "input_audio", "transcript": transcript}])


def message(identity: str, role: str, status: str, content: list[Json]) -> Json:
    """A message item of the server's making."""
    return {
        "id": identity,
        "object": "realtime.item",
        "type": "message",
        "status": status,
        "role": role,
        "content": content,
    }
