import pytest

from model.evaluation.labels import LabelTally, named
from model.inference.tasks import UNKNOWN


@pytest.mark.parametrize(
    ("task", "value", "name"),
    [
        ("emotion", "calm", "neutral"), ("emotion", "fearful", "afraid"), ("emotion", "disgust", None),
        ("age", 9, "child"), ("age", "13", "child"), ("age", 14, "adult"), ("age", 61, "old"),
        ("age", "twenties", "adult"), ("age", "seventies", "old"), ("age", "child", "child"), ("age", "unsure", None),
        ("gender", "f", "female"), ("gender", "male", "male"), ("gender", "other", None),
        ("event", "cough", "cough"), ("event", "yawn", None),
    ],
)  # fmt: skip
def test_labels_of_corpora_have_one_name_here(task, value, name):
    assert named(task, value) == name


def test_unanswered_and_nameless_clips_are_counted_apart():
    tally = LabelTally("gender")
    for truth, answer in (
        ("f", "female"),
        ("f", "female"),
        ("f", "male"),
        ("m", "male"),
        ("m", UNKNOWN),
        ("x", "male"),
    ):
        tally.add(truth, answer, None)
    figures = tally.figures()
    assert (figures["clips"], figures["answered"], figures["not_answered"]) == (5, 4, 1)
    assert figures["accuracy"] == 0.75
    assert figures["balanced"] == pytest.approx((2 / 3 + 1) / 2, abs=1e-4)
    assert figures["confusion"] == {"female": {"female": 2, "male": 1}, "male": {"male": 1, UNKNOWN: 1}}
    assert figures["nameless"] == {"x": 1}


def test_five_emotions_are_told_without_surprise():
    tally = LabelTally("emotion")
    tally.add("happy", "surprised", {"surprised": 0.6, "happy": 0.3, "sad": 0.1})
    tally.add("sad", "sad", {"sad": 1.0})
    tally.add("surprised", "surprised", {"surprised": 1.0})
    tally.add("angry", UNKNOWN, {UNKNOWN: 1.0})
    figures = tally.figures()
    assert figures["balanced"] == pytest.approx(2 / 3, abs=1e-4)
    assert figures["balanced_five"] == 1.0


def test_nothing_answered_has_no_accuracy():
    tally = LabelTally("age")
    tally.add(30, UNKNOWN, None)
    assert (tally.figures()["accuracy"], tally.figures()["balanced"]) == (None, None)
