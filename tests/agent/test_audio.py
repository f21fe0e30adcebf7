"""Files, chunks, rates and codings."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import audio
from agent.audio import BadAudioError, Chunker, RateConverter, Samples
from model.interface import CHUNK_SAMPLES


def noise(count: int, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).uniform(-0.9, 0.9, count).astype(np.float32)


def tone(hertz: float, rate: int, seconds: float = 0.5) -> Samples:
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate).astype(np.float32)


@pytest.mark.parametrize(("rate", "kind"), [(8000, "WAV"), (22050, "FLAC"), (44100, "OGG"), (48000, "WAV")])
def test_files_come_in_as_mono_16k(tmp_path: Path, rate: int, kind: str):
    path = tmp_path / f"a.{kind.lower()}"
    both = np.stack([tone(440, rate), tone(440, rate)], axis=1) * 0.5
    soundfile.write(path, both, rate)
    pcm = audio.decode(path)
    assert pcm.dtype == np.float32
    assert abs(len(pcm) - 8000) <= 2
    assert np.abs(pcm[1000:7000] - tone(440, 16000)[1000:7000] * 0.5).max() < 0.05


def test_unusable_files_are_one_clear_line(tmp_path: Path):
    (tmp_path / "text.wav").write_text("no sound", encoding="utf-8")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16000)
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan, np.float32), 16000, subtype="FLOAT")
    for name in ("absent.wav", "text.wav", "empty.wav", "nan.wav", "."):
        with pytest.raises(BadAudioError) as caught:
            audio.decode(tmp_path / name)
        assert caught.value.mend
        assert "\n" not in str(caught.value)


def test_ten_hours_are_too_long(tmp_path: Path):
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 8, 1, "PCM_U8", format="WAV") as file:
        file.write(np.zeros(8 * 36_001))
    with pytest.raises(BadAudioError, match="10 hours"):
        audio.decode(path)


@pytest.mark.parametrize("bad", [np.array([np.inf]), np.zeros((2, 3)), np.zeros(5, np.int16)])
def test_what_is_no_sound_is_refused(bad: np.ndarray):
    with pytest.raises(BadAudioError):
        audio.check(bad)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 7000), max_size=12))
def test_any_portions_make_the_same_chunks(sizes: list[int]):
    whole, chunker = noise(sum(sizes)), Chunker()
    chunks, at = list[Samples](), 0
    for size in sizes:
        chunks += chunker.feed(whole[at : at + size])
        at += size
    rest = chunker.waiting
    last = chunker.flush()
    line = np.concatenate([*chunks, *([] if last is None else [last])]) if sizes and len(whole) else np.zeros(0)
    assert all(len(chunk) == CHUNK_SAMPLES for chunk in chunks)
    assert rest == len(whole) % CHUNK_SAMPLES
    assert np.array_equal(line[: len(whole)], whole)
    assert not line[len(whole) :].any()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([(2, 3, 24000), (3, 2, 16000), (2, 1, 8000), (1, 2, 16000)]), st.lists(st.integers(0, 900)))
def test_any_cut_converts_to_the_same(ratio: tuple[int, int, int], sizes: list[int]):
    whole = noise(sum(sizes))
    stream, out, at = RateConverter(*ratio), list[Samples](), 0
    for size in sizes:
        out.append(stream.feed(whole[at : at + size]))
        at += size
    expected = RateConverter(*ratio).feed(whole)
    line = np.concatenate(out) if out else np.zeros(0, np.float32)
    assert len(line) == len(expected) == -(-len(whole) * ratio[0] // ratio[1])
    assert np.allclose(line, expected, atol=1e-6)


@pytest.mark.parametrize(("up", "down", "rate"), [(2, 3, 24000), (3, 2, 16000)])
@pytest.mark.parametrize("hertz", [100, 1000, 4000, 6300])
def test_what_is_audible_passes_after_a_short_delay(up: int, down: int, rate: int, hertz: float):
    made = RateConverter(up, down, rate).feed(tone(hertz, rate))
    to = rate * up // down
    at = np.arange(len(made)) / to - RateConverter.DELAY_S
    assert np.abs(made - np.sin(2 * np.pi * hertz * at))[200:].max() < 0.02


@pytest.mark.parametrize("hertz", [8200, 9500, 11500])
def test_what_the_lower_rate_cannot_hold_is_gone(hertz: float):
    made = audio.to_16k().feed(tone(hertz, 24000))
    assert np.abs(made[200:]).max() < 0.001


def test_images_are_gone_on_the_way_up():
    made = audio.to_24k().feed(tone(6000, 16000))[300:]
    spectrum = np.abs(np.fft.rfft(made * np.hanning(len(made)))) / len(made) * 4
    assert spectrum[round(8100 / 24000 * len(made)) :].max() < 0.001


def test_the_delay_is_under_two_milliseconds():
    click = np.zeros(2400, np.float32)
    click[1200] = 1
    made = audio.to_16k().feed(click)
    assert abs(int(np.argmax(np.abs(made))) - (800 + 0.0015 * 16000)) <= 1


def test_pcm16_there_and_back():
    pcm = noise(1000)
    assert np.abs(audio.from_pcm16(audio.to_pcm16(pcm)) - pcm).max() <= 0.5 / 32768 + 1e-7
    assert audio.to_pcm16(np.array([2.0, -2.0], np.float32)) == b"\xff\x7f\x00\x80"
    with pytest.raises(BadAudioError):
        audio.from_pcm16(b"\x00")


def test_g711_known_codes():
    # ITU-T G.711: mu-law 0xFF is zero and 0x80 the greatest, 32124/32768; A-law 0xD5 is the least positive, 8.
    assert audio.from_ulaw(b"\xff\x7f\x80\x00").tolist() == [0.0, 0.0, 32124 / 32768, -32124 / 32768]
    assert audio.from_alaw(b"\xd5\x55\xaa\x2a").tolist() == [8 / 32768, -8 / 32768, 32256 / 32768, -32256 / 32768]


@pytest.mark.parametrize(("to", "back"), [(audio.to_ulaw, audio.from_ulaw), (audio.to_alaw, audio.from_alaw)])
def test_g711_there_and_back(to, back):
    codes = bytes(range(256))
    assert np.array_equal(back(to(back(codes))), back(codes))
    pcm = noise(5000)
    assert np.abs(back(to(pcm)) - pcm).max() < 0.02
