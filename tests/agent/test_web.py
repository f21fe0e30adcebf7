"""The web client in a real browser, with recorded speech as its microphone."""

from __future__ import annotations

import asyncio
import shutil
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.audio import to_pcm16
from agent.server import Server

from .browser import Browser, browser
from .serving import serving, speech

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("chromedriver"), reason="needs Chromium and its driver"),
]
WORDS = "rent comes first and the watch can wait until you have three months of savings put aside"
CONNECTED = "document.getElementById('state').dataset.state === 'open'"


def microphone(folder: Path) -> Path:
    """Half a second of silence, the recording, eight seconds of silence."""
    path = folder / "microphone.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(16_000) + to_pcm16(speech()) + bytes(2 * 16_000 * 8))
    return path


async def browse(folder: Path, visit: Callable[[Browser, Server], Any], **given: Any) -> None:
    """Visit a server's page with a browser."""

    def visited() -> None:
        with browser(microphone(folder)) as page:
            page.open(server.address)
            visit(page, server)

    async with serving(folder, WORDS, **given) as server:
        await asyncio.to_thread(visited)


async def test_one_talks_and_sees_captions_probabilities_and_reasons(tmp_path: Path) -> None:
    def visit(page: Browser, server: Server) -> None:
        page.until("document.querySelectorAll('#persona option').length > 1")
        page.press("#start")
        page.until(CONNECTED)
        page.until("document.querySelector('.captions .user .sure')?.textContent.includes('w0')")
        page.until("document.querySelector('.captions .agent')?.textContent.includes('rent comes')")
        page.until("document.querySelector('.captions .agent .was-heard')")
        assert sum(page.run("return [...document.querySelectorAll('#bars output')].map(o => parseInt(o.textContent))"))
        assert "a pause of" in page.text("#log") or "pause" in page.text("#log")
        page.key("Escape")
        page.until("document.querySelector('.captions .agent .badge.cut')")
        assert page.run("return document.querySelectorAll('.captions .agent .unheard').length") > 0
        assert page.errors() == []

    await browse(tmp_path, visit)


async def test_one_types_mutes_by_keyboard_and_changes_the_persona(tmp_path: Path) -> None:
    def visit(page: Browser, server: Server) -> None:
        page.press("#start")
        page.until(CONNECTED)
        page.key(" ")
        page.until("document.getElementById('mute').getAttribute('aria-pressed') === 'true'")
        page.run("document.getElementById('text').value = 'hello'")
        page.press("#send")
        page.until("document.querySelector('.captions .agent')?.textContent.includes('rent comes')")
        page.run("const s = document.getElementById('persona'); s.value = 'sol'; s.dispatchEvent(new Event('change'))")
        page.until("document.getElementById('persona').value === 'sol'")
        page.press("#start")
        page.until("document.getElementById('state').dataset.state === 'off'")
        assert page.errors() == []

    await browse(tmp_path, visit)


async def test_a_token_is_asked_for_and_used(tmp_path: Path) -> None:
    def visit(page: Browser, server: Server) -> None:
        page.until("!document.getElementById('token-form').hidden")
        page.run("document.getElementById('token').value = 'open-sesame'")
        page.press("#token-form button")
        page.until("document.getElementById('token-form').hidden")
        page.press("#start")
        page.until(CONNECTED)

    await browse(tmp_path, visit, token="open-sesame")


async def test_small_screens_need_no_sideways_scrolling(tmp_path: Path) -> None:
    def visit(page: Browser, server: Server) -> None:
        page.size(360, 740)
        assert page.run("return document.documentElement.scrollWidth") <= 360

    await browse(tmp_path, visit)
