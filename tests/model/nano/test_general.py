"""General English and our own texts in one language model."""

import numpy as np
import pytest

from model.nano.general import Mixture
from model.training.ngram import Recipe, estimate

WORDS = ["the", "house", "poise", "in", "went"]
START, END = len(WORDS), len(WORDS) + 1


def mixture(share: float = 0.5) -> Mixture:
    ours = [np.array([START, 0, 2, END])] * 3 + [np.array([START, 2, 4, 3, END])]
    return Mixture(estimate(ours, Recipe(len(WORDS) + 2, 3, (0.5, 0.5, 0.5), (0, 0, 0))), WORDS, share)


def after(model: Mixture, *words: str) -> dict[str, float]:
    state = model.state([START, *(WORDS.index(word) for word in words)])
    logp = model.score(np.full(model.size, state), np.arange(model.size))[0]
    return dict(zip([*WORDS, "<s>", "</s>"], np.exp(logp).tolist(), strict=True))


def test_general_english_tells_apart_what_our_texts_do_not() -> None:
    alone, both = after(mixture(1e-9), "in", "the"), after(mixture(0.9), "in", "the")
    assert both["house"] / both["went"] > 5 * alone["house"] / alone["went"]


def test_our_words_are_known_though_general_english_lacks_them() -> None:
    assert after(mixture(), "the")["poise"] > 0.1
    assert after(mixture(0.999), "the")["poise"] < after(mixture(), "the")["poise"]


def test_states_reach_back_two_words() -> None:
    model = mixture()
    assert after(model, "went", "in", "the") == pytest.approx(after(model, "in", "the"))
    broad = mixture(0.999)
    assert after(broad, "went", "in")["the"] != pytest.approx(after(broad, "the", "in")["the"], rel=0.2)


def test_following_states_are_those_of_the_longer_text() -> None:
    model = mixture()
    state = model.state([START, 3])
    follows = model.score(np.array([state, state]), np.array([0, 1]))[1]
    assert follows.tolist() == [model.state([START, 3, 0]), model.state([START, 3, 1])]


def test_probabilities_of_words_stay_below_one() -> None:
    assert sum(after(mixture(), "the").values()) < 1.1  # our own model keeps 8-bit logarithms


def test_words_must_be_those_of_the_model() -> None:
    own = estimate([np.array([START, 0, END])], Recipe(len(WORDS) + 2, 2, (0.5, 0.5), (0, 0)))
    with pytest.raises(ValueError, match="Expected 5 words"):
        Mixture(own, WORDS[1:], 0.5)
