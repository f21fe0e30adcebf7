import numpy as np
import pytest
import torch

from policies.judge import examples
from policies.judge.labels import Step
from policies.judge.tuned import context_ids, words_ids
from tests.policies.situations import situation, stream


def steps():
    spoken = stream("so i was at the market this morning", 1.6)
    return [Step(s, "respond" if s.percept.pause_s else "silence", 0.5, 0, False) for s in spoken]


@pytest.fixture
def made(reader):
    return examples.make(steps(), reader)


def test_equal_texts_are_read_once(made):
    texts = {s.situation.percept.transcript for s in steps()}
    assert len(made.spans) == len(texts) + 1


def test_states_are_found_again_by_their_span(made, reader):
    states, mask = made.gather(made.text[-1:], left=True)
    expected = reader.read([words_ids(reader, steps()[-1].situation.percept.transcript)])
    assert torch.allclose(states[mask], expected[0], atol=0.05)


def test_gathering_pads_on_the_asked_side(made):
    first_last = made.text[[0, -1]]
    assert not made.gather(first_last, left=True)[1][0, 0]
    assert not made.gather(first_last, left=False)[1][0, -1]


def test_joined_sets_keep_their_texts(made, reader):
    other = examples.make([Step(situation("goodbye then", 0.5), "silence", 1.0, 0, False)], reader)
    both = examples.Examples.join([made, other])
    states, mask = both.gather(both.text[-1:], left=True)
    assert torch.equal(states[mask], other.gather(other.text, left=True)[0][0])
    assert len(both.label) == len(made.label) + 1


def test_files_hold_everything(made, tmp_path):
    made.save(tmp_path / "a.pt")
    again = examples.Examples.load(tmp_path / "a.pt")
    assert torch.equal(again.tokens, made.tokens)
    assert torch.equal(again.numbers, made.numbers)


def test_a_sample_carries_the_weight_of_all():
    thin = examples.thin(steps(), np.random.default_rng(0), chunks=3, cuts=1)
    assert len(thin) == 4
    assert sum(s.weight for s in thin) == pytest.approx(sum(s.weight for s in steps()))


def test_contexts_are_cut(reader):
    assert len(context_ids(reader, "word " * 500)) == 96
