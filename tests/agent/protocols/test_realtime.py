"""The Realtime protocol core: order, ids, nulls and errors, each frame validated by the official client's types."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from agent import events
from agent.protocols import commands as asked
from model.interface import PoiseError

from .wire_events import at, checked, done, hear, judged, realtime, spoken, started, tell, types, user_turn

PCM = base64.b64encode(np.zeros(4_800, "<i2").tobytes()).decode()  # 200 ms
RESPONSE = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
ENDING = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]


def error(answer: Any) -> dict[str, Any]:
    (frame,) = answer.frames
    assert frame["type"] == "error"
    assert not answer.commands
    return dict(frame["error"])


def audio(frames: list[dict[str, Any]]) -> bytes:
    deltas = [frame["delta"] for frame in frames if frame["type"] == "response.output_audio.delta"]
    return b"".join(base64.b64decode(delta) for delta in deltas)


def test_the_first_frame_is_the_whole_session() -> None:
    (frame,) = checked(realtime().opened())
    assert frame["session"]["audio"]["input"]["turn_detection"]["interrupt_response"] is True
    assert frame["session"]["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24_000}
    assert frame["session"]["poise"]["persona"] == "maren"


def test_a_user_turn_comes_in_the_fixed_order() -> None:
    frames = hear(realtime(), *user_turn())
    assert types(frames) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
    ]
    assert {frame.get("item_id", "item_u1") for frame in frames} == {"item_u1"}
    assert frames[3]["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert frames[2]["previous_item_id"] is None


def test_a_reply_comes_in_the_fixed_order() -> None:
    frames = hear(realtime(), started(), *spoken(text="Oh dear."), done())
    delta = ["response.output_audio_transcript.delta", "response.output_audio.delta"]
    assert types(frames) == [*RESPONSE, *delta, *delta, *types(frames)[8:-6], *ENDING]


def test_words_joined_are_the_transcript_and_audio_has_the_right_length() -> None:
    frames = hear(realtime(), started(), *spoken(), done())
    words = [f["delta"] for f in frames if f["type"] == "response.output_audio_transcript.delta"]
    assert "".join(words) == "I am so sorry."
    assert frames[-1]["response"]["output"][0]["content"] == [{"type": "output_audio", "transcript": "I am so sorry."}]
    assert len(audio(frames)) // 2 == pytest.approx(4 * 4_800, abs=80)


def test_word_times_come_with_the_words() -> None:
    frames = hear(realtime(), started(), *spoken())
    times = [f["start_time"] for f in frames if f["type"] == "response.output_audio_transcript.delta"]
    assert times == [0.0, 0.2, 0.4, 0.6]


def test_a_barge_in_says_speech_started_first_and_ends_incomplete() -> None:
    wire = realtime()
    hear(wire, *user_turn(), started(), *spoken())
    frames = hear(
        wire,
        events.SpeechStarted(**at(), item="item_u2", start_ms=5200),
        done(status="cut", reason="barge_in", heard="I am"),
    )
    assert types(frames) == ["input_audio_buffer.speech_started", *ENDING]
    response = frames[-1]["response"]
    assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert response["output"][0]["status"] == "incomplete"
    assert response["output"][0]["content"][0]["transcript"] == "I am"


def test_nothing_of_a_reply_follows_its_end() -> None:
    wire = realtime()
    hear(wire, started(), done(status="cut", reason="client_cancelled"))
    assert hear(wire, *spoken(), done()) == []


def test_truncating_keeps_the_words_that_were_heard() -> None:
    wire = realtime()
    frames = hear(wire, started(), *spoken(), done(status="cut", reason="barge_in", heard="I am so"))
    item = frames[-1]["response"]["output"][0]["id"]
    answer = tell(wire, type="conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=450)
    assert types(answer.frames) == ["conversation.item.truncated"]
    assert answer.commands == [asked.Acknowledge(None, "resp_a1", 7_200)]
    (got,) = tell(wire, type="conversation.item.retrieve", item_id=item).frames
    assert got["item"]["content"][0]["transcript"] == "I am"


def test_truncating_again_or_beyond_the_end_is_accepted() -> None:
    wire = realtime()
    frames = hear(wire, started(), *spoken(), done())
    item = frames[-1]["response"]["output"][0]["id"]
    for ms in (99_999, 99_999, 0):
        answer = tell(wire, type="conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=ms)
        assert types(answer.frames) == ["conversation.item.truncated"]
    assert answer.commands == [asked.Acknowledge(None, "resp_a1", 0)]


def test_truncating_what_is_no_reply_is_an_error() -> None:
    wire = realtime()
    hear(wire, *user_turn())
    for item in ("item_u1", "nope", 7):
        answer = tell(wire, type="conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=1)
        assert error(answer)["code"] == "item_truncate_invalid_item_id"


def test_audio_in_becomes_samples_at_16_khz() -> None:
    (command,) = tell(realtime(), type="input_audio_buffer.append", audio=PCM).commands
    assert isinstance(command, asked.Feed)
    assert len(command.pcm) == 3_200


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "invalid_json"),
        ("[1]", "invalid_json"),
        ('{"a": NaN}', "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        ('{"type": "\\ud800"}', "invalid_json"),
        ("{}", "missing_type"),
        ('{"type": "session.explode"}', "unknown_event"),
        ('{"type": "input_audio_buffer.append"}', "invalid_type"),
        ('{"type": "input_audio_buffer.append", "audio": "=?="}', "invalid_base64"),
        ('{"type": "input_audio_buffer.append", "audio": "AAAA"}', "invalid_audio"),
        ('{"type": "input_audio_buffer.commit"}', "input_audio_buffer_commit_empty"),
        ('{"type": "conversation.item.create", "item": {"type": "spell"}}', "invalid_value"),
        ('{"type": "conversation.item.delete", "item_id": "nope"}', "item_delete_invalid_item_id"),
        ('{"type": "conversation.item.retrieve"}', "item_retrieve_invalid_item_id"),
        ('{"type": "response.cancel"}', "response_cancel_not_active"),
        ('{"type": "response.create", "response": {"metadata": {"a": 1}}}', "invalid_value"),
        ('{"type": "session.update"}', "invalid_type"),
        ('{"type": "session.update", "session": {"poise": {"persona": "x"}}}', "unknown_persona"),
        ('{"type": "poise.persona.set", "persona": ["x"]}', "unknown_persona"),
    ],
)
def test_what_is_wrong_is_answered_with_a_typed_error(message: str, code: str) -> None:
    answer = realtime().receive(message, 0)
    checked(answer.frames)
    found = error(answer)
    assert found["code"] == code
    assert found["type"] == "invalid_request_error"
    assert found["event_id"] is None


def test_binary_frames_are_refused_gently() -> None:
    assert error(realtime().receive(b"\x00\x01", 0))["code"] == "binary_frame"


def test_an_error_names_the_clients_event() -> None:
    answer = tell(realtime(), type="conversation.item.delete", item_id="nope", event_id="c9")
    assert error(answer)["event_id"] == "c9"


def test_a_typed_turn_is_answered_in_text() -> None:
    wire = realtime()
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    answer = tell(wire, type="conversation.item.create", item=item)
    assert types(answer.frames) == ["conversation.item.added", "conversation.item.done"]
    name = answer.frames[0]["item"]["id"]
    assert answer.commands == [asked.AddText(None, name, "user", "hi")]
    (command,) = tell(wire, type="response.create", response={"output_modalities": ["text"]}).commands
    assert command == asked.Respond(None, None, None, None)
    frames = hear(wire, started(cause="client"), *spoken(), done())
    assert "response.output_audio.delta" not in types(frames)
    assert "".join(f["delta"] for f in frames if f["type"] == "response.output_text.delta") == "I am so sorry."
    assert frames[-3]["previous_item_id"] == name


def test_metadata_comes_back() -> None:
    wire = realtime()
    (command,) = tell(wire, type="response.create", response={"metadata": {"client_event_id": "x"}}).commands
    assert isinstance(command, asked.Respond)
    frames = hear(wire, started(cause="client", metadata=command.metadata), done())
    assert [f["response"]["metadata"] for f in (frames[0], frames[-1])] == [{"client_event_id": "x"}] * 2


def test_a_second_response_is_refused_while_one_runs() -> None:
    wire = realtime()
    tell(wire, type="response.create")
    assert error(tell(wire, type="response.create"))["code"] == "conversation_already_has_active_response"
    hear(wire, started(cause="client"))
    assert error(tell(wire, type="response.create"))["code"] == "conversation_already_has_active_response"
    hear(wire, done())
    assert tell(wire, type="response.create").commands


def test_a_request_the_session_refuses_is_forgotten() -> None:
    wire = realtime()
    tell(wire, type="response.create", event_id="c1")
    (frame,) = checked(wire.refused(PoiseError("No.", "Wait."), "c1"))
    assert frame["error"]["event_id"] == "c1"
    assert tell(wire, type="response.create").commands


def test_cancelling_names_the_running_reply() -> None:
    wire = realtime()
    hear(wire, started())
    assert tell(wire, type="response.cancel").commands == [asked.Cancel(None, "resp_a1")]
    assert (
        error(tell(wire, 9_000, type="response.cancel", response_id="resp_zz"))["code"] == "response_cancel_not_active"
    )


def test_cancelling_what_has_just_ended_is_swallowed() -> None:
    wire = realtime()
    hear(wire, started(), done())
    assert tell(wire, 3_100, type="response.cancel").frames == []
    late = error(tell(wire, 5_100, type="response.cancel"))
    assert late["message"].startswith("Cancellation failed")


def test_an_out_of_band_response_waits_and_stays_outside() -> None:
    wire = realtime()
    hear(wire, started())
    wish: dict[str, Any] = {"conversation": "none", "output_modalities": ["text"], "metadata": {"topic": "mood"}}
    content = [{"type": "input_text", "text": "Mood?"}]
    wish["input"] = [{"type": "message", "role": "user", "content": content}]
    (command,) = tell(wire, type="response.create", response=wish).commands
    assert isinstance(command, asked.Aside)
    assert command.text == "Mood?"
    assert wire.aside_done(command.response, "sad", np.zeros(0, np.float32)) == []
    frames = hear(wire, done())
    frames = frames[types(frames).index("response.done") + 1 :]
    assert not any(kind.startswith("conversation.") for kind in types(frames))
    assert frames[0]["response"]["conversation_id"] is None
    assert frames[-1]["response"]["metadata"] == {"topic": "mood"}
    assert frames[-1]["response"]["output"][0]["content"] == [{"type": "output_text", "text": "sad"}]


def test_a_failed_reply_says_why() -> None:
    wire = realtime()
    stalled = events.Failed(**at(), code="reply_stalled", message="No piece came.")
    frames = hear(wire, started(), stalled, done(status="failed", reason="reply_stalled"))
    assert "error" not in types(frames)
    response = frames[-1]["response"]
    assert response["status"] == "failed"
    assert response["status_details"]["error"]["code"] == "reply_stalled"
    assert response["status_details"]["error"]["message"] == "No piece came."


def test_a_failure_without_a_reply_is_an_error_frame() -> None:
    (frame,) = hear(realtime(), events.Failed(**at(), code="engine_error", message="The ear failed."))
    assert (frame["error"]["type"], frame["error"]["code"]) == ("server_error", "engine_error")


def test_manual_mode_hides_voice_detection() -> None:
    wire = realtime()
    session = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    assert tell(wire, type="session.update", session=session).commands == [asked.Configure(None, False, False)]
    assert types(hear(wire, *user_turn()))[0] == "input_audio_buffer.committed"


def test_a_strict_client_sees_official_events_only() -> None:
    wire = realtime()
    recalled = events.MemoryRecalled(**at(), texts=("has a cat",))
    assert hear(wire, judged(), recalled) == []
    (frame,) = hear(wire, user_turn()[0])
    assert frame["poise"]["p"]["respond"] == 0.7


def test_a_watching_client_sees_judgements_and_reasons() -> None:
    frames = hear(realtime(events="all"), judged(), judged(8), events.MemoryWritten(**at(), texts=("has a cat",)))
    assert types(frames) == [
        "poise.judgement.created",
        "poise.decision.made",
        "poise.judgement.created",
        "poise.memory.written",
    ]
    assert frames[0]["choice"] == "respond"
    assert (frames[0]["start_ms"], frames[0]["end_ms"]) == (1120, 1280)
    assert frames[1]["reasons"] == ["he goes on"]


def test_changes_mode_is_silent_while_nothing_moves() -> None:
    wire = realtime(events="judgement", judgements="changes")
    moved = {"interrupt": 0.05, "refuse": 0.05, "deflect": 0.05, "silence": 0.35, "respond": 0.5}
    assert types(hear(wire, judged(1), judged(2), judged(3, moved))) == ["poise.judgement.created"] * 2


def test_the_persona_changes_with_the_clients_instructions_added() -> None:
    wire = realtime(events="persona")
    tell(wire, type="session.update", session={"instructions": "Be brief."})
    answer = tell(wire, type="poise.persona.set", persona="sol")
    assert answer.commands == [asked.SetPersona(None, "sol", "Be brief.")]
    assert types(answer.frames) == ["session.updated", "poise.persona.changed"]


def test_playback_acknowledgements_become_samples() -> None:
    wire = realtime()
    frames = hear(wire, started(), *spoken())
    item = frames[1]["item"]["id"]
    assert tell(wire, type="poise.playback.ack", item_id=item, played_ms=100).commands == [
        asked.Acknowledge(None, "resp_a1", 1_600)
    ]
    assert tell(wire, type="poise.playback.ack", item_id="x", played_ms=100).commands == []


def test_other_wire_formats_are_spoken() -> None:
    wire = realtime()
    formats = {"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcma"}}}
    tell(wire, type="session.update", session={"type": "realtime", "audio": formats})
    (command,) = tell(wire, type="input_audio_buffer.append", audio=base64.b64encode(b"\xff" * 800).decode()).commands
    assert isinstance(command, asked.Feed)
    assert len(command.pcm) == 1_600
    assert len(audio(hear(wire, started(), *spoken(), done()))) == pytest.approx(4 * 1_600, abs=40)


def test_long_audio_is_cut_into_small_frames() -> None:
    wire = realtime()
    frames = hear(wire, started(), *spoken(text="Long", samples=160_000), done())
    assert max(len(json.dumps(frame)) for frame in frames) < 64 * 1024
    assert len(audio(frames)) == pytest.approx(2 * 240_000, abs=160)
