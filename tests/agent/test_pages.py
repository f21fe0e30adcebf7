"""HTTP answers: only the web client's own files, with headers that keep foreign code out."""

from __future__ import annotations

import json
import re

import pytest

from agent import pages


def test_the_client_is_served_with_its_types() -> None:
    files = pages.Files()
    kinds = {"/": "text/html", "/app.js": "text/javascript", "/style.css": "text/css", "/icon.svg": "image/svg+xml"}
    for path, kind in kinds.items():
        page = files.get(path)
        assert page is not None
        assert page.kind.startswith(kind)


@pytest.mark.parametrize("path", ["/../server.py", "/..%2fserver.py", "//etc/passwd", "/web", "", "/app.js/"])
def test_nothing_else_is(path: str) -> None:
    assert pages.Files().get(path) is None


def test_a_page_may_load_nothing_from_elsewhere() -> None:
    policy = dict(pages.as_text("x").headers())["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'")
    assert "unsafe" not in policy
    for path in pages.WEB.iterdir():
        foreign = set(re.findall(r"https?://[^\"'\s)]+", path.read_text(encoding="utf-8")))
        assert foreign <= {"http://www.w3.org/2000/svg"}, path.name


def test_a_refusal_is_a_typed_error_and_says_when_to_come_again() -> None:
    page = pages.refusal(429, "too_many_sessions", "Full.")
    assert json.loads(page.body)["error"]["code"] == "too_many_sessions"
    assert ("Retry-After", "5") in page.headers()


def test_every_module_of_the_client_is_there() -> None:
    files = pages.Files()
    for path in pages.WEB.glob("*.js"):
        for name in re.findall(r"from \"\.(/[a-z-]+\.js)\"|\"(/[a-z-]+\.js)\"", path.read_text(encoding="utf-8")):
            assert files.get("".join(name)) is not None, name
