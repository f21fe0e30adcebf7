"""The demo's parts: the client's loudspeaker, the ledger, the timeline, the page."""

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from agent.demo import ledger, show
from agent.demo.page import page
from agent.demo.player import WIRE_RATE, Conversation, Mouth
from agent.demo.timeline import Timeline

P = {"interrupt": 0.1, "refuse": 0.05, "deflect": 0.05, "silence": 0.2, "respond": 0.6}


def judged(chunk: int, late: float = 0.0) -> dict[str, object]:
    return {
        "type": "poise.judgement.created", "chunk": chunk, "p": P, "choice": "respond", "floor": "user",
        "move": "listen", "transcript": {"stable": "so i", "tentative": "was <b>"}, "emotion": None,
        "stage_ms": {"vad": 1.0, "hear": 20.0, "judge": 9.0, "decide": 0.5, "graph": 2.0, "late": late},
    }  # fmt: skip


def decided() -> dict[str, object]:
    return {"type": "poise.decision.made", "chunk": 9, "action": "refuse", "move": "take_floor",
            "reasons": ["a boundary <was> touched"], "flip": "another persona"}  # fmt: skip


def timed(**ms: float) -> dict[str, object]:
    empty = dict.fromkeys(("user_stopped_ms", "decided_ms", "first_audio_ms", "barge_in_ms", "silent_ms"))
    return {"type": "poise.turn.timed", **empty, **ms}


def conversation(*events: dict[str, object]) -> Conversation:
    sound = np.sin(np.arange(32_000, dtype=np.float32) / 20) * 0.3
    talk = Conversation("a test", "sol", sound, np.resize(sound, 60_000))
    talk.events += [(0.1 * n, event) for n, event in enumerate(events)]
    return talk


def pcm(seconds: float) -> bytes:
    return np.full(int(seconds * WIRE_RATE), 1000, "<i2").tobytes()


def test_the_mouth_plays_in_order_and_not_before_its_time() -> None:
    mouth = Mouth()
    mouth.play(1.0, "a", pcm(0.5))
    mouth.play(1.1, "a", pcm(0.5))
    assert np.flatnonzero(mouth.track)[[0, -1]].tolist() == [WIRE_RATE, 2 * WIRE_RATE - 1]
    assert mouth.busy(1.9)
    assert not mouth.busy(2.0)


def test_a_flush_stops_at_once_and_tells_what_was_heard() -> None:
    mouth = Mouth()
    mouth.play(1.0, "a", pcm(1.0))
    assert mouth.flush(1.25) == ("a", 250)
    assert not mouth.track[int(1.25 * WIRE_RATE) :].any()
    assert mouth.flush(1.3) is None


def test_the_ledger_sums_up_chunks_and_turns() -> None:
    talk = conversation(
        judged(1), judged(2, late=170.0),
        timed(user_stopped_ms=1000, decided_ms=1480, first_audio_ms=1700),
        timed(barge_in_ms=3000, silent_ms=3200),
        timed(user_stopped_ms=5000, decided_ms=4000, first_audio_ms=4200),
    )  # fmt: skip
    values = ledger.collect([talk])
    assert values["judgement cost per chunk"] == [30.5, 30.5]
    assert values["user stop to first audio"] == [700]  # an interruption waits for nobody
    assert values["barge-in to silence"] == [200]
    assert ledger.late_chunks(values) == 1
    assert ledger.table(values)[2][:3] == ("user stop to first audio", "1", "700 ms")


def test_what_was_not_measured_is_a_dash() -> None:
    assert ledger.table(ledger.collect([]))[0][2] == "–"


def test_the_timeline_prints_a_line_a_chunk_and_the_rest() -> None:
    console = Console(file=io.StringIO(), width=160)
    show_line = Timeline(console)
    for at, event in conversation(judged(1), decided(), {"type": "rate_limits.updated"}).events:
        show_line(at, event)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 2
    assert "res 0.60" in lines[0]
    assert "so i" in lines[0]
    assert "take_floor: refuse" in lines[1]


def test_the_page_stands_alone_and_escapes_what_was_said() -> None:
    text = page([conversation(judged(1), judged(2), decided())], ledger.table(ledger.collect([])))
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert 'src="data:audio/ogg;base64,' in text
    assert "a boundary &lt;was&gt; touched" in text
    assert text.count("<polyline") == 5


def test_every_bundled_recording_is_there() -> None:
    acts = show.bundled()
    assert len(acts) == 5
    assert all(act.path.is_file() for act in acts)


def test_a_missing_list_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "RECORDINGS", tmp_path)
    with pytest.raises(show.DemoError, match="recordings of the demo are missing"):
        show.bundled()


def test_recordings_are_short_enough_to_be_pleasant() -> None:
    import soundfile as sf

    assert sum(math.ceil(sf.info(act.path).duration) for act in show.bundled()) < 45
    assert json.loads((show.RECORDINGS / "demo.json").read_text())[0]["persona"]
