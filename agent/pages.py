"""Plain HTTP answers: the web client's files, health, metrics, the list of personas.

It turns a path into status, headers and bytes; files come only from the folder `web`, read once. It knows
nothing of sessions and opens no socket.
"""

from __future__ import annotations

import json
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WEB = Path(__file__).parent / "web"
POLICY = (
    "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Page:
    """One HTTP answer."""

    status: int
    kind: str
    body: bytes
    extra: tuple[tuple[str, str], ...] = ()

    def headers(self) -> list[tuple[str, str]]:
        """All headers of the answer."""
        return [
            ("Content-Type", self.kind),
            ("Content-Length", str(len(self.body))),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-cache"),
            *self.extra,
        ]


def as_json(value: Any, status: int = 200, extra: tuple[tuple[str, str], ...] = ()) -> Page:
    """A JSON answer."""
    return Page(status, "application/json; charset=utf-8", json.dumps(value).encode(), extra)


def as_text(text: str, status: int = 200) -> Page:
    """A plain text answer."""
    return Page(status, "text/plain; version=0.0.4; charset=utf-8", text.encode())


def refusal(status: int, code: str, message: str, kind: str = "invalid_request_error") -> Page:
    """A typed error, as clients of the protocol expect it; a full house says when to come again."""
    error = {"error": {"type": kind, "code": code, "message": message, "param": None}}
    return as_json(error, status, (("Retry-After", "5"),) if status in (429, 503) else ())


class Files:
    """The web client, held in memory."""

    def __init__(self, folder: Path = WEB) -> None:
        found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        self._pages = {f"/{path.relative_to(folder).as_posix()}": _page(path) for path in found}
        if "/index.html" in self._pages:
            self._pages["/"] = self._pages["/index.html"]

    def get(self, path: str) -> Page | None:
        """The file of a path, or None."""
        return self._pages.get(path)


def _page(path: Path) -> Page:
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Page(200, f"{kind}; charset=utf-8" if kind.startswith("text/") else kind, path.read_bytes())
