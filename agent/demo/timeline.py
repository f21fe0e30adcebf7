"""Prints a conversation while it happens: one line a chunk, and a line for whatever else is worth telling.

Text only. It reads wire events and draws no conclusions.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

SHORT = {"interrupt": "int", "refuse": "ref", "deflect": "def", "silence": "sil", "respond": "res"}
COLOURS = {"interrupt": "red", "refuse": "magenta", "deflect": "yellow", "silence": "bright_black", "respond": "green"}


class Timeline:
    """Call it with (seconds, event); unknown events are passed over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._reply = ""

    def __call__(self, at: float, event: dict[str, Any]) -> None:
        """Print what the event tells."""
        line = self._line(event)
        if line is not None:
            self._console.print(Text(f"{at:6.2f} ", style="bright_black") + line, soft_wrap=True)

    def _line(self, event: dict[str, Any]) -> Text | None:
        match event["type"]:
            case "poise.judgement.created":
                return _chunk(event)
            case "poise.decision.made" if event["move"] in ("take_floor", "yield_floor"):
                reasons = "; ".join(event["reasons"])
                return Text(f"  ── {event['move']}: {event['action']} ── {reasons}", style="bold cyan")
            case "conversation.item.input_audio_transcription.completed":
                return Text(f"  user said: {event['transcript']!r}", style="bold")
            case "response.created":
                self._reply = ""
            case "response.output_audio_transcript.delta":
                self._reply += event["delta"]
            case "response.done":
                return Text(f"  agent said: {self._reply.strip()!r} ({_ending(event)})", style="bold green")
            case "poise.memory.recalled" | "poise.memory.written":
                verb = event["type"].rpartition(".")[2]
                return Text(f"  memory {verb}: {'; '.join(event['texts'])}", style="blue")
            case "poise.turn.timed":
                return Text(f"  latency: {ledger(event)}", style="bright_black")
            case "error":
                return Text(f"  error: {event['error']['message']}", style="bold red")
        return None


def _chunk(event: dict[str, Any]) -> Text:
    line = Text(f"#{event['chunk']:<4d}{event['floor']:7s}")
    for action, short in SHORT.items():
        p = event["p"][action]
        line.append(f"{short} {p:.2f} ", style=COLOURS[action] + (" bold" if action == event["choice"] else ""))
    spent = event["stage_ms"]
    words = event["transcript"]
    cost = sum(ms for stage, ms in spent.items() if stage not in ("late", "graph"))
    line.append(f" {event['move']:12s}{cost:5.0f} ms  ", style="bright_black")
    line.append(words["stable"])
    return line.append(f" {words['tentative']}", style="italic bright_black")


def _ending(event: dict[str, Any]) -> str:
    response = event["response"]
    reason = (response.get("status_details") or {}).get("reason")
    return f"{response['status']}, {reason}" if reason else str(response["status"])


def ledger(event: dict[str, Any]) -> str:
    """The latencies of one turn in words; only those that happened."""
    stop, decided, first = (event.get(f"{name}_ms") for name in ("user_stopped", "decided", "first_audio"))
    barge, silent = event.get("barge_in_ms"), event.get("silent_ms")
    parts = []
    if stop is not None and decided is not None:
        parts.append(f"user stopped to decision {decided - stop:.0f} ms")
    if decided is not None and first is not None:
        parts.append(f"decision to first audio {first - decided:.0f} ms")
    if barge is not None and silent is not None:
        parts.append(f"barge-in to silence {silent - barge:.0f} ms")
    return ", ".join(parts) or "nothing to time"
