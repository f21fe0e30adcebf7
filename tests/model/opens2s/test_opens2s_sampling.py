import pytest
import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from model.opens2s.errors import RequestError
from model.opens2s.sampling import Sampling, sample

LOGITS = torch.randn(3, 20, generator=torch.Generator().manual_seed(0)) * 2
LOGITS[1, 4] = LOGITS[1].sort(descending=True).values[4]  # two ids share the fifth place


def expected(logits, temperature, top_k, top_p):
    scores = TemperatureLogitsWarper(temperature)(None, logits)
    scores = TopKLogitsWarper(top_k)(None, scores) if top_k else scores
    scores = TopPLogitsWarper(top_p)(None, scores) if top_p < 1 else scores
    return scores.softmax(-1)


@pytest.mark.parametrize("settings", [(1.0, 0, 1.0), (0.7, 5, 1.0), (1.3, 0, 0.8), (0.9, 6, 0.7), (2.0, 50, 0.1)])
def test_ids_come_as_often_as_with_transformers(settings):
    draws = 4_000
    wanted = expected(LOGITS, *settings)
    for row, chances in zip(LOGITS, wanted, strict=True):
        ids = sample(row.expand(draws, -1), (torch.arange(draws) + 0.5) / draws, *settings)
        assert torch.allclose(torch.bincount(ids, minlength=20) / draws, chances, atol=1e-3)


def test_each_row_has_its_own_settings():
    uniforms = torch.tensor([0.1, 0.9, 0.5])
    settings = (torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0, 4, 0]), torch.tensor([1.0, 0.9, 0.5]))
    alone = [sample(LOGITS[i : i + 1], uniforms[i : i + 1], *(float(s[i]) if s.is_floating_point() else int(s[i])
             for s in settings)) for i in range(3)]  # fmt: skip
    assert sample(LOGITS, uniforms, *settings).tolist() == [int(one) for one in alone]


def test_the_likeliest_at_no_temperature():
    wanted = LOGITS.argmax(-1)
    for temperature in (0.0, 1e-3, torch.zeros(3)):
        assert torch.equal(sample(LOGITS, torch.full((3,), 0.99), temperature), wanted)


def test_the_ends_of_the_uniform_numbers():
    masked = LOGITS.masked_fill(torch.arange(20) > 3, -torch.inf)
    for uniform in (0.0, 1.0 - 2**-24, 1.0):
        assert int(sample(masked, torch.full((3,), uniform), 1.0).max()) <= 3


@pytest.mark.parametrize(
    "numbers",
    [
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"top_k": -1},
        {"top_k": 2.5},
    ],
)
def test_numbers_out_of_range_are_refused(numbers):
    with pytest.raises(RequestError, match=next(iter(numbers)).replace("_", ".")):
        Sampling(**numbers)


def test_a_file_of_settings():
    data = {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "eos_token_id": 1}
    assert Sampling.from_config(data) == Sampling(0.6, 20, 0.95)
    assert Sampling.from_config({"top_p": None}) == Sampling(1.0, 50, 1.0)
    with pytest.raises(RequestError, match="repetition_penalty"):
        Sampling.from_config({"repetition_penalty": 1.2})


def test_a_large_vocabulary_is_cut_to_candidates_first_and_nothing_changes():
    logits = torch.randn(2, 5_000, generator=torch.Generator().manual_seed(1))
    for uniform in (0.05, 0.5, 0.97):
        uniforms = torch.full((2,), uniform)
        whole = sample(logits, uniforms, 0.8, torch.tensor([20, 20]), 0.95)  # settings by row take the long way
        assert torch.equal(sample(logits, uniforms, 0.8, 20, 0.95), whole)
