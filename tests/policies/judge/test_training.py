import pytest
import torch

from policies.judge import examples, training
from policies.judge.labels import Step
from tests.policies.situations import stream


@pytest.fixture
def few(reader):
    """Chunks that the pause alone decides."""
    spoken = [s for words in ("what time is it", "i like it here a lot") for s in stream(words, 1.6)]
    return examples.make(
        [Step(s, "respond" if s.percept.pause_s > 0.3 else "silence", 1.0, 0, False) for s in spoken], reader
    )


def plan(steps):
    return training.Recipe(minutes=5.0, batch=16, rate=3e-3, most_steps=steps, evaluate_minutes=100)


def trained(few, folder, steps=40):
    network = training.fresh(seed=1)
    training.train(network, few, plan(steps), folder)
    return network.eval()


def test_a_few_steps_learn_what_the_pause_decides(few, tmp_path):
    network = trained(few, tmp_path)
    rows = torch.arange(len(few.label))
    right = training.forward(network, few, rows)[:, :5].argmax(1) == few.label
    assert float(right.float().mean()) > 0.9
    assert (tmp_path / "judge.pt").exists()


def test_training_repeats_itself(few, tmp_path):
    one, two = (trained(few, tmp_path / name, 3).state_dict() for name in ("a", "b"))
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)


def test_the_rate_rises_and_falls():
    rates = [training.schedule(share / 20, 0.1) for share in range(21)]
    assert max(rates) == pytest.approx(1.0, abs=0.02)
    assert rates[0] < 0.1
    assert rates[-1] < 0.05


def test_chunks_without_weight_teach_nothing(few):
    network = training.fresh(seed=1).eval()
    rows = torch.arange(4)
    logits = training.forward(network, few, rows)
    few.weight[2:4] = 0.0
    alone = training.loss(logits, few, rows, 0.0)
    few.label[2:4] = 0
    assert torch.equal(training.loss(logits, few, rows, 0.0), alone)
