"""The n-gram model: probabilities sum to one, states are short, files come back whole."""

from pathlib import Path

import numpy as np
import pytest

from model.interface import WeightsError
from model.nano import ngram
from model.nano.ngram import Ngram
from model.training.ngram import Recipe, estimate

SIZE = 12


def small(order: int = 3, cutoff: float = 0.0) -> Ngram:
    chance = np.random.default_rng(3)
    texts = [np.minimum(chance.geometric(0.3, 9), SIZE) - 1 for _ in range(60)]
    return estimate(texts, Recipe(SIZE, order, (0.5, 0.7, 0.8)[:order], (0.0, 0.0, cutoff)[:order]))


@pytest.mark.parametrize("cutoff", [0.0, 2.0])
def test_probabilities_sum_to_one_after_any_context(cutoff: float) -> None:
    model = small(cutoff=cutoff)
    for context in ([], [0], [0, 1], [11, 11], [3, 0]):
        state = np.full(SIZE, model.state(context))
        total = np.exp(model.score(state, np.arange(SIZE))[0].astype(float)).sum()
        assert total == pytest.approx(1, abs=0.06)  # 8-bit logarithms: steps of 1/12 nat


def test_what_was_seen_is_likelier_than_what_was_not() -> None:
    model = estimate([np.array([0, 1, 2])] * 5 + [np.array([3, 4])], Recipe(5, 3, (0.5, 0.5, 0.5), (0, 0, 0)))
    state = np.full(5, model.state([0, 1]))
    assert int(np.argmax(model.score(state, np.arange(5))[0])) == 2


def test_scoring_many_at_once_equals_one_by_one() -> None:
    model = small()
    states = np.array([model.state([a, b]) for a in range(4) for b in range(4)])
    symbols = np.arange(16) % SIZE
    logp, following = model.score(states, symbols)
    for n in range(16):
        one = model.score(states[n : n + 1], symbols[n : n + 1])
        assert (one[0][0], one[1][0]) == (logp[n], following[n])


def test_the_state_is_the_longest_known_context() -> None:
    model = small()
    assert model.state([5, 0, 1]) == model.state([0, 1])


def test_a_file_gives_the_same_model(tmp_path: Path) -> None:
    model = small()
    model.save(tmp_path / "m.ngram")
    states, symbols = np.zeros(SIZE, np.int64), np.arange(SIZE)
    assert np.array_equal(ngram.load(tmp_path / "m.ngram").score(states, symbols)[0], model.score(states, symbols)[0])


@pytest.mark.parametrize("content", [None, b"", b"PK junk"])
def test_a_bad_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "m.ngram"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"m\.ngram"):
        ngram.load(path)
