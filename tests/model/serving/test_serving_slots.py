"""Questions read off a language model: probabilities as if each label were scored alone."""

import pytest
import torch

from model.serving.lanes import Lanes, Row
from model.serving.slots import UNKNOWN, Ask, ask, known, make
from tests.model.serving.test_lanes import MODEL, ids, whole

WORDS = {"q": [3, 4], "r": [5], "cat": [7, 8], "cow": [7, 9, 10], "dog": [11], "hen": [12]}


def encode(text):
    return WORDS[text]


@torch.inference_mode()
def alone(tokens, answer):
    """Probability of ``answer`` after ``tokens``, by whole forwards."""
    share = 1.0
    for token in answer:
        share *= float(MODEL.lm_head(whole(tokens)[-1]).softmax(-1)[token])
        tokens = torch.cat([tokens, torch.tensor([token])])
    return share


@torch.inference_mode()
@pytest.mark.parametrize("labels", [("dog", "hen"), ("cat", "cow", "dog")])
def test_labels_have_the_probability_of_their_tokens(labels):
    lanes = Lanes(MODEL, 1, 64)
    lane, past, trunk = lanes.take(), ids(6, 1), ids(3, 2)
    lanes.run([Row(lane, 0, lanes.embed(past))])
    slots = (make(encode, "first", "q", labels), make(encode, "second", "r", ("dog", "hen")))
    for _ in range(2):  # asking leaves nothing behind
        (found,) = ask(lanes, [Ask(lane, 6, lanes.embed(trunk), slots)])
        for slot, question in zip(slots, ("q", "r"), strict=True):
            before = torch.cat([past, trunk, torch.tensor(WORDS[question])])
            for label in slot.labels:
                answer = WORDS[label][:1] if slot.distinct else WORDS[label]
                assert found[slot.name][label] == pytest.approx(alone(before, answer), rel=1e-3, abs=1e-6)
            assert sum(found[slot.name].values()) == pytest.approx(1.0)


def test_what_is_not_known_is_not_invented():
    assert known({"a": 0.2, "b": 0.1, UNKNOWN: 0.7}) is None
    assert known({"a": 0.6, "b": 0.2, UNKNOWN: 0.2}) == pytest.approx({"a": 0.75, "b": 0.25})


def test_labels_spelt_alike_are_refused():
    with pytest.raises(ValueError, match="spelt alike"):
        make(lambda text: [1], "kind", "q", ("dog", "hen"))
