"""Any interleaving of what client and session may do keeps the promises of the wire."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import events
from agent.protocols import commands as asked
from agent.protocols.realtime import Realtime

from .wire_events import at, done, realtime, spoken, started, tell, user_turn

PCM = base64.b64encode(np.zeros(480, "<i2").tobytes()).decode()
STEPS = (
    "append",
    "turn",
    "judge_reply",
    "ask",
    "aside",
    "speak",
    "end",
    "cut",
    "cancel",
    "truncate",
    "create",
    "delete",
)


@dataclass
class World:
    """A client and a session of no manners; what the wire said is in ``frames``."""

    wire: Realtime = field(default_factory=realtime)
    frames: list[dict[str, Any]] = field(default_factory=list)
    reply: str | None = None
    asked_for: bool = False
    count: int = 0

    def tell(self, **message: Any) -> None:
        answer = tell(self.wire, now_ms=self.count * 500, **message)
        self.frames += answer.frames
        for command in answer.commands:
            match command:
                case asked.Respond():
                    self.asked_for = True
                case asked.Cancel() if self.reply:
                    self.happen(done(self.reply, "cut", "client_cancelled", heard="I"))
                    self.reply = None
                case asked.Aside():
                    self.frames += self.wire.aside_done(command.response, "aside", np.zeros(160, np.float32))

    def happen(self, *log: events.Event) -> None:
        for event in log:
            self.frames += self.wire.project(event)

    def items(self) -> list[str]:
        return [f["item"]["id"] for f in self.frames if f["type"] == "conversation.item.added"]

    def begin(self, cause: events.Cause) -> None:
        if self.reply is None:
            self.reply = f"resp_said{self.count:014d}"  # a name that the wire itself never gives
            self.happen(started(self.reply, cause))

    def step(self, name: str, pick: int) -> None:
        self.count += 1
        known = self.items()
        item = known[pick % len(known)] if known else "item_none"
        match name:
            case "append":
                self.tell(type="input_audio_buffer.append", audio=PCM)
            case "turn" if self.reply is None:
                self.happen(*user_turn(f"item_u{self.count}"))
            case "judge_reply":
                self.begin("judge")
            case "ask":
                self.tell(type="response.create")
                if self.asked_for:
                    self.asked_for = False
                    self.begin("client")
            case "aside":
                self.tell(type="response.create", response={"conversation": "none"})
            case "speak" if self.reply:
                self.happen(*spoken(self.reply, "Well then.", 800))
            case "end" | "cut" if self.reply:
                status = "completed" if name == "end" else "cut"
                self.happen(done(self.reply, status, "" if name == "end" else "barge_in", heard="Well"))
                self.reply = None
            case "cancel":
                self.tell(type="response.cancel")
            case "truncate":
                self.tell(type="conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=pick)
            case "create":
                content = [{"type": "input_text", "text": "hi"}]
                message = {"type": "message", "role": "user", "content": content}
                place = (None, "root", item)[pick % 3]
                self.tell(type="conversation.item.create", item=message, previous_item_id=place)
            case "delete":
                self.tell(type="conversation.item.delete", item_id=item)


def walk(steps: list[tuple[str, int]]) -> list[dict[str, Any]]:
    world = World()
    for name, pick in steps:
        world.step(name, pick)
    if world.reply:
        world.happen(done(world.reply))
    return world.frames


def of_response(frames: list[dict[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for frame in frames:
        name = frame.get("response_id") or frame.get("response", {}).get("id")
        if name:
            found.setdefault(name, []).append(frame["type"])
    return found


walks = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 30)), max_size=40)


@settings(max_examples=60, deadline=None)
@given(walks)
def test_every_response_has_one_beginning_and_one_end_and_nothing_after(steps: list[tuple[str, int]]) -> None:
    frames = walk(steps)
    for kinds in of_response(frames).values():
        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.done"
        assert kinds.count("response.created") == kinds.count("response.done") == 1
    open_now = 0
    for frame in frames:
        open_now += (frame["type"] == "response.created") - (frame["type"] == "response.done")
        assert open_now in (0, 1)


@settings(max_examples=60, deadline=None)
@given(walks)
def test_ids_are_never_used_twice_and_never_empty(steps: list[tuple[str, int]]) -> None:
    frames = walk(steps)
    names = [frame["event_id"] for frame in frames]
    assert all(names)
    assert len(set(names)) == len(names)
    items = [f["item"]["id"] for f in frames if f["type"] == "conversation.item.added"]
    assert len(set(items)) == len(items)


@settings(max_examples=60, deadline=None)
@given(walks)
def test_a_client_that_follows_the_chain_has_the_servers_order(steps: list[tuple[str, int]]) -> None:
    world, mine = World(), list[str]()
    for name, pick in steps:
        before = len(world.frames)
        world.step(name, pick)
        for frame in world.frames[before:]:
            if frame["type"] == "conversation.item.added":
                previous = frame["previous_item_id"]
                assert previous is None or previous in mine
                mine.insert(mine.index(previous) + 1 if previous else 0, frame["item"]["id"])
            elif frame["type"] == "conversation.item.deleted":
                mine.remove(frame["item_id"])
    last = world.wire.conversation.last
    assert (mine[-1] if mine else None) == last


def test_a_failing_walk_found_earlier_stays_fixed() -> None:
    frames = walk([("judge_reply", 0), ("delete", 0), ("end", 0), ("truncate", 0)])
    assert frames[-1]["type"] == "error"  # the item is gone, its reply ended all the same
    assert frames[-2]["type"] == "response.done"


def test_truncating_a_running_reply_leaves_it_incomplete() -> None:
    world = World()
    for name, pick in [("judge_reply", 0), ("speak", 0), ("truncate", 60), ("end", 0)]:
        world.step(name, pick)
    item = world.frames[-1]["response"]["output"][0]
    assert (item["status"], item["content"][0]["transcript"]) == ("incomplete", "Well")


def test_recalled_facts_never_disturb_a_strict_client() -> None:
    assert realtime().project(events.MemoryRecalled(**at(), texts=("x",))) == []
