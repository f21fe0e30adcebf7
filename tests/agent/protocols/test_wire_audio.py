"""Audio between the wire and the house: formats, rates, limits, no seams."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.audio import to_alaw, to_pcm16, to_ulaw
from agent.protocols.wire_audio import MAX_BYTES, RATES, WireInput, WireOutput
from agent.protocols.wire_error import WireError


def tone(rate: int, seconds: float = 0.5) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize(("kind", "write"), [("audio/pcm", to_pcm16), ("audio/pcmu", to_ulaw), ("audio/pcma", to_alaw)])
def test_a_tone_survives_the_way_in_and_out(kind: str, write: object) -> None:
    sent = write(tone(RATES[kind]))  # type: ignore[operator]
    heard = WireInput(kind).decode(base64.b64encode(sent).decode())
    assert len(heard) == 8_000
    assert np.sqrt(np.mean(heard[800:] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.03)
    out = WireOutput(kind, 16_000)
    assert len(out.encode(heard) + out.flush()) >= len(sent)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 1_500), max_size=12))
def test_any_cut_gives_the_same_samples(cuts: list[int]) -> None:
    raw = to_pcm16(tone(24_000))
    whole = WireInput("audio/pcm").decode(base64.b64encode(raw).decode())
    stream, parts, at = WireInput("audio/pcm"), [], 0
    for size in [*cuts, len(raw)]:
        parts.append(stream.decode(base64.b64encode(raw[at : at + 2 * size]).decode()))
        at += 2 * size
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)


@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000])
def test_every_engines_rate_is_brought_to_the_wires(rate: int) -> None:
    out = WireOutput("audio/pcm", rate)
    made = len(out.encode(tone(rate, 1.0))) // 2
    assert made == pytest.approx(24_000, abs=2)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (None, "invalid_type"),
        ("a", "invalid_base64"),
        ("ä===", "invalid_base64"),
        ("AA==", "invalid_audio"),
        (base64.b64encode(bytes(MAX_BYTES + 2)).decode(), "audio_too_long"),
    ],
    ids=["none", "short", "letters", "odd", "long"],
)
def test_what_is_no_audio_is_refused_by_code(data: object, code: str) -> None:
    with pytest.raises(WireError) as caught:
        WireInput("audio/pcm").decode(data)
    assert caught.value.code == code


def test_no_audio_is_fine() -> None:
    assert len(WireInput("audio/pcm").decode("")) == 0
