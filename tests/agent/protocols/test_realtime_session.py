"""The session object: sparse updates are merged whole or refused whole."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.realtime import RealtimeSessionCreateRequest

from agent.protocols.realtime_session import Identity, SessionConfig
from agent.protocols.wire_error import WireError

IDENTITY = Identity("sess_1", "conv_1", "poise-1", "default", "maren", ("maren", "sol"), 1_790_000_000)


def config() -> SessionConfig:
    return SessionConfig(IDENTITY)


def merged(*patches: dict[str, Any]) -> dict[str, Any]:
    made = config()
    for patch in patches:
        made.merge(patch, voice_fixed=False, person_fixed=False)
    RealtimeSessionCreateRequest.model_validate(made.echo(), strict=True)
    return made.echo()


def refused(patch: Any, **fixed: bool) -> str:
    made = config()
    before = made.echo()
    with pytest.raises(WireError) as caught:
        made.merge(patch, **{"voice_fixed": False, "person_fixed": False} | fixed)
    assert made.echo() == before
    assert caught.value.wrong
    assert caught.value.mend
    return caught.value.code


def audio(side: str, **fields: Any) -> dict[str, Any]:
    return {"type": "realtime", "audio": {side: fields}}


def test_an_update_of_one_field_keeps_the_rest() -> None:
    assert merged({"type": "realtime", "tracing": "auto"}) == config().echo() | {"tracing": "auto"}
    assert merged({"instructions": "Be kind."}, {"tools": []})["instructions"] == "Be kind."


def test_bare_semantic_vad_is_filled() -> None:
    detection = merged(audio("input", turn_detection={"type": "semantic_vad"}))["audio"]["input"]["turn_detection"]
    assert detection == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }


def test_turn_detection_is_replaced_whole() -> None:
    first = audio("input", turn_detection={"type": "server_vad", "silence_duration_ms": 900})
    second = audio("input", turn_detection={"type": "server_vad", "threshold": 0.7})
    detection = merged(first, second)["audio"]["input"]["turn_detection"]
    assert (detection["silence_duration_ms"], detection["threshold"]) == (500, 0.7)
    assert merged(audio("input", turn_detection=None))["audio"]["input"]["turn_detection"] is None


def test_formats_are_echoed_as_clients_want_them() -> None:
    session = merged(audio("input", format={"type": "audio/pcmu"}), audio("output", format={"type": "audio/pcm"}))
    assert session["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert session["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24_000}


def test_noise_reduction_is_null_or_named() -> None:
    assert merged(audio("input", noise_reduction={"type": "near_field"}))["audio"]["input"]["noise_reduction"]
    assert refused(audio("input", noise_reduction={})) == "invalid_value"


def test_the_first_update_may_name_any_model_and_later_ones_not() -> None:
    assert merged({"type": "realtime", "model": "gpt-realtime"})["model"] == "gpt-realtime"
    with pytest.raises(WireError, match="model cannot change"):
        merged({"type": "realtime"}, {"type": "realtime", "model": "other"})


def test_unknown_keys_are_ignored() -> None:
    assert merged({"type": "realtime", "future": 1}) == config().echo()


@pytest.mark.parametrize(
    "patch",
    [
        7,
        {"type": "transcription"},
        {"output_modalities": ["text", "audio"]},
        {"max_output_tokens": 0},
        {"instructions": 5},
        {"instructions": "x" * 64_001},
        {"tools": {}},
        {"audio": []},
        audio("input", format={"type": "audio/pcm", "rate": 16_000}),
        audio("input", format={"type": "opus"}),
        audio("input", turn_detection={"type": "psychic"}),
        audio("input", turn_detection={"type": "server_vad", "create_response": "yes"}),
        audio("input", turn_detection={"type": "server_vad", "threshold": "high"}),
        audio("input", turn_detection={"type": "semantic_vad", "eagerness": "huge"}),
        audio("output", speed=9),
        audio("output", voice=7),
        {"poise": {"events": ["gossip"]}},
        {"poise": {"judgements": "some"}},
        {"poise": {"person": "../../etc"}},
    ],
)
def test_what_is_wrong_is_refused_and_changes_nothing(patch: Any) -> None:
    assert refused(patch).startswith("invalid")


def test_a_wrong_field_beside_right_ones_changes_nothing() -> None:
    assert refused({"instructions": "new", "max_output_tokens": -1}) == "invalid_value"


def test_voice_and_person_are_settled_once_used() -> None:
    assert refused(audio("output", voice="cedar"), voice_fixed=True) == "cannot_update_voice"
    assert refused({"poise": {"person": "ada"}}, person_fixed=True) == "person_immutable"
    assert merged({"poise": {"person": "ada"}})["poise"]["person"] == "ada"


def test_poise_events_are_chosen_by_list_or_all() -> None:
    assert merged({"poise": {"events": "all"}})["poise"]["judgements"] == "all"
    watching = merged({"poise": {"events": ["decision"], "judgements": "changes"}})["poise"]
    assert (watching["events"], watching["judgements"]) == (["decision"], "changes")
    assert SessionConfig(IDENTITY, events="judgement,decision").poise["events"] == ["decision", "judgement"]


def test_an_unknown_wish_in_the_address_is_refused_by_name() -> None:
    with pytest.raises(WireError):
        SessionConfig(IDENTITY, events="gossip")
