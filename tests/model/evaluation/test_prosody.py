import numpy as np
import pytest

from model.evaluation.prosody import PitchErrors, align, track

RATE = 16_000


def buzz(pitch, seconds=1.0, level=0.1):
    """A pulse-like sound with harmonics, of constant or gliding pitch in Hz."""
    hertz = np.broadcast_to(pitch, int(RATE * seconds)).astype(float)
    phase = np.cumsum(2 * np.pi * hertz / RATE)
    return (level * sum(np.cos(n * phase) / n for n in range(1, 9))).astype(np.float32)


@pytest.mark.parametrize("pitch", [80.0, 123.0, 210.0, 390.0])
def test_the_pitch_of_a_voice_is_found(pitch):
    found = track(buzz(pitch)).pitch[5:-5]
    assert (found > 0).all()
    assert np.abs(1200 * np.log2(found / pitch)).max() < 12


def test_a_glide_is_followed():
    glide = np.linspace(120, 240, RATE)
    found = track(buzz(glide)).pitch
    true = glide[:: RATE // 100]
    assert np.abs(1200 * np.log2(found[5:95] / true[5:95])).max() < 40


def test_noise_and_silence_are_unvoiced():
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    assert (track(noise).pitch > 0).mean() < 0.05
    assert not track(np.zeros(RATE, np.float32)).pitch.any()
    assert len(track(np.zeros(0, np.float32)).pitch) <= 1


def test_quiet_hum_between_words_is_silence():
    sound = np.concatenate([buzz(150), buzz(100, level=1e-4), buzz(150)])
    found = track(sound)
    assert not found.heard[110:190].any()
    assert not found.pitch[110:190].any()


def test_alignment_follows_a_stretch():
    rows = np.random.default_rng(1).standard_normal((30, 4))
    slow = np.repeat(rows, 2, axis=0)
    path = align(rows, slow)
    assert path[0] == (0, 0)
    assert path[-1] == (29, 59)
    assert all(j // 2 == i for i, j in path)


def test_errors_are_none_against_itself_and_known_against_others():
    one = buzz(150)
    errors = PitchErrors()
    errors.add(track(one), track(one))
    assert errors.figures() == {"voicing_error": 0.0, "gross_pitch_error": 0.0, "pitch_rms_cents": 0.0}
    higher, octave, whisper = PitchErrors(), PitchErrors(), PitchErrors()
    higher.add(track(one), track(buzz(150 * 2 ** (1 / 12))))
    assert higher.figures()["pitch_rms_cents"] == pytest.approx(100, abs=3)
    octave.add(track(one), track(buzz(300)))
    assert octave.figures()["gross_pitch_error"] == pytest.approx(1, abs=0.05)
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    whisper.add(track(one), track(noise))
    assert whisper.figures()["voicing_error"] > 0.9
    assert PitchErrors().figures()["voicing_error"] is None


def test_flites_own_pitch_is_found():
    from model.training.flite import TRACK_STEP, Flite
    from model.training.voices import DELIVERIES

    try:
        flite = Flite()
    except RuntimeError:
        pytest.skip("libflite is not installed")
    said = flite.speak("My brother was away all morning.", DELIVERIES["warm"])
    found = track(said.samples)
    true = said.frames[np.minimum(np.arange(len(found.pitch)) * (160 // TRACK_STEP), len(said.frames) - 1), 0]
    both = (true > 0) & (found.pitch > 0) & found.heard
    assert both.sum() > 0.6 * (found.heard & (true > 0)).sum()
    assert np.median(np.abs(1200 * np.log2(found.pitch[both] / true[both]))) < 30
