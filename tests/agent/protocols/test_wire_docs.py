"""The page on the wire names every event and every watchable name, and none that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

from agent.protocols.realtime import _HANDLERS
from agent.protocols.realtime_session import WATCHABLE

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def first_cells(title: str) -> set[str]:
    rows = [row for row in section(title).splitlines() if row.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def test_every_client_event_is_described() -> None:
    assert first_cells("What a client may send") == set(_HANDLERS)


def test_everything_that_can_be_watched_is_described() -> None:
    assert first_cells("What Poise adds") == WATCHABLE


def test_every_event_of_our_own_is_described() -> None:
    sources = (ROOT / "agent" / "protocols").glob("*.py")
    made = {name for path in sources for name in re.findall(r"\"(poise\.[a-z]+\.[a-z]+)\"", path.read_text("utf-8"))}
    assert made == set(re.findall(r"`(poise\.[a-z]+\.[a-z]+)`", PAGE))
