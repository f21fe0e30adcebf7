import json

import numpy as np
import pytest
import soundfile as sf

from model.training.cache import Cache, CacheWriter
from model.training.scenes_audio import SceneAudio, render, turned_away


def phrase(label="silence", to="agent", event=None, pause=0.5):
    return {"label": label, "to": to, "event": event, "pause_s": pause}


def scene(identity, *phrases, pair=None):
    return {"id": identity, "pair": pair, "phrases": list(phrases)}


def tone(seconds=0.5, hertz=300.0):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * 16000)) / 16000)).astype(np.float32)


@pytest.fixture
def audio(tmp_path):
    with CacheWriter(tmp_path / "phrases") as cache:
        for identity in ("a.0", "a.1", "b.0"):
            cache.add(tone(), id=identity, corpus="scenes", split="train")
    with CacheWriter(tmp_path / "noise") as cache:
        cache.add(tone(2.0, 900.0), id="n", corpus="noise", split="train", event="laughing")
    return SceneAudio(Cache(tmp_path / "phrases"), Cache(tmp_path / "noise"))


def rms(samples):
    return float(np.sqrt(np.mean(samples**2)))


def test_phrases_lie_where_the_timeline_says(audio):
    laid = audio.lay(scene("a", phrase(), phrase("respond", pause=0.3)))
    first, second = laid.timeline["phrases"]
    assert (first["end_s"], second["start_s"]) == (pytest.approx(0.9), pytest.approx(1.4))
    assert len(laid.samples) / 16000 >= second["end_s"] + 2.0
    spoken = laid.samples[int(second["start_s"] * 16000) : int(second["end_s"] * 16000)]
    assert rms(spoken) > 20 * rms(laid.samples[int(second["end_s"] * 16000) + 800 :])


def test_speech_to_others_is_quieter_and_muffled():
    bright = tone(1.0, 300.0) + tone(1.0, 6000.0)
    aside = turned_away(bright, np.random.default_rng(0), 10.0)
    high = [np.abs(np.fft.rfft(s))[5900:6100].max() for s in (bright, aside)]
    assert 20 * np.log10(rms(bright) / rms(aside)) == pytest.approx(10.0, abs=0.5)
    assert high[1] < high[0] / 12


def test_an_event_is_heard_in_its_pause(audio):
    pause = slice(int(1.0 * 16000), int(1.3 * 16000))
    plain, laughing = audio.lay(scene("b", phrase())), audio.lay(scene("b", phrase(event="laugh")))
    assert rms(laughing.samples[pause]) > 5 * rms(plain.samples[pause])


def test_twins_differ_in_the_addressee_alone(audio):
    one, other = audio.lay(scene("b", phrase(), pair="p")), audio.lay(scene("b", phrase(to="other"), pair="p"))
    silence = slice(int(1.2 * 16000), None)
    assert np.array_equal(one.samples[silence], other.samples[silence])
    assert one.timeline == other.timeline


def test_recordings_and_timeline_are_written(audio, tmp_path):
    assert render([scene("a", phrase(), phrase()), scene("b", phrase())], audio, tmp_path / "out") == 2
    lines = [json.loads(line) for line in (tmp_path / "out" / "timeline.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["a", "b"]
    assert sf.info(tmp_path / "out" / "b.flac").samplerate == 16000
