"""The doors, through the stock client: conversations, refusals, limits, and a server that stops in order."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from agent.admission import PortBusyError, UnsafeHostError
from agent.clock import VirtualClock
from agent.config import Settings
from agent.server import Server, WebSocket

from .serving import client, serving, silence, speech


def address(server: Server, query: str = "") -> str:
    return f"ws://127.0.0.1:{server.port}/v1/realtime{query}"


async def refused(server: Server, query: str = "", **given: Any) -> tuple[int, str]:
    """Status and code of a refused upgrade."""
    with pytest.raises(InvalidStatus) as caught:
        async with connect(address(server, query), **given):
            pass
    response = caught.value.response
    return response.status_code, str(json.loads(response.body)["error"]["code"])


async def page(server: Server, path: str) -> tuple[int, str]:
    def get() -> tuple[int, str]:
        with urlopen(f"http://127.0.0.1:{server.port}{path}") as answer:
            return int(answer.status), answer.read().decode()

    return await asyncio.to_thread(get)


async def test_a_spoken_turn_is_answered_by_voice(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, client(server) as me:
        await me.until("session.created")
        await me.wire.session.update(session={"type": "realtime", "instructions": "Be kind."})
        assert (await me.until("session.updated")).session.instructions == "Be kind."
        await me.say(speech())
        await me.say(silence(2.0))
        done = await me.until("response.done")
    assert done.response.status == "completed"
    transcript = done.response.output[0].content[0].transcript
    assert transcript.endswith("one two three four five six")
    wanted = ["speech_started", "speech_stopped", "committed"]
    assert [kind.split(".")[1] for kind in me.types() if kind.startswith("input_audio_buffer")] == wanted
    assert me.types().count("response.output_audio.delta") > 5


async def test_barging_in_cuts_the_reply_to_what_was_heard(tmp_path: Path) -> None:
    async with serving(tmp_path, words="word " * 24) as server, client(server) as me:
        await me.say(speech())
        await me.say(silence(1.6))
        delta = await me.until("response.output_audio.delta")
        await me.until("response.output_audio.delta")
        await me.say(speech())
        done = await me.until("response.done")
        assert (done.response.status, done.response.status_details.reason) == ("cancelled", "turn_detected")
        kinds = me.types()
        assert kinds.index("response.done") > len(kinds) - 1 - kinds[::-1].index("input_audio_buffer.speech_started")
        await me.wire.conversation.item.truncate(item_id=delta.item_id, content_index=0, audio_end_ms=10)
        await me.until("conversation.item.truncated")
        await me.wire.conversation.item.retrieve(item_id=delta.item_id)
        kept = await me.until("conversation.item.retrieved")
    assert (kept.item.status, kept.item.content[0].transcript) == ("incomplete", "")


async def test_a_typed_turn_is_answered_and_can_be_cancelled(tmp_path: Path) -> None:
    async with serving(tmp_path, words="word " * 24) as server, client(server) as me:
        content = [{"type": "input_text", "text": "hi"}]
        await me.wire.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        await me.wire.response.create(response={"metadata": {"topic": "greeting"}})
        await me.until("response.output_audio.delta")
        await me.wire.response.cancel()
        done = await me.until("response.done")
        assert done.response.status_details.reason == "client_cancelled"
        assert done.response.metadata == {"topic": "greeting"}
        await me.wire.response.create(response={"conversation": "none", "output_modalities": ["text"]})
        aside = await me.until("response.done")
    assert aside.response.conversation_id is None
    assert aside.response.output[0].content[0].text.startswith("word word")


async def test_manual_mode_answers_only_when_asked(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, client(server) as me:
        await me.wire.session.update(session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
        await me.say(speech())
        await me.say(silence(1.5))
        await me.wire.input_audio_buffer.commit()
        await me.until("conversation.item.input_audio_transcription.completed")
        assert not {"response.created", "input_audio_buffer.speech_started"} & set(me.types())
        await me.wire.response.create()
        assert (await me.until("response.done")).response.status == "completed"


@pytest.mark.parametrize("message", ["{", '{"type":"nope"}', '{"type":"input_audio_buffer.append","audio":"AAAA"}'])
async def test_bad_messages_are_answered_and_the_session_goes_on(tmp_path: Path, message: str) -> None:
    async with serving(tmp_path) as server, client(server) as me:
        await me.wire.send_raw(message)
        assert (await me.until("error")).error.type == "invalid_request_error"
        await me.wire.response.create()
        await me.until("response.created")


async def test_judgements_are_for_those_who_ask(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        async with client(server, poise="all") as watching:
            await watching.say(silence(0.5))
            judged = await watching.until("poise.judgement.created")
        async with client(server) as strict:
            await strict.say(silence(0.5))
            await strict.wire.input_audio_buffer.clear()
            await strict.until("input_audio_buffer.cleared")
    assert sum(judged.p.values()) == pytest.approx(1, abs=0.01)
    assert not [kind for kind in strict.types() if kind.startswith("poise.")]


async def test_a_token_is_wanted_in_one_of_three_ways(tmp_path: Path) -> None:
    async with serving(tmp_path, token="open-sesame") as server:
        assert await refused(server) == (401, "invalid_api_key")
        assert await refused(server, additional_headers={"Authorization": "Bearer wrong"}) == (401, "invalid_api_key")
        for given in ({"Authorization": "Bearer open-sesame"}, {"api-key": "open-sesame"}):
            async with connect(address(server), additional_headers=given):
                pass
        offers: Any = ["realtime", "openai-insecure-api-key.open-sesame"]
        async with connect(address(server), subprotocols=offers) as wire:
            assert wire.subprotocol == "realtime"


async def test_foreign_pages_old_clients_and_bad_names_are_refused(tmp_path: Path) -> None:
    async with serving(tmp_path, allowed_origins=("https://friend.example",)) as server:
        assert await refused(server, origin="https://evil.example") == (403, "origin_refused")
        beta = {"OpenAI-Beta": "realtime=v1"}
        assert await refused(server, additional_headers=beta) == (400, "beta_api_shape_disabled")
        for query, code in (("person=../x", "person"), ("session=x", "session"), ("poise=gossip", "poise")):
            assert await refused(server, f"?{query}") == (400, f"invalid_{code}")
        assert await refused(server, "?persona=nobody") == (400, "unknown_persona")
        async with connect(address(server), origin=Origin("https://friend.example")):
            pass


async def test_a_full_house_refuses_and_counts(tmp_path: Path) -> None:
    async with serving(tmp_path, max_sessions=1) as server, connect(address(server)) as first:
        await first.recv()
        assert await refused(server) == (429, "too_many_sessions")
        assert 'poise_sessions_refused_total{reason="too_many_sessions"} 1' in (await page(server, "/metrics"))[1]


async def test_a_session_is_resumed_elsewhere_and_the_old_one_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connect(address(server)) as first:
        token = json.loads(await first.recv())["session"]["poise"]["resume"]
        async with connect(address(server, f"?session={token}")) as second:
            assert json.loads(await second.recv())["session"]["id"] == token
            with pytest.raises(ConnectionClosed) as closed:
                await first.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4003


async def test_stopping_tells_everybody_to_come_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connect(address(server)) as wire:
        await wire.recv()
        await server.stop()
        with pytest.raises(ConnectionClosed) as closed:
            await wire.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001


async def test_pages_health_and_personas_are_served(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        assert json.loads((await page(server, "/health"))[1])["status"] == "ok"
        assert "<title>Poise</title>" in (await page(server, "/"))[1]
        names = [who["name"] for who in json.loads((await page(server, "/v1/personas"))[1])["personas"]]
    assert "maren" in names


class Silent:
    """A peer that never answers a ping."""

    code: int | None = None

    async def ping(self) -> asyncio.Future[float]:
        return asyncio.get_running_loop().create_future()

    async def close(self, code: int, reason: str) -> None:
        self.code = code


@pytest.mark.parametrize(("idle", "code"), [(True, 1011), (False, None)])
async def test_silence_is_death_only_where_everything_was_read(idle: bool, code: int | None) -> None:
    clock, peer = VirtualClock(), Silent()
    alive = asyncio.create_task(WebSocket(peer, idle=idle).keep_alive(clock))  # type: ignore[arg-type]
    await clock.advance(100.0)
    assert peer.code == code
    alive.cancel()


def test_other_hosts_need_a_token(tmp_path: Path) -> None:
    with pytest.raises(UnsafeHostError, match=r"0\.0\.0\.0.*POISE_TOKEN"):
        Server(Settings.load(home=tmp_path, host="0.0.0.0"), parts=None)  # type: ignore[arg-type]


async def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        second = Server(server._settings.model_copy(update={"port": server.port}), server._parts)
        with pytest.raises(PortBusyError, match=f"Port {server.port} is in use"):
            await second.start()
