"""The LLM's cache: forked, cropped or stepped, it must be as if everything had been read at once."""

from __future__ import annotations

import pytest
import torch

from model.nano.adapter import Adapter, Soft
from model.nano.text import MARKS
from tests.model.nano.reply_parts import TINY, llm

TOKENS = torch.randint(40, TINY.vocabulary, (1, 24), generator=torch.Generator().manual_seed(3))


@torch.inference_mode()
def test_reading_in_parts_is_reading_at_once() -> None:
    model = llm()
    whole, _ = model(model.embedding(TOKENS))
    first, past = model(model.embedding(TOKENS[:, :10]))
    second, past = model(model.embedding(TOKENS[:, 10:]), past)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=1e-4, atol=1e-5)
    assert past.length == 24


@torch.inference_mode()
def test_cropped_cache_is_as_fresh() -> None:
    model = llm()
    _, long = model(model.embedding(TOKENS))
    _, fresh = model(model.embedding(TOKENS[:, :7]))
    here, _ = model(model.embedding(TOKENS[:, 7:9]), long.crop(7))
    there, _ = model(model.embedding(TOKENS[:, 7:9]), fresh)
    torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_crop_beyond_the_end_is_refused() -> None:
    model = llm()
    with pytest.raises(ValueError, match="Cannot crop"):
        model(model.embedding(TOKENS))[1].crop(25)


@torch.inference_mode()
def test_scores_of_a_batch_are_those_of_each_alone() -> None:
    model = llm()
    hidden, past = model(model.embedding(TOKENS))
    candidates = [[50, 51, 52], [60], [70, 71, 72, 73, 74]]
    together, states = model.score(hidden[0, -1], past, candidates)
    for tokens, chances, state in zip(candidates, together, states, strict=True):
        alone, _ = model.score(hidden[0, -1], past, [tokens])
        torch.testing.assert_close(chances, alone[0], rtol=1e-4, atol=1e-5)
        assert state.shape == (len(tokens), TINY.width)


@torch.inference_mode()
def test_steps_agree_with_scores() -> None:
    model = llm()
    hidden, past = model(model.embedding(TOKENS))
    chances, states = model.score(hidden[0, -1], past, [[50, 51]])
    logits = model.logits(hidden[0, -1])
    for place, token in enumerate((50, 51)):
        torch.testing.assert_close(logits.log_softmax(-1)[token], chances[0][place], rtol=1e-4, atol=1e-5)
        state, logits, past = model.step(token, past)
        torch.testing.assert_close(state, states[0][place], rtol=1e-4, atol=1e-5)


def test_empty_candidate_is_refused() -> None:
    model = llm()
    with pytest.raises(ValueError, match="at least one token"):
        model.score(torch.zeros(TINY.width), model(model.embedding(TOKENS))[1], [[]])


def test_unsure_word_moves_towards_unknown() -> None:
    model, adapter = llm(), Adapter(TINY)
    soft = [Soft([100], [sure], (1 / 6,) * 6) for sure in (1.0, 0.5, 0.0)]
    sure, half, lost = (adapter.read(model.embedding, one)[0, 0] for one in soft)
    torch.testing.assert_close(half, (sure + lost) / 2)
    torch.testing.assert_close(lost, model.embedding.weight[MARKS.index("<unk>")])


def test_gradients_reach_confidence_and_emotion() -> None:
    model, adapter = llm(), Adapter(TINY)
    tokens = torch.tensor([[100, MARKS.index("<voice>")]])
    sure, emotion = torch.full((1, 2), 0.7, requires_grad=True), torch.full((1, 6), 1 / 6, requires_grad=True)
    hidden, _ = model(adapter(model.embedding, tokens, sure, emotion, None))
    hidden.square().sum().backward()
    assert sure.grad is not None
    assert sure.grad[0, 0] != 0
    assert emotion.grad is not None
    assert emotion.grad.abs().sum() > 0
