"""A headless Chromium driven by the WebDriver protocol, with the standard library only."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
]
LIMIT_S = 60.0
STEP_S = 0.1


class Browser:
    """One window."""

    def __init__(self, driver: str, session: str) -> None:
        self._at = f"{driver}/session/{session}"

    def open(self, url: str) -> None:
        call("POST", f"{self._at}/url", {"url": url})

    def run(self, script: str, *args: Any) -> Any:
        return call("POST", f"{self._at}/execute/sync", {"script": script, "args": list(args)})

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector))

    def press(self, selector: str) -> None:
        self.run("document.querySelector(arguments[0]).click()", selector)

    def key(self, key: str) -> None:
        event = "new KeyboardEvent('keydown', {key: arguments[0], bubbles: true})"
        self.run(f"document.body.dispatchEvent({event})", key)

    def until(self, condition: str) -> Any:
        """Wait until a JavaScript expression is true; returns its value."""
        for _ in range(round(LIMIT_S / STEP_S)):
            value = self.run(f"return {condition}")
            if value:
                return value
            time.sleep(STEP_S)  # noqa: TID251 - the browser is another process with a clock of its own
        raise AssertionError(f"never true: {condition}")

    def errors(self) -> list[str]:
        """What the page complained about."""
        entries = call("POST", f"{self._at}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def size(self, width: int, height: int) -> None:
        """The page's own size, as on a device of this width."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)

    def dark(self, on: bool) -> None:
        """Prefer dark colours."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        self._devtools("Emulation.setEmulatedMedia", {"features": features})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(call("GET", f"{self._at}/screenshot")))

    def _devtools(self, command: str, params: dict[str, Any]) -> None:
        call("POST", f"{self._at}/goog/cdp/execute", {"cmd": command, "params": params})


def call(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urlopen(request, timeout=LIMIT_S) as answer:
        return json.loads(answer.read())["value"]


@contextmanager
def browser(microphone: Path | None = None) -> Iterator[Browser]:
    """A fresh browser; ``microphone`` is a WAV that it hears again and again."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    driver = f"http://127.0.0.1:{port}"
    heard = [f"--use-file-for-fake-audio-capture={microphone}"] if microphone else []
    options = {"args": [*FLAGS, *heard], "binary": "/usr/bin/chromium"}
    wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
    process = subprocess.Popen(["/usr/bin/chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL)
    try:
        _wait(driver)
        session = call("POST", f"{driver}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        try:
            yield Browser(driver, session)
        finally:
            with suppress(OSError):
                call("DELETE", f"{driver}/session/{session}")
    finally:
        process.terminate()
        process.wait()


def _wait(driver: str) -> None:
    for _ in range(round(LIMIT_S / STEP_S)):
        try:
            call("GET", f"{driver}/status")
            return
        except URLError:
            time.sleep(STEP_S)  # noqa: TID251 - the driver is another process with a clock of its own
    raise AssertionError("the driver never came up")
