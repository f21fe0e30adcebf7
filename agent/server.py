"""The doors: one WebSocket server with the Realtime protocol, the web client, health and metrics.

It binds, admits, upgrades, and lets go; what is said belongs to `connection.py` and the session. It listens
on loopback unless a token is set. Run it with :func:`run`, or hold a :class:`Server` in a test.
"""

from __future__ import annotations

import asyncio
import errno
import signal
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from loguru import logger
from websockets.asyncio.server import Server as Listening
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from agent import admission, pages
from agent.admission import REALTIME, PortBusyError
from agent.clock import Clock, RealClock
from agent.config import Settings
from agent.connection import REPLACED, Connection, GoneError
from agent.house import House, open_house
from agent.metrics import Metrics
from agent.parts import Parts, build

VERSION = "0.1.0"
MAX_FRAME = 16 * 2**20  # bytes; the official client sends up to 15 MiB at once
PING_S = 20.0  # between pings, and between a ping and its answer
DRAIN_S = 3.0  # replies in progress may end within this when the server stops
PRIVATE = ("/metrics", "/v1/personas")  # paths that need the token, if there is one


@dataclass(slots=True)
class WebSocket:
    """A websockets connection in the form a :class:`Connection` knows."""

    wire: ServerConnection
    idle: bool = False  # all that has arrived was read

    async def receive(self) -> str | bytes:
        """The next message."""
        try:
            self.idle = True
            return await self.wire.recv()
        except ConnectionClosed as closed:
            raise GoneError from closed
        finally:
            self.idle = False

    async def send(self, text: str) -> None:
        """Send one text frame."""
        try:
            await self.wire.send(text)
        except ConnectionClosed as closed:
            raise GoneError from closed

    async def close(self, code: int, reason: str) -> None:
        """Close with a code and a reason."""
        await self.wire.close(code, reason)

    async def keep_alive(self, clock: Clock) -> None:
        """Ping, and close where no answer comes.

        The library's own keepalive would also close a client whose answer merely waits behind audio that we do
        not read yet; silence only means death where everything that came has been read.
        """
        with suppress(ConnectionClosed):
            while True:
                await clock.sleep(PING_S)
                pong = asyncio.ensure_future(await self.wire.ping())
                await clock.sleep(PING_S)
                if not pong.done() and self.idle:
                    await self.close(1011, "keepalive ping timeout")


