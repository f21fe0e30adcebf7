"""Items of a conversation: what a client may create, and the order they lie in."""

from __future__ import annotations

from typing import Any

import pytest

from agent.protocols import realtime_items as items
from agent.protocols.wire_error import WireError


def typed(name: str, text: str = "hi") -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return items.created({"id": name, "type": "message", "role": "user", "content": content}, "item_x")


def test_items_are_appended_inserted_and_put_in_front() -> None:
    made = items.Conversation()
    made.add(typed("a"))
    made.add(typed("c"))
    made.add(typed("b"), "a")
    made.add(typed("first"), "root")
    assert [made.previous(name) for name in ("first", "a", "b", "c")] == [None, "first", "a", "b"]
    assert (made.last, len(made)) == ("c", 4)


def test_a_clients_id_is_kept_and_a_missing_one_is_made() -> None:
    assert typed("0123456789abcdef0123456789abcdef")["id"] == "0123456789abcdef0123456789abcdef"
    call = items.created({"type": "function_call", "name": "f", "arguments": "{}"}, "item_7")
    assert (call["id"], call["call_id"], call["object"]) == ("item_7", "call_7", "realtime.item")


def test_nulls_are_left_out_but_for_the_users_transcript() -> None:
    part = {"type": "input_audio", "audio": "AAAA", "transcript": None}
    made = items.created({"id": "a", "type": "message", "role": "user", "status": None, "content": [part]}, "x")
    assert made["status"] == "completed"
    assert made["content"] == [{"type": "input_audio", "transcript": None}]


@pytest.mark.parametrize(
    "item",
    [
        None,
        {"type": "message", "role": "user", "content": "hi"},
        {"type": "message", "role": "nurse", "content": []},
        {"type": "message", "role": "user", "content": [{"type": "output_text", "text": "x"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": 7}]},
        {"type": "message", "role": "user", "id": "", "content": []},
        {"type": "function_call_output", "output": "x"},
        {"type": "spell"},
        {"type": {"found": "by fuzzing"}},
        {"type": "message", "role": [], "content": []},
        {"type": "message", "role": "user", "content": [{"type": {}}]},
    ],
)
def test_what_is_no_item_is_refused(item: Any) -> None:
    with pytest.raises(WireError) as caught:
        items.created(item, "item_x")
    assert caught.value.code.startswith("invalid")


def test_doubles_and_unknown_places_are_refused_by_code() -> None:
    made = items.Conversation()
    made.add(typed("a"))
    with pytest.raises(WireError) as double:
        made.add(typed("a"))
    with pytest.raises(WireError) as nowhere:
        made.add(typed("b"), "zz")
    assert double.value.code == "item_create_duplicate_item_id"
    assert nowhere.value.code == "item_create_invalid_previous_item_id"


def test_a_conversation_has_a_limit_for_clients_but_not_for_speech() -> None:
    made = items.Conversation()
    for n in range(items.MAX_ITEMS):
        made.add(typed(f"i{n}"))
    with pytest.raises(WireError) as full:
        made.add(typed("one_more"))
    assert full.value.code == "item_limit_reached"
    made.append(items.user_audio("spoken", "hello"))
    assert made.last == "spoken"


def test_what_was_deleted_is_gone_and_stays_gone() -> None:
    made = items.Conversation()
    made.add(typed("a"))
    made.delete("a")
    made.replace(typed("a"))
    assert "a" not in made
    with pytest.raises(WireError):
        made.retrieve("a")


def test_a_copy_cannot_change_the_conversation() -> None:
    made = items.Conversation()
    made.add(typed("a"))
    made.retrieve("a")["content"].clear()
    assert items.words(made.retrieve("a")) == "hi"


def test_system_messages_are_collected_in_order() -> None:
    made = items.Conversation()
    for name, text in (("a", "Be kind."), ("b", "Be brief.")):
        content = [{"type": "input_text", "text": text}]
        made.add(items.created({"id": name, "type": "message", "role": "system", "content": content}, "x"))
    assert made.system_texts() == ["Be kind.", "Be brief."]
