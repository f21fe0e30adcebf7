"""One client's connection over a socket made of two queues, with a real session behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.admission import Wishes
from agent.clock import VirtualClock
from agent.config import Settings
from agent.connection import LIFE_OVER, Connection, GoneError
from agent.house import House, open_house
from agent.metrics import Metrics
from agent.outbox import Outbox
from agent.parts import assemble
from agent.vad import SileroVad
from policies.judge import timeout

from .tiny_engine import TinyModel

WISHES = Wishes(model="poise-1", person="default", persona=None, resume=None, events="", judgements="")


class Line:
    """Both ends of a connection."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[str | None] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None
        self.stuck = False

    async def receive(self) -> str | bytes:
        text = await self.inbox.get()
        if text is None:
            raise GoneError
        return text

    async def send(self, text: str) -> None:
        if self.stuck:
            await asyncio.Event().wait()
        self.sent.append(json.loads(text))

    async def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or (code, reason)
        self.inbox.put_nowait(None)

    def say(self, **message: Any) -> None:
        self.inbox.put_nowait(json.dumps(message))

    def types(self) -> list[str]:
        return [frame["type"] for frame in self.sent]


@asynccontextmanager
async def connected(home: Path, **given: Any) -> AsyncIterator[tuple[Line, Connection, VirtualClock, House]]:
    clock = VirtualClock()
    settings = Settings.load(home=home, memory=False, checkpoints="memory", **given)
    parts = assemble(settings, model=TinyModel(), judge=timeout.load(), vad=SileroVad())
    house = open_house(settings, parts, clock, Metrics())
    line = Line()
    connection = Connection(line, WISHES, house)
    running = asyncio.create_task(connection.run())
    await clock.advance(0.01)
    try:
        yield line, connection, clock, house
    finally:
        line.inbox.put_nowait(None)
        while not running.done():
            await clock.advance(0.5)
        await parts.close()


async def test_the_first_frame_is_session_created(tmp_path: Path) -> None:
    async with connected(tmp_path) as (line, _, _, _):
        assert line.types() == ["session.created"]


async def test_a_typed_turn_is_answered_and_paced(tmp_path: Path) -> None:
    async with connected(tmp_path) as (line, connection, clock, _):
        line.say(type="response.create")
        await clock.advance(0.5)
        assert connection.speaking
        early = line.types().count("response.output_audio.delta")
        await clock.advance(3.0)
        assert line.types()[-1] == "response.done"
        assert 0 < early < line.types().count("response.output_audio.delta")


async def test_who_the_session_is_for_may_be_said_before_it_begins(tmp_path: Path) -> None:
    async with connected(tmp_path) as (line, connection, clock, _):
        line.say(type="session.update", session={"poise": {"person": "ada"}})
        await clock.advance(1.0)
        assert line.sent[-1]["session"]["poise"]["person"] == "ada"
        assert connection._session._c.person == "ada"  # type: ignore[union-attr]


async def test_a_session_that_began_by_itself_can_still_become_somebodys(tmp_path: Path) -> None:
    async with connected(tmp_path) as (line, connection, clock, _):
        await clock.advance(1.0)
        assert connection._session._c.person == "default"  # type: ignore[union-attr]
        line.say(type="session.update", session={"poise": {"person": "ada"}})
        line.say(type="response.create")
        await clock.advance(3.0)
        assert connection._session._c.person == "ada"  # type: ignore[union-attr]
        assert line.types()[-1] == "response.done"


async def test_who_reads_does_not_wait_for_the_voice(tmp_path: Path) -> None:
    async with connected(tmp_path) as (line, _, clock, _):
        line.say(type="response.create", response={"output_modalities": ["text"]})
        await clock.advance(0.6)
        assert line.types()[-1] == "response.done"
        assert line.sent[-1]["response"]["status"] == "completed"


async def test_instructions_are_added_to_the_personas_stance(tmp_path: Path) -> None:
    async with connected(tmp_path) as (line, connection, clock, house):
        await clock.advance(1.0)
        line.say(type="session.update", session={"instructions": "Be brief.", "poise": {"persona": "sol"}})
        await clock.advance(0.1)
        stance = connection._session.persona.stance  # type: ignore[union-attr]
        assert stance == f"{house.personas['sol'].stance}\nBe brief."


async def test_a_command_the_session_refuses_is_a_typed_error(tmp_path: Path) -> None:
    async with connected(tmp_path) as (line, connection, clock, _):
        await clock.advance(1.0)
        await connection._session.close()  # type: ignore[union-attr]
        line.say(type="response.create", event_id="c1")
        await clock.advance(0.1)
        error = line.sent[-1]["error"]
        assert (error["code"], error["event_id"]) == ("session_closed", "c1")


async def test_an_unwritable_home_is_told_and_the_connection_lives(tmp_path: Path) -> None:
    (tmp_path / "traces").write_text("in the way")
    async with connected(tmp_path) as (line, _, clock, _):
        await clock.advance(1.0)
        assert [f["error"]["code"] for f in line.sent if f["type"] == "error"] == ["trace_unusable"]
        for _ in range(3):
            line.say(type="input_audio_buffer.append", audio="AAAA" * 160)
        line.say(type="session.update", session={"instructions": "Still there?"})
        await clock.advance(0.1)
        assert line.types()[-2:] == ["error", "session.updated"]


async def test_a_client_that_does_not_read_is_let_go(tmp_path: Path) -> None:
    async with connected(tmp_path) as (line, connection, clock, _):
        line.stuck = True
        connection._outbox = Outbox(limit=20_000)
        line.say(type="response.create")
        await clock.advance(4.0)
        assert line.closed is not None
        assert line.closed[0] == 1013


async def test_an_hour_is_the_longest_session(tmp_path: Path) -> None:
    async with connected(tmp_path) as (line, _, clock, _):
        await clock.advance(3_601.0)
        assert line.sent[-1]["error"]["code"] == "session_expired"
        assert line.closed is not None
        assert line.closed[0] == LIFE_OVER


async def test_leaving_ends_the_session_and_every_task(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with connected(tmp_path) as (line, connection, clock, _):
        line.say(type="response.create")
        await clock.advance(0.3)
        line.inbox.put_nowait(None)
        await clock.advance(3.0)
        assert connection.over.is_set()
        assert not connection.speaking
    assert asyncio.all_tasks() == before
