import importlib.util

import numpy as np
import pytest

from model.inference import page
from tests.model.inference.echo_surface import EchoSurface


def test_a_recording_comes_as_integers_of_any_rate_and_channels():
    stereo = np.full((44_100, 2), 16_384, np.int16)
    samples = page.floats((44_100, stereo))
    assert samples.dtype == np.float32
    assert len(samples) == 16_000
    assert samples[8_000] == pytest.approx(0.5, abs=1e-3)
    np.testing.assert_array_equal(page.floats((16_000, np.ones(5, np.float32))), np.ones(5, np.float32))


def test_answers_and_speech_are_shown():
    recorded = (16_000, np.full(16_000, 0.5, np.float32))
    told, speech = page.answered(EchoSurface(), recorded, "hi", ["transcribe", "emotion", "speak"], "calm")
    assert "**transcribe**: word word" in told
    assert "happy 0.90" in told
    assert speech[0] == 8_000
    assert len(speech[1]) == 800


def test_an_error_is_shown_in_its_two_sentences():
    told, speech = page.answered(EchoSurface(), None, "", ["transcribe"], "warm")
    assert "needs a recording" in told
    assert "Give a sound file." in told
    assert speech is None


@pytest.mark.skipif(importlib.util.find_spec("gradio") is not None, reason="Gradio is installed")
def test_without_gradio_it_says_what_to_install():
    with pytest.raises(page.PageError, match=r"poise-s2s\[page\]"):
        page.build(EchoSurface())
