"""Who may come in: tokens, origins, paths and names, judged before a connection is upgraded.

Pure rules over headers and paths; refusing costs no session. It knows of no sockets and keeps no secret
longer than a comparison.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from agent.protocols.realtime_session import PERSON, WATCHABLE
from model.interface import PoiseError

REALTIME = "/v1/realtime"
KEY_PROTOCOL = "openai-insecure-api-key."
SESSION_ID = re.compile(r"sess_[A-Za-z0-9]{16,27}")
_EVENTS = re.compile(rf"(all|({'|'.join(sorted(WATCHABLE))})([, ]+({'|'.join(sorted(WATCHABLE))}))*)?")
_NAMES = {
    "person": PERSON,
    "session": SESSION_ID,
    "poise": _EVENTS,
    "judgements": re.compile("all|changes|off"),
}


class UnsafeHostError(PoiseError):
    """The server would be open to others without a token."""

    code = "token_required"


class PortBusyError(PoiseError):
    """The address cannot be listened on."""

    code = "port_in_use"


class Headers(Protocol):
    """What is needed of a request's headers (names are case-insensitive)."""

    def get_all(self, key: str) -> Sequence[str]:
        """All values of a header, in order."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer instead of an upgrade."""

    status: int
    code: str
    message: str
    kind: str = "invalid_request_error"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a client asks for in its address and headers."""

    model: str
    person: str
    persona: str | None
    resume: str | None
    events: str
    judgements: str


def check_binding(host: str, token: str | None) -> None:
    """Only the machine itself may connect without a token."""
    if not token and not is_loopback(host):
        raise UnsafeHostError(
            f"The server would listen on {host} without a token.",
            "Set POISE_TOKEN to a secret, or listen on 127.0.0.1.",
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def first(headers: Headers, name: str) -> str:
    """A header's first value, or an empty text."""
    values = headers.get_all(name)
    return values[0] if values else ""


def authorised(headers: Headers, token: str | None) -> bool:
    """Whether one of the three ways of bringing a token brings the right one; compared in constant time."""
    if not token:
        return True
    bearer = first(headers, "Authorization").partition(" ")
    offered = [bearer[2].strip() if bearer[0].lower() == "bearer" else "", first(headers, "api-key")]
    offered += [name[len(KEY_PROTOCOL) :] for name in offered_protocols(headers) if name.startswith(KEY_PROTOCOL)]
    matches = [hmac.compare_digest(key.encode(), token.encode()) for key in offered]
    return any(matches)


def offered_protocols(headers: Headers) -> list[str]:
    """All subprotocols a client offers."""
    lines = headers.get_all("Sec-WebSocket-Protocol")
    return [name.strip() for line in lines for name in line.split(",") if name.strip()]


def origin_allowed(headers: Headers, allowed: Sequence[str], token: str | None) -> bool:
    """Pages of this server, of this machine, and of the allow-list; programs send no origin.

    Without a token the Host must be this machine too: otherwise a foreign name that resolves to loopback
    would make a foreign page look like one of ours.
    """
    host = urlsplit(f"//{first(headers, 'Host')}").hostname or ""
    origin = first(headers, "Origin")
    if origin and origin in allowed:
        return True
    if not token and not is_loopback(host):
        return False
    if not origin:
        return True
    name = urlsplit(origin).hostname or ""
    return bool(name) and (is_loopback(name) or name == host)


def admit(path: str, headers: Headers, token: str | None, allowed: Sequence[str]) -> Refusal | None:
    """Whether a client may open a conversation; None means yes."""
    if not origin_allowed(headers, allowed, token):
        return Refusal(403, "origin_refused", "Pages of this origin may not connect. Add it to POISE_ALLOWED_ORIGINS.")
    if not authorised(headers, token):
        message = "The token is missing or wrong. Send it as Authorization: Bearer TOKEN."
        return Refusal(401, "invalid_api_key", message, "authentication_error")
    if "realtime=v1" in first(headers, "OpenAI-Beta"):
        message = "The beta shape of the protocol is not spoken here. Use a client of the GA interface."
        return Refusal(400, "beta_api_shape_disabled", message)
    wish = parse_qs(urlsplit(path).query)
    for name, pattern in _NAMES.items():
        for value in wish.get(name, []):
            if not pattern.fullmatch(value):
                return Refusal(400, f"invalid_{name}", f"The {name} in the address is not valid. Leave it out.")
    if not _EVENTS.fullmatch(first(headers, "X-Poise-Events")):
        return Refusal(400, "invalid_poise", "X-Poise-Events is not understood. Send all, or names with commas.")
    return None


def wishes(path: str, headers: Headers) -> Wishes:
    """What an admitted client asks for."""
    query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
    return Wishes(
        model=query.get("model", "poise-1")[:64],
        person=query.get("person", "default"),
        persona=query.get("persona"),
        resume=query.get("session"),
        events=query.get("poise") or first(headers, "X-Poise-Events"),
        judgements=query.get("judgements", ""),
    )


def subprotocol(offered: Sequence[str]) -> str | None:
    """The one subprotocol ever chosen; a token is never echoed."""
    return "realtime" if "realtime" in offered else None
