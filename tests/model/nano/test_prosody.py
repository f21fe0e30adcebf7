"""Prosody: pitch is found, movement and tempo are measured, level and portions do not matter."""

import numpy as np
import pytest
from numpy.typing import NDArray

from model.nano.prosody import PAST, SIZE, Prosody, analyse

CHUNK = 2560
Sound = NDArray[np.float32]
MEDIAN, SPREAD, LOW, CHANGE, PHONES, VOWELS, DURATION = 0, 1, 2, 6, 14, 15, 16  # places in the vector


def hum(hz: float | NDArray[np.float64], chunks: int = 12) -> Sound:
    """A voice-like sound of falling harmonics at a steady or moving pitch, in a little noise."""
    turns = np.cumsum(np.broadcast_to(np.asarray(hz), chunks * CHUNK)) / 16_000
    wave = sum(np.sin(2 * np.pi * k * turns) / k for k in range(1, 9))
    noise = np.random.default_rng(0).standard_normal(chunks * CHUNK)
    return (0.05 * np.asarray(wave) + 1e-4 * noise).astype(np.float32)


def vector(sound: Sound, size: int = CHUNK, phones: int = 0) -> NDArray[np.float32]:
    prosody = Prosody()
    for start in range(0, len(sound), size):
        prosody.add(sound[start : start + size], True, phones, phones // 2)
    return prosody.vector()


@pytest.mark.parametrize("hz", [80.0, 120.0, 200.0, 380.0])
def test_pitch_is_found(hz: float) -> None:
    pitch = 2 ** analyse(np.concatenate([np.zeros(PAST, np.float32), hum(hz)])).pitch[4:]
    assert np.nanmedian(pitch) == pytest.approx(hz, rel=0.005)
    assert np.mean(np.abs(pitch / hz - 1) < 0.03) > 0.95


def test_noise_has_no_pitch() -> None:
    noise = 0.1 * np.random.default_rng(1).standard_normal(10 * CHUNK).astype(np.float32)
    assert np.isnan(analyse(noise).pitch).mean() > 0.95


def test_a_lively_voice_moves_more_than_a_flat_one() -> None:
    time = np.arange(12 * CHUNK) / 16_000
    lively, flat = (vector(hum(150 * 2 ** (width * np.sin(2 * np.pi * 2 * time)))) for width in (0.4, 0.05))
    assert abs(lively[MEDIAN]) < 0.1
    assert lively[SPREAD] > 4 * flat[SPREAD]
    assert lively[LOW] < 4 * flat[LOW] < 0
    assert lively[CHANGE] > 4 * flat[CHANGE]


def test_level_does_not_matter() -> None:
    sound = hum(170.0)
    assert np.allclose(vector(sound), vector(0.1 * sound), atol=0.02)


def test_portions_do_not_matter() -> None:
    sound = hum(170.0)
    assert np.allclose(vector(sound), vector(sound, size=160), atol=0.02)


def test_tempo_counts_phones_per_second_of_speech() -> None:
    prosody = Prosody()
    for start in range(0, 12 * CHUNK, CHUNK):
        prosody.add(hum(150.0)[start : start + CHUNK], start < 6 * CHUNK, 2, 1)
    assert prosody.vector()[PHONES] == pytest.approx(2 / 0.16 / 10)
    assert prosody.vector()[VOWELS] == pytest.approx(1 / 0.16 / 4)
    assert prosody.vector()[DURATION] == pytest.approx(np.log(0.96), abs=1e-3)


def test_nothing_heard_and_silence_are_numbers() -> None:
    assert Prosody().vector().tolist() == [0.0] * SIZE
    assert np.isfinite(vector(np.zeros(4 * CHUNK, np.float32))).all()


def test_a_new_turn_begins_anew() -> None:
    prosody = Prosody()
    prosody.add(hum(300.0), True, 3, 1)
    prosody.reset()
    assert prosody.vector().tolist() == [0.0] * SIZE
