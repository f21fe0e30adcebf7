"""Who may come in, as rules over headers and paths."""

from __future__ import annotations

import pytest
from websockets.datastructures import Headers

from agent import admission
from agent.admission import UnsafeHostError, admit, authorised, check_binding, is_loopback, origin_allowed, wishes

TOKEN = "open-sesame"


def headers(**given: str) -> Headers:
    named = {"Host": "127.0.0.1:8710"} | {name.replace("_", "-"): value for name, value in given.items()}
    return Headers(named)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1", "[::1]", "poise.localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    check_binding(host, None)
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.evil.example"])
def test_every_other_host_does(host: str) -> None:
    with pytest.raises(UnsafeHostError) as caught:
        check_binding(host, None)
    assert host in caught.value.wrong
    assert "POISE_TOKEN" in caught.value.mend
    check_binding(host, TOKEN)


@pytest.mark.parametrize(
    "given",
    [
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"bearer  {TOKEN}"},
        {"api_key": TOKEN},
        {"Sec_WebSocket_Protocol": f"realtime, openai-insecure-api-key.{TOKEN}"},
    ],
)
def test_a_token_may_come_in_three_ways(given: dict[str, str]) -> None:
    assert authorised(headers(**given), TOKEN)


@pytest.mark.parametrize(
    "given",
    [{}, {"Authorization": TOKEN}, {"Authorization": "Bearer nope"}, {"api_key": ""}, {"api_key": "öffne"}],
)
def test_anything_else_is_no_token(given: dict[str, str]) -> None:
    assert not authorised(headers(**given), TOKEN)
    assert authorised(headers(**given), None)


def test_pages_of_this_machine_and_programs_may_connect() -> None:
    assert origin_allowed(headers(), (), None)
    assert origin_allowed(headers(Origin="http://localhost:3000"), (), None)
    assert origin_allowed(headers(Origin="http://127.0.0.1:8710"), (), None)


def test_foreign_pages_may_not() -> None:
    assert not origin_allowed(headers(Origin="https://evil.example"), (), None)
    assert not origin_allowed(headers(Origin="null"), (), None)
    assert origin_allowed(headers(Origin="https://friend.example"), ("https://friend.example",), None)


def test_a_name_rebound_to_this_machine_is_not_this_machine() -> None:
    rebound = headers(Host="evil.example:8710", Origin="http://evil.example:8710")
    assert not origin_allowed(rebound, (), None)
    assert origin_allowed(rebound, (), TOKEN)  # then the token decides


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("?person=..%2F..%2Fetc", "invalid_person"),
        ("?person=" + "x" * 65, "invalid_person"),
        ("?session=sess_1", "invalid_session"),
        ("?poise=gossip", "invalid_poise"),
        ("?judgements=some", "invalid_judgements"),
    ],
)
def test_names_in_the_address_are_checked(query: str, code: str) -> None:
    refusal = admit(f"/v1/realtime{query}", headers(), None, ())
    assert refusal is not None
    assert (refusal.status, refusal.code) == (400, code)


def test_extra_and_missing_keys_are_fine() -> None:
    assert admit("/v1/realtime?call_id=1&future=2", headers(), None, ()) is None


def test_wishes_come_from_the_address_or_a_header() -> None:
    wanted = wishes("/v1/realtime?model=m&person=ada&poise=all&judgements=changes", headers())
    assert (wanted.model, wanted.person, wanted.events, wanted.judgements) == ("m", "ada", "all", "changes")
    assert wishes("/v1/realtime", headers(X_Poise_Events="judgement,decision")).events == "judgement,decision"
    assert admit("/v1/realtime", headers(X_Poise_Events="judgement, decision"), None, ()) is None
    assert admit("/v1/realtime", headers(X_Poise_Events="gossip"), None, ()) is not None


def test_the_token_is_never_chosen_as_a_subprotocol() -> None:
    assert admission.subprotocol(["realtime", f"openai-insecure-api-key.{TOKEN}"]) == "realtime"
    assert admission.subprotocol([f"openai-insecure-api-key.{TOKEN}"]) is None