class Server:
    """One listening server; ``start`` binds, ``stop`` drains and closes."""

    def __init__(self, settings: Settings, parts: Parts, clock: Clock | None = None) -> None:
        admission.check_binding(settings.host, settings.token)
        self._settings, self._parts, self._clock = settings, parts, clock or RealClock()
        self.metrics = Metrics()
        self._house: House = open_house(settings, parts, self._clock, self.metrics)
        self._files = pages.Files()
        self._live: dict[str, Connection] = {}
        self._draining = False
        self._listening: Listening | None = None

    async def start(self) -> None:
        """Bind and listen. Raises PortBusyError when the address cannot be had."""
        where = f"{self._settings.host}:{self._settings.port}"
        try:
            self._listening = await serve(
                self._converse,
                self._settings.host,
                self._settings.port,
                process_request=self._answer,
                select_subprotocol=_choose,
                compression=None,
                max_size=MAX_FRAME,
                ping_interval=None,  # WebSocket.keep_alive
                server_header=None,
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                mend = "Stop the other program, or choose another port with POISE_PORT."
                raise PortBusyError(f"Port {self._settings.port} is in use.", mend) from None
            reason = error.strerror or "it cannot be found"
            raise PortBusyError(f"The address {where} cannot be listened on: {reason}.", "Choose another.") from None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        if self._listening is None:
            return self._settings.port
        return int(next(iter(self._listening.sockets)).getsockname()[1])

    @property
    def address(self) -> str:
        """Where a browser finds the web client."""
        host = "127.0.0.1" if self._settings.host in ("0.0.0.0", "::") else self._settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    async def stop(self) -> None:
        """Take nobody in any more, let replies end for a moment, then close everything with 1001."""
        self._draining = True
        if self._live:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._quiet(), DRAIN_S)
        if self._listening is not None:
            self._listening.close()
            await self._listening.wait_closed()

    async def _quiet(self) -> None:
        while any(connection.speaking for connection in self._live.values()):
            await self._clock.sleep(0.05)

    # HTTP

    def _answer(self, wire: ServerConnection, request: Request) -> Response | None:
        """Answer a plain request, refuse an upgrade, or let it pass (None)."""
        path = urlsplit(request.path).path
        if path == REALTIME:
            page = self._refusal(request)
            return None if page is None else _response(page)
        return _response(self._page(path, request.headers))

    def _refusal(self, request: Request) -> pages.Page | None:
        settings = self._settings
        refused = admission.admit(request.path, request.headers, settings.token, settings.allowed_origins)
        if refused is None:
            refused = self._no_room(admission.wishes(request.path, request.headers))
        if refused is None:
            return None
        self.metrics.count("poise_sessions_refused_total", f'reason="{refused.code}"')
        return pages.refusal(refused.status, refused.code, refused.message, refused.kind)

    def _no_room(self, wanted: admission.Wishes) -> admission.Refusal | None:
        if self._draining:
            return admission.Refusal(503, "server_draining", "The server is stopping. Try again soon.")
        if wanted.persona not in (None, *self._house.personas):
            known = ", ".join(self._house.personas)
            return admission.Refusal(400, "unknown_persona", f"There is no such persona. Choose one of: {known}.")
        if len(self._live) >= self._settings.max_sessions and wanted.resume not in self._live:
            message = "The server holds as many sessions as it may. Try again later."
            return admission.Refusal(429, "too_many_sessions", message, "rate_limit_error")
        return None

    def _page(self, path: str, headers: Headers) -> pages.Page:
        if path in PRIVATE and not admission.authorised(headers, self._settings.token):
            return pages.refusal(401, "invalid_api_key", "The token is missing or wrong.", "authentication_error")
        match path:
            case "/health":
                state = {"status": "draining" if self._draining else "ok", "sessions": len(self._live)}
                return pages.as_json({**state, "version": VERSION}, 503 if self._draining else 200)
            case "/metrics":
                self.metrics.sessions = len(self._live)
                return pages.as_text(self.metrics.text(VERSION))
            case "/v1/personas":
                return pages.as_json({"default": self._house.persona, "personas": self._described()})
        return self._files.get(path) or pages.refusal(404, "not_found", f"There is nothing at {path[:80]}.")

    def _described(self) -> list[dict[str, object]]:
        kept = {"stance", "patience", "relationship", "boundaries"}
        return [
            {"name": name, **who.model_dump(mode="json", include=kept)} for name, who in self._house.personas.items()
        ]

    # WebSocket

    async def _converse(self, wire: ServerConnection) -> None:
        request = wire.request
        assert request is not None  # a connection that was upgraded had one
        socket = WebSocket(wire)
        connection = Connection(socket, admission.wishes(request.path, request.headers), self._house)
        earlier = self._live.get(connection.session_id)
        if earlier is not None:
            await earlier.close(REPLACED, "resumed elsewhere")
            await earlier.over.wait()
        if len(self._live) >= self._settings.max_sessions:
            await wire.close(1013, "too many sessions")
            return
        self._live[connection.session_id] = connection
        alive = asyncio.create_task(socket.keep_alive(self._clock))
        try:
            await connection.run()
        finally:
            alive.cancel()
            del self._live[connection.session_id]
            self.metrics.count("poise_ws_closed_total", f'code="{wire.close_code}"')


def _choose(wire: ServerConnection, offered: object) -> Subprotocol | None:
    names = [str(name) for name in offered] if isinstance(offered, list | tuple) else []
    chosen = admission.subprotocol(names)
    return Subprotocol(chosen) if chosen else None


def _response(page: pages.Page) -> Response:
    headers = Headers([*page.headers(), ("Connection", "close")])
    return Response(page.status, HTTPStatus(page.status).phrase, headers, page.body)


async def serve_until(settings: Settings, parts: Parts, stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set."""
    server = Server(settings, parts)
    await server.start()
    logger.info("Poise listens. Talk at {} or connect a Realtime client to {}v1", server.address, server.address)
    try:
        await stop.wait()
    finally:
        await server.stop()


def run(settings: Settings) -> None:
    """Build the parts and serve until interrupted. Raises PoiseError with one clear line."""
    admission.check_binding(settings.host, settings.token)
    asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    logger.info("Loading the engine {} and the judge {}", settings.engine, settings.judge)
    parts = build(settings)
    try:
        await serve_until(settings, parts, stop)
    finally:
        await parts.close()
