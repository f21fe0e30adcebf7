"""Stepping many sequences in lanes against the library's own forward of each sequence alone."""

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from model.serving.lanes import Lanes, LanesError, Row


def tiny(seed=0):
    config = Qwen3Config(
        vocab_size=50, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=6,
        intermediate_size=32, max_position_embeddings=1024, tie_word_embeddings=False,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    model = Qwen3ForCausalLM(config).eval()
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    return model


MODEL = tiny()


def ids(count, seed):
    return torch.randint(0, 50, (count,), generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def whole(tokens):
    return MODEL.model(tokens[None]).last_hidden_state[0]


@pytest.mark.parametrize("fill", [False, True])
@torch.inference_mode()
def test_batched_steps_equal_each_sequence_alone(fill):
    lanes = Lanes(MODEL, 4, 300, fill_batches=fill)
    sequences = [ids(count, seed) for seed, count in enumerate((9, 4, 280))]
    held = [lanes.take() for _ in sequences]
    cuts = [(5, 2, 250), (9, 3, 251), (9, 4, 280)]
    done, states = (0, 0, 0), [[], [], []]
    for upto in cuts:
        busy = [n for n in range(3) if upto[n] > done[n]]
        rows = [Row(held[n], done[n], lanes.embed(sequences[n][done[n] : upto[n]])) for n in busy]
        for n, found in zip(busy, lanes.run(rows), strict=True):
            states[n].append(found)
        done = upto
    for sequence, found in zip(sequences, states, strict=True):
        torch.testing.assert_close(torch.cat(found), whole(sequence), atol=2e-5, rtol=1e-4)


@torch.inference_mode()
def test_branches_follow_the_trunk_and_not_each_other():
    lanes = Lanes(MODEL, 1, 64)
    lane = lanes.take()
    past, trunk, first, second = ids(7, 1), ids(3, 2), ids(2, 3), ids(4, 4)
    lanes.run([Row(lane, 0, lanes.embed(past))])
    joined = lanes.embed(torch.cat([trunk, first, second]))
    (found,) = lanes.run([Row(lane, 7, joined, branches=(2, 4))])
    torch.testing.assert_close(found[:5], whole(torch.cat([past, trunk, first]))[7:], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(found[5:], whole(torch.cat([past, trunk, second]))[10:], atol=2e-5, rtol=1e-4)


@torch.inference_mode()
def test_scratch_is_forgotten_and_a_copy_goes_its_own_way():
    lanes = Lanes(MODEL, 2, 64)
    one, two = lanes.take(), lanes.take()
    past, guess, truth = ids(6, 1), ids(5, 2), ids(3, 3)
    lanes.run([Row(one, 0, lanes.embed(past))])
    lanes.run([Row(one, 6, lanes.embed(guess))])  # scratch
    lanes.copy(one, two, 6)
    wanted = whole(torch.cat([past, truth]))[6:]
    for lane in (one, two):
        (found,) = lanes.run([Row(lane, 6, lanes.embed(truth))])
        torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-4)


def test_a_full_house_and_a_sequence_too_long_are_said():
    lanes = Lanes(MODEL, 1, 8)
    lane = lanes.take()
    with pytest.raises(LanesError, match="All 1 places"):
        lanes.take()
    with pytest.raises(LanesError, match="9 tokens does not fit 8"):
        lanes.run([Row(lane, 4, lanes.embed(ids(5, 1)))])
    lanes.give(lane)
    assert lanes.free == 1
    assert lanes.take() == lane
