"""Speech out, measured on a voice of tones and, where it is installed, on flite."""

import numpy as np
import pytest

from model.evaluation import speaking, tables
from model.evaluation.recogniser import Sphinx
from tests.model.inference.echo_surface import EchoSurface

LINES = [("My brother was away all morning.", "warm"), ("Tell me more about the garden.", "firm"), ("...", "calm")]


def test_a_voice_is_measured_beside_its_source():
    source = speaking.flite()
    if source is None:
        pytest.skip("libflite is not installed")
    found = speaking.evaluate(EchoSurface(), LINES, Sphinx(), source, control=2)
    assert found["lines"] == 2
    assert list(found["failed"]) == ["..."]
    assert found["wer"]["source"]["rate"] < 0.5 < found["wer"]["echo"]["rate"]
    assert found["wer_above_source"][0] > 0
    assert found["against_source"]["voicing_error"] > 0.05
    control = found["delivery_control"]
    assert control["source"]["balanced"] > control["echo"]["balanced"]
    assert control["echo"]["sounds"] == 16
    assert "| source |" in "\n".join(tables._spoken(found))


def test_without_a_source_the_engine_is_measured_alone():
    found = speaking.evaluate(EchoSurface(), LINES[:1], Sphinx(), None)
    assert list(found["wer"]) == ["echo"]
    assert (found["against_source"], found["wer_above_source"], found["delivery_control"]) == (None, None, None)
    assert found["real_time_factor"]["wall"] > 0


def test_an_engines_rate_is_brought_to_that_of_the_recogniser():
    speaker = speaking.Speaker(EchoSurface())
    sound = speaker("hello", "warm")
    assert len(sound) == 2 * 5 * 400
    assert sound.dtype == np.float32
    assert speaker.seconds == pytest.approx(0.25)
