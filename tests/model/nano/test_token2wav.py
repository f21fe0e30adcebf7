"""Units to sound: the same in whatever portions, and what the vocoder promises of pitch and silence."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.nano import vocoder
from model.nano.frames import CEPSTRUM, CHANNELS, scaled_pitch, silence, warped
from model.nano.states import SpeechError
from model.nano.token2wav import Token2Wav
from tests.model.nano.voice_parts import generator, tiny_voice

UNITS = [3, 1, 30, 30, 7, 8, 2, 19, 0, 5, 11, 11, 4]


def stream() -> Token2Wav:
    voice = tiny_voice()
    return Token2Wav(voice.decoder, voice.codebook, vocoder.Vocoder(), 2, generator())


SYMBOLS = [5, 5, 9, 9, 9, 12, 12, 40, 3, 3, 30, 30, 41]


def in_portions(sizes: list[int], symbols: list[int] | None = None) -> NDArray[np.float32]:
    sound, place, parts = stream(), 0, []
    for size in sizes:
        part = slice(place, place + size)
        parts.append(sound.push(UNITS[part], symbols and symbols[part]))
        place += size
    return np.concatenate([*parts, sound.flush()])


@pytest.mark.parametrize("sizes", [[1] * 13, [2, 0, 5, 1, 5], [3, 10], [12, 1]])
def test_portions_equal_one_go(sizes: list[int]) -> None:
    whole = in_portions([13])
    assert len(whole) == 13 * 640
    assert np.abs(whole).max() > 0.01
    assert np.allclose(in_portions(sizes), whole, atol=1e-4)
    assert np.allclose(in_portions(sizes, SYMBOLS), in_portions([13], SYMBOLS), atol=1e-4)


def test_a_unit_sounds_as_the_phone_that_it_is_told() -> None:
    other = [*SYMBOLS[:6], 13, *SYMBOLS[7:]]
    told, told_other, untold = (in_portions([13], symbols) for symbols in (SYMBOLS, other, None))
    changed = np.abs(told - told_other).reshape(13, 640).max(axis=1)
    assert changed[4:8].max() > 1e-3
    assert changed[:3].max() < 1e-5  # the decoder looks two units ahead, no further
    assert np.abs(told - untold).max() > 1e-3


def test_sound_follows_its_unit_by_110_ms() -> None:
    assert len(stream().push(UNITS)) == 13 * 640 - 2 * 640 - 3 * 160


@pytest.mark.parametrize("unit", [-1, 32])
def test_unknown_unit_is_refused(unit: int) -> None:
    with pytest.raises(SpeechError):
        stream().push([1, unit])


def test_nothing_pushed_nothing_heard() -> None:
    empty = stream()
    assert len(empty.push([])) == 0
    assert len(empty.flush()) == 0


def steady(hz: float, count: int = 100) -> torch.Tensor:
    """Frames of an even hum, [1, count, 32]."""
    frames = torch.zeros(1, count, CHANNELS)
    frames[..., 0] = 3.0
    frames[..., CEPSTRUM] = scaled_pitch(torch.tensor(hz))
    frames[..., CEPSTRUM + 1 :] = 1.0
    return frames


def sounded(frames: torch.Tensor) -> torch.Tensor:
    noise = torch.randn(1, 160 * (frames.shape[1] + vocoder.LATE), generator=generator())
    return vocoder.Vocoder().at_once(frames, noise)[0]


@pytest.mark.parametrize("hz", [120.0, 200.0, 240.0])
def test_pitch_comes_out_as_it_went_in(hz: float) -> None:
    wave = sounded(steady(hz))[1600:14400]
    spectrum = torch.fft.rfft(wave * torch.hann_window(len(wave)), 65536).abs()
    low = spectrum[: int(1.5 * hz * 65536 / 16000)]
    assert abs(low.argmax().item() * 16000 / 65536 - hz) < 1.5


def test_silent_frames_are_silent() -> None:
    assert sounded(silence(1, 50)).abs().max() < 1e-3


def test_warping_keeps_the_ends() -> None:
    assert torch.allclose(warped(torch.tensor([0.0, torch.pi])), torch.tensor([0.0, torch.pi]), atol=1e-5)
