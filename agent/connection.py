"""One client and its session: reads messages, carries out commands, sends frames, in that order.

It joins the Realtime protocol to a session and bounds what a client can cost (queue, pace, length). It knows
a socket only as something that receives, sends and closes.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable
from contextlib import suppress
from traceback import extract_tb
from typing import Any, Protocol

import numpy as np
from loguru import logger

from agent.admission import Wishes
from agent.events import AudioSent, Event
from agent.house import House, Talk
from agent.outbox import InputPace, Outbox
from agent.protocols import commands as asked
from agent.protocols.realtime import Realtime, encoded
from agent.protocols.realtime_session import Identity
from model.interface import SAMPLE_RATE, PoiseError
from policies.situation import Persona

GREETING_S = 0.5  # a client has this long to say who it is for before the session begins by itself
LIFE_S = 3_600.0
LIFE_OVER, REPLACED = 4002, 4003  # close codes


class GoneError(Exception):
    """The client has closed the connection."""


class Socket(Protocol):
    """A connection, whatever carries it."""

    async def receive(self) -> str | bytes:
        """The next message. Raises GoneError when there will be none."""

    async def send(self, text: str) -> None:
        """Send one message. Raises GoneError when nobody is there."""

    async def close(self, code: int, reason: str) -> None:
        """Close; closing twice is harmless."""


def fresh(kind: str) -> str:
    """A new id: kind, underscore, 18 random hexadecimal digits."""
    return f"{kind}_{secrets.token_hex(9)}"


class Connection:
    """One client from its first frame to its last."""

    def __init__(self, socket: Socket, wishes: Wishes, house: House) -> None:
        self._socket, self._house, self._clock = socket, house, house.clock
        self.session_id = wishes.resume or fresh("sess")
        self._persona_name = wishes.persona if wishes.persona in house.personas else house.persona
        self._instructions = ""
        self._person = wishes.person
        identity = Identity(
            session=self.session_id,
            conversation=fresh("conv"),
            model=wishes.model,
            person=wishes.person,
            persona=self._persona_name,
            personas=tuple(house.personas),
            expires_at=int(house.clock.today().timestamp() + LIFE_S),
        )
        self._realtime = Realtime(
            identity,
            output_rate=house.output_rate,
            ids=fresh,
            events=wishes.events,
            judgements=wishes.judgements,
        )
        self._outbox, self._pace = Outbox(), InputPace()
        self._filled = asyncio.Event()
        self._session: Talk | None = None
        self._unopened: PoiseError | None = None  # why there is no session and will be none
        self._opening = asyncio.Lock()
        self._flow = asked.Configure(None, auto=True, may_interrupt=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._began = self._clock.now()
        self.over = asyncio.Event()

    async def run(self) -> None:
        """Serve until the client goes; leaves nothing running."""
        self._push(self._realtime.opened())
        for work in (self._write(), self._begin_by_itself(), self._expire()):
            self._spawn(work)
        try:
            while True:
                await self._take(await self._socket.receive())
        except GoneError:
            pass
        finally:
            await self._finish()

    @property
    def speaking(self) -> bool:
        """Whether a reply is on its way."""
        return self._session is not None and self._session.replying is not None

    async def close(self, code: int, reason: str) -> None:
        """Ask the client to go."""
        self._closing = True
        await self._socket.close(code, reason)

    async def _finish(self) -> None:
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            with suppress(PoiseError):
                await self._session.close("client_gone")
        self.over.set()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Awaitable[None]) -> None:
        try:
            await work
        except GoneError:
            pass
        except Exception as error:
            _broken("a connection", error)
            await self.close(1011, "internal error")

    # In

    async def _take(self, text: str | bytes) -> None:
        self._house.metrics.count("poise_ws_frames_total", 'direction="in"')
        self._house.metrics.count("poise_ws_bytes_total", 'direction="in"', len(text))
        answer = self._realtime.receive(text, round(1000 * (self._clock.now() - self._began)))
        self._push(answer.frames)
        for command in answer.commands:
            try:
                await self._carry_out(command)
            except PoiseError as error:
                self._push(self._realtime.refused(error, command.event_id))
            except Exception as error:
                self._push(self._realtime.refused(_broken("a command", error), command.event_id, "server_error"))

    async def _carry_out(self, command: asked.Command) -> None:
        match command:
            case asked.Identify():
                await self._identify(command.person)
            case asked.SetPersona():
                await self._set_persona(command)
            case asked.Configure():
                self._flow = command
                if self._session is not None:
                    self._steer(self._session)
            case asked.Aside():
                self._spawn(self._aside(command))
            case asked.Feed() if self._unopened is not None:
                pass  # said once; an error for every 20 ms of audio would help nobody
            case _:
                await self._ask(await self._opened(), command)

    async def _ask(self, session: Talk, command: asked.Command) -> None:
        match command:
            case asked.Feed():
                await session.feed(command.pcm)
                await self._clock.sleep(self._pace.take(len(command.pcm) / SAMPLE_RATE, self._clock.now()))
            case asked.Respond():
                await session.respond(
                    instruction=command.instruction, text=command.text, metadata=command.metadata, cause="client"
                )
            case asked.AddText():
                await session.add_text(command.item, command.who, command.text)
            case asked.Cancel():
                await session.cancel(command.reply, "client_cancelled")
            case asked.Acknowledge():
                session.acknowledge(command.reply, command.played)
            case asked.Commit():
                await session.commit()
            case asked.ClearInput():
                await session.clear_input()

    async def _opened(self) -> Talk:
        """The session; begun at the first thing that needs it, so that updates before may say whose it is."""
        async with self._opening:
            if self._unopened is not None:
                raise self._unopened
            if self._session is None:
                try:
                    session = self._house.open(self.session_id, self._person, self._persona(), self._emit)
                    self._steer(session)
                    await session.start()
                except PoiseError as error:
                    self._unopened = error
                    raise
                self._session = session
            return self._session

    async def _identify(self, person: str) -> None:
        """The session is somebody else's: one that began by itself is empty, and begun anew."""
        self._person = person
        async with self._opening:
            session, self._session = self._session, None
        if session is not None:
            await session.close("identified")

    def _steer(self, session: Talk) -> None:
        session.auto, session.may_interrupt_reply = self._flow.auto, self._flow.may_interrupt

    def _persona(self) -> Persona:
        persona = self._house.personas[self._persona_name]
        stance = f"{persona.stance}\n{self._instructions}" if self._instructions else persona.stance
        return persona.model_copy(update={"stance": stance})

    async def _set_persona(self, command: asked.SetPersona) -> None:
        self._persona_name = command.persona or self._persona_name
        self._instructions = command.instructions
        if self._session is not None:
            await self._session.set_persona(self._persona())

    async def _aside(self, command: asked.Aside) -> None:
        try:
            text, pcm = await self._house.aside(self._persona(), command.instruction, command.text)
        except Exception as error:
            failed = error if isinstance(error, PoiseError) else _broken("an aside", error)
            self._push(self._realtime.aside_failed(command.response, failed, command.event_id))
        else:
            self._push(self._realtime.aside_done(command.response, text, pcm))

    # Out

    def _emit(self, event: Event) -> None:
        self._house.metrics.see(event)
        self._push(self._realtime.project(event))
        if isinstance(event, AudioSent) and self._session is not None and self._realtime.is_read(event.reply):
            # Who reads has no need to wait for the voice: what was sent counts as heard at once.
            self._session.acknowledge(event.reply, event.offset + len(np.asarray(event.pcm)))

    def _push(self, frames: list[dict[str, Any]]) -> None:
        for frame in frames:
            droppable = frame["type"] == "poise.judgement.created"
            if not self._outbox.put(encoded(frame), droppable) and not self._closing:
                logger.warning("session {}: the client reads too slowly", self.session_id)
                self._spawn(self.close(1013, "the client reads too slowly"))
                self._closing = True
        self._filled.set()

    async def _write(self) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            while (text := self._outbox.take()) is not None:
                self._house.metrics.count("poise_ws_frames_total", 'direction="out"')
                self._house.metrics.count("poise_ws_bytes_total", 'direction="out"', len(text))
                await self._socket.send(text)

    # By itself

    async def _begin_by_itself(self) -> None:
        await self._clock.sleep(GREETING_S)
        try:
            await self._opened()
        except PoiseError as error:
            self._push(self._realtime.refused(error, None, "server_error"))

    async def _expire(self) -> None:
        await self._clock.sleep(LIFE_S)
        over = PoiseError("The session has lasted its hour.", "Open a new one with ?session= to go on.")
        over.code = "session_expired"
        self._push(self._realtime.refused(over, None))
        await self._clock.sleep(0.1)
        await self.close(LIFE_OVER, "session expired")


def _broken(what: str, error: Exception) -> PoiseError:
    """Log where something broke, never what was said, and make an error of it that may be shown."""
    places = [f"{place.filename.rpartition('/')[2]}:{place.lineno}" for place in extract_tb(error.__traceback__)]
    logger.error("{} failed: {} at {}", what, type(error).__name__, " < ".join(places[::-1][:5]))
    return PoiseError("The server could not do that.", "Its log says where it failed.")
