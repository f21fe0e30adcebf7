"""Voices, gates and duplicates: what a build takes, refuses and changes."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from model.training.data import build, build_gates, build_scripts, build_speakers
from model.training.data.build_config import BuildError, Gates, ReservedVoiceError, VoiceSeed, load
from model.training.data.build_scripts import Line, Script
from model.training.data.build_speakers import EngineError
from model.training.data.counts import Counts
from model.training.data.item import FieldError
from model.training.voices import RESERVED
from policies.evaluation import scenes
from tests.model.training_data.build_parts import built, config_at, needs_engines


@pytest.mark.parametrize("key", sorted(RESERVED))
def test_reserved_voices_are_refused(key: str, tmp_path: Path) -> None:
    engine, _, name = key.partition(":")
    with pytest.raises(ReservedVoiceError, match="reserved"):
        load(config_at(tmp_path, users=[{"engine": engine, "name": name, "licence": "CC0"}]))


@pytest.mark.parametrize(
    "voice",
    [
        {"engine": "flite", "name": "RMS"},
        {"engine": "espeak", "name": "f3", "accent": "en-us+michael"},
        {"engine": "festival", "name": "cmu_us_rms_arctic"},
        {"engine": "command", "command": "flite -voice rms -t {text} -o {out}"},
        {"engine": "command", "command": "espeak-ng -v en+Quincy -w {out} {text}"},
    ],
)
def test_reserved_voices_are_refused_however_spelled(voice: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ReservedVoiceError):
        load(config_at(tmp_path, agent={**voice, "licence": "CC0"}))


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"texts": [{"kind": "exchanges", "path": "toy.exchanges"}]}, "have no licence"),
        ({"agent": {"engine": "flite", "name": "slt"}}, "has no licence"),
        ({"agent": {"engine": "flite", "name": "nobody", "licence": "CC0"}}, "no flite voice"),
        ({"agent": {"engine": "command", "command": "say {text}", "licence": "CC0"}}, "lacks"),
        ({"agent": {"engine": "clone", "adapter": "coqui", "licence": "CC0"}}, "no reference"),
        ({"texts": [{"kind": "exchanges", "path": "none", "licence": "CC0"}]}, "are not there"),
        ({"texts": [{"kind": "writer", "licence": "CC0"}]}, "writer is asked for"),
        ({"gates": {"near_duplicate": 2.0}}, "gates.near_duplicate"),
        ({"voices": 1}, "voices"),
    ],
)
def test_a_faulty_build_is_refused(changes: dict[str, Any], wrong: str, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=wrong) as caught:
        load(config_at(tmp_path, **changes))
    assert caught.value.mend


def test_missing_engines_and_packages_are_said_before_any_work(tmp_path: Path) -> None:
    sf.write(tmp_path / "me.wav", np.zeros(1600, np.float32), 16_000)
    missing = {"engine": "command", "command": "no-such-program {text} {out}", "licence": "CC0"}
    with pytest.raises(EngineError, match="no-such-program is not installed"):
        built(config_at(tmp_path, users=[missing]), tmp_path / "out")
    clone = {"engine": "clone", "adapter": "chatterbox", "reference": "me.wav", "licence": "MIT"}
    with pytest.raises(EngineError, match="needs chatterbox"):
        built(config_at(tmp_path, users=[clone], agent=clone), tmp_path / "out")
    wrong = clone | {"adapter": "json:nothing"}
    with pytest.raises(EngineError, match="no voice adapter"):
        built(config_at(tmp_path, users=[wrong], agent=wrong), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_cloning_function_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sf.write(tmp_path / "me.wav", 0.1 * np.ones(8_000, np.float32), 16_000)
    (tmp_path / "mine_for_poise.py").write_text(
        "import numpy as np, soundfile as sf\n"
        "def clone(text, reference, emotion):\n"
        "    if emotion == 'sad':\n        raise RuntimeError('cannot be sad')\n"
        "    return np.tile(sf.read(reference)[0], 3), 16_000\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    voice = VoiceSeed(engine="clone", adapter="mine_for_poise:clone", reference=tmp_path / "me.wav", licence="CC0")
    assert build_speakers.speak("hello", voice, "happy").shape == (24_000,)
    with pytest.raises(FieldError, match="cannot be sad"):
        build_speakers.speak("hello", voice, "sad")


def test_no_text_reaches_a_shell_or_a_template(tmp_path: Path) -> None:
    program = tmp_path / "echo.py"
    program.write_text(
        "import sys, numpy as np, soundfile as sf\n"
        "open(sys.argv[3], 'w').write(sys.argv[1])\nsf.write(sys.argv[2], np.ones(99, 'float32'), 16000)\n"
    )
    said = 'a "$(touch x)" {out}; {emotion} `b` \\ \''
    command = f"{sys.executable} {program} {{text}} {{out}} {tmp_path}/said.txt"
    build_speakers.speak(said, VoiceSeed(engine="command", command=command), "sad")
    assert (tmp_path / "said.txt").read_text() == said


def voiced_frames(samples: np.ndarray) -> np.ndarray:
    frames = np.lib.stride_tricks.sliding_window_view(samples, 640)[::320]
    return frames[np.sqrt((frames**2).mean(1)) > 0.03]


def pitch(samples: np.ndarray) -> float:
    """Median pitch in Hz, by autocorrelation."""
    found = []
    for frame in voiced_frames(samples):
        own = np.correlate(frame, frame, "full")[639:]
        lag = int(np.argmax(own[35:230])) + 35  # 70 to 460 Hz
        if own[lag] > 0.5 * own[0]:
            found.append(16_000 / lag)
    return float(np.median(found))


def formant_scale(before: np.ndarray, after: np.ndarray) -> float:
    """The factor that stretches the mean spectral envelope (cepstrum up to 1.5 ms) of one into the other's."""

    def envelope(samples: np.ndarray) -> np.ndarray:
        power = np.abs(np.fft.rfft(voiced_frames(samples) * np.hanning(640), 1024, axis=1)) ** 2
        cepstrum = np.fft.irfft(np.log(power.mean(0) + 1e-9))
        cepstrum[24:-24] = 0
        return np.fft.rfft(cepstrum).real

    one, other = envelope(before), envelope(after)
    places = np.arange(20, 250)  # 0.3 to 3.9 kHz
    scales = np.arange(0.8, 1.3, 0.01)
    fits = [np.corrcoef(np.interp(places / scale, np.arange(513), one), other[places])[0, 1] for scale in scales]
    return float(scales[int(np.argmax(fits))])


