"""Whatever a client sends, the protocol answers with official frames and typed errors, and goes on."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest

from agent.protocols.realtime import _HANDLERS, Realtime, encoded

from .wire_events import done, hear, official, realtime, spoken, started, user_turn

SEED = 20_261_121
CASES = 100_000
AUDIO = base64.b64encode(bytes(480)).decode()
SCRAPS: list[Any] = [
    None, True, 0, -1, 7.5, 1e308, "", "root", "item_1", "auto", "none", "text", "audio", "user", "message", "all",
    "\ud800", "x" * 300, AUDIO, [], ["audio"], ["text"], {}, {"type": "server_vad"}, {"type": "audio/pcm"},
]  # fmt: skip
KEYS = [
    "type", "event_id", "audio", "item", "item_id", "previous_item_id", "content_index", "audio_end_ms", "response",
    "response_id", "session", "conversation", "input", "metadata", "instructions", "output_modalities", "content",
    "role", "text", "id", "turn_detection", "format", "voice", "poise", "persona", "person", "events", "played_ms",
]  # fmt: skip


def scrap(dice: random.Random, depth: int) -> Any:
    """A value of any kind, now and then nested."""
    if depth and dice.random() < 0.4:
        return {dice.choice(KEYS): scrap(dice, depth - 1) for _ in range(dice.randrange(5))}
    if depth and dice.random() < 0.2:
        return [scrap(dice, depth - 1) for _ in range(dice.randrange(3))]
    return dice.choice(SCRAPS)


def message(dice: random.Random, names: list[str]) -> str:
    """A message that is more or less one."""
    made = {dice.choice(KEYS): scrap(dice, 3) for _ in range(dice.randrange(6))}
    if dice.random() < 0.95:
        made["type"] = dice.choice(list(_HANDLERS))
    if names and dice.random() < 0.5:
        made["item_id"] = dice.choice(names)
    text = json.dumps(made)
    return text if dice.random() < 0.9 else text[: dice.randrange(len(text) + 1)]


def walk(cases: int) -> None:
    dice = random.Random(SEED)
    wire, names = realtime(events="all"), list[str]()
    for case in range(cases):
        if case % 400 == 0:
            wire, names = realtime(events="all"), []
        if case % 50 == 25:
            _happen(wire, case)
        for frame in wire.receive(message(dice, names), now_ms=case).frames:
            encoded(frame).encode()
            official(frame)
            if frame["type"] == "conversation.item.added":
                names.append(frame["item"]["id"])


def _happen(wire: Realtime, case: int) -> None:
    hear(wire, *user_turn(f"item_u{case}"), started(f"resp_{case}"), *spoken(f"resp_{case}", "Oh", 160))
    hear(wire, done(f"resp_{case}"))


def test_nothing_a_client_sends_breaks_the_protocol() -> None:
    walk(2_000)


@pytest.mark.slow
def test_nothing_breaks_it_in_a_hundred_thousand_tries() -> None:
    walk(CASES)
