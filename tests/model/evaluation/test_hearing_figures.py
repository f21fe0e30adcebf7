"""A corpus through a small engine, and through the recogniser that stands beside it."""

import json

import pytest

from model.evaluation import listening, tables
from model.evaluation.clips import CorpusError
from tests.model.evaluation import corpus_folder
from tests.model.inference.echo_surface import EchoSurface

ROWS = {
    "right": {"text": "Word, word!", "emotion": "happy", "gender": "f", "age": 8, "event": None},
    "wrong": {"text": "word other", "emotion": "disgust", "gender": "m", "age": None, "event": None},
    "silent": {"text": None, "emotion": None},
    "bad": {"text": "word", "data": b"x"},
}


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    from model.evaluation.recogniser import Sphinx

    folder = corpus_folder.write(tmp_path_factory.mktemp("c") / "tones", ROWS)
    return listening.evaluate(folder, "dev", EchoSurface(), Sphinx())


def test_rates_labels_and_failures(figures):
    assert (figures["corpus"], figures["engine"], figures["clips"]) == ("tones", "echo", 2)
    assert figures["transcript"]["wer"]["rate"] == 0.25
    assert figures["transcript"]["cer"]["rate"] == pytest.approx(5 / 19, abs=1e-4)
    assert list(figures["failed"]) == ["bad"]
    assert figures["without_labels"] == 1
    emotion = figures["labels"]["emotion"]
    assert (emotion["accuracy"], emotion["nameless"]) == (1.0, {"disgust": 1})
    assert figures["labels"]["age"]["not_answered"] == 1
    assert "event" not in figures["labels"]


def test_the_recogniser_hears_the_same_clips(figures):
    assert figures["pocketsphinx"]["wer"]["items"] == figures["transcript"]["wer"]["items"]
    low, high = figures["wer_above_pocketsphinx"]
    assert low <= high


def test_times_are_by_seconds_of_sound(figures):
    assert figures["seconds"] == 2.0
    assert 0 <= figures["real_time_factor"]["wall"] < 1


def test_figures_are_json_and_a_table(figures):
    assert json.loads(json.dumps(figures)) == figures
    shown = tables.heard(figures)
    assert "| echo | 0.250 |" in shown
    assert "emotion: true \\ told" in shown


def test_a_corpus_of_which_nothing_can_be_measured_is_an_error(tmp_path):
    folder = corpus_folder.write(tmp_path, {"a": {"text": None}})
    with pytest.raises(CorpusError, match="no clip has a text or a label"):
        listening.evaluate(folder, "dev", EchoSurface())
    folder = corpus_folder.write(tmp_path, {"a": {"text": "x", "data": None}})
    with pytest.raises(CorpusError, match="not in its shard"):
        listening.evaluate(folder, "dev", EchoSurface())