@needs_engines
def test_age_and_gender_are_heard_and_tempo_is_kept() -> None:
    text = "We were away all year long, and now we are at home again."

    def say(**changes: Any) -> np.ndarray:
        return build_speakers.speak(text, VoiceSeed(engine="flite", name="awb", **changes), "neutral")

    adult, small, child, woman, old = say(), say(formant=1.15), say(age="child"), say(gender="female"), say(age="old")
    assert formant_scale(adult, small) == pytest.approx(1.15, abs=0.05)
    assert pitch(small) == pytest.approx(pitch(adult), rel=0.08)
    assert len(small) == pytest.approx(len(adult), rel=0.08)
    assert pitch(child) > 1.12 * pitch(adult)
    assert pitch(woman) > 1.2 * pitch(adult)
    assert formant_scale(adult, woman) > 1.05
    assert len(old) > 1.1 * len(adult)


def test_gates_say_what_is_wrong() -> None:
    gates = Gates(recogniser="none")
    tone = 0.2 * np.sin(np.arange(32_000) * 0.05).astype(np.float32)
    assert build_gates.faults(build_gates.measure(tone, "four words are here", gates), gates) == []
    found = {
        "too short": (tone[:1000], ""),
        "too quiet": (tone * 0.001, "a"),
        "clipped": (np.clip(tone * 50, -1, 1), "a"),
        "spoken too fast": (tone, "word " * 20),
        "too long": (np.tile(tone, 20), "a"),
    }
    for fault, (samples, text) in found.items():
        assert fault in build_gates.faults(build_gates.measure(samples, text, gates), gates)


@needs_engines
@pytest.mark.slow
def test_the_recogniser_tells_right_words_from_wrong() -> None:
    text = "the weather is very good and the children are playing in the garden"
    samples = build_speakers.speak(text, VoiceSeed(engine="flite", name="slt", gender="female"), "neutral")
    gates = Gates(max_word_errors=0.5)
    assert build_gates.faults(build_gates.measure(samples, text, gates), gates) == []
    other = "my uncle bought seven purple horses from a dentist on monday"
    assert build_gates.faults(build_gates.measure(samples, other, gates), gates) == ["recogniser disagrees"]


def script(key: str, said: str, emotion: str = "sad", system: str = "") -> Script:
    line = Line(user=said, emotion=emotion, agent="Yes.", delivery="calm")
    return Script(key=key, lines=(line,), licence="CC0", source="s", voice=0, system=system)


def test_duplicates_are_those_in_the_same_setting() -> None:
    said = "one two three four five six seven eight nine ten"
    scripts = [
        script("a", said), script("b", said.upper() + "!"), script("c", said + " eleven"), script("d", said, "happy"),
        script("e", said, system="You are Max."), script("f", "ten two eleven"), script("g", ""),
    ]  # fmt: skip
    counts = Counts()
    assert [one.key for one in build_scripts.unique(scripts, 0.85, counts)] == ["a", "d", "e", "f"]
    assert counts.lost == {
        "duplicate": {"b": "of a"}, "near duplicate": {"c": "of a"}, "nobody says anything": {"g": ""},
    }  # fmt: skip


def test_near_duplicates_are_all_found() -> None:
    chance = np.random.default_rng(0)
    scripts = [script(str(n), " ".join(f"w{w}" for w in chance.integers(0, 14, 9))) for n in range(300)]
    for near in (0.5, 0.8, 1.0):
        kept: list[Script] = []
        for one in scripts:
            bag = set(one.heard.split())
            if all(len(bag & set(k.heard.split())) / len(bag | set(k.heard.split())) < near for k in kept):
                kept.append(one)
        assert build_scripts.unique(scripts, near, Counts()) == kept


def test_licences_show_the_most_restrictive_first() -> None:
    assert build.licence("CC0", "CC0") == "CC0"
    assert build.licence("Apache-2.0", "CC BY-NC 4.0", "CC0").startswith("CC BY-NC 4.0 (with parts under")


def test_scenes_without_a_reply_are_counted(tmp_path: Path) -> None:
    text = [{"kind": "scenes", "path": str(scenes.BUNDLED), "licence": "CC0", "limit": 60}]
    config = load(config_at(tmp_path, texts=text))
    counts = Counts()
    found = list(build_scripts.from_files(config, scenes.load, counts))
    assert len(found) + counts.lost_total == 60
    assert counts.lost_total > 0
    assert all(one.lines[-1].user and one.lines[-1].agent and one.system for one in found)
