import numpy as np
import pytest

from model.inference.tasks import TASKS, UNKNOWN, Request, TaskError, check, known, label


def test_task_names_are_kept_in_order_and_once():
    assert known(["emotion", "transcribe", "emotion"]) == ["emotion", "transcribe"]
    for names in ([], ["sing"]):
        with pytest.raises(TaskError, match="text-chat"):
            known(names)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_without_what_it_starts_from_says_so(task):
    with pytest.raises(TaskError, match=task):
        check([task], Request(samples=np.zeros(0, np.float32), text=" "))
    check([task], Request(samples=np.zeros(9, np.float32), text="hello"))


def test_an_unknown_delivery_is_named():
    with pytest.raises(TaskError, match="sarcastic"):
        check(["speak"], Request(text="hello", delivery="sarcastic"))


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, UNKNOWN),
        ({}, UNKNOWN),
        ({"child": 0.3, "adult": 0.1, UNKNOWN: 0.6}, UNKNOWN),
        ({"child": 0.3, "adult": 0.25, UNKNOWN: 0.45}, "child"),
        ({"child": 0.3, "adult": 0.7}, "adult"),
    ],
)
def test_a_label_is_never_made_up(found, text):
    answer = label("age", found)
    assert answer.text == text
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)


def test_sound_stays_out_of_json():
    answer = label("age", None).model_copy(update={"pcm": np.zeros(3, np.float32), "rate": 16_000})
    assert "pcm" not in answer.model_dump_json(exclude_none=True)
