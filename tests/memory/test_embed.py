"""The embedding: cached, normalised, loaded from its wheel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from memory import embed
from tests.memory.test_store import words


class Counting:
    """An encoder that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: list[str], **_: Any) -> np.ndarray:
        self.asked += texts
        return words(texts)


def test_each_text_is_encoded_once():
    encoder = Counting()
    encode = embed.Embed(encoder)
    first = encode(["a", "b", "a"])
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(encode(["b"])[0], first[1])
    assert encoder.asked == ["a", "b"]


def test_the_cache_forgets_the_longest_unused():
    encoder = Counting()
    encode = embed.Embed(encoder, cache_texts=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        encode([text])
    assert encoder.asked == ["a", "b", "c", "b"]


def test_no_texts_are_no_rows():
    assert embed.Embed(Counting())([]).shape == (0, embed.WIDTH)


@pytest.mark.slow
def test_the_real_encoder_knows_what_is_near(capfd):
    encode = embed.load()
    dog, puppy, tax = encode(["my dog is called Benno", "what is the name of my puppy", "the tax return is due"])
    assert dog.dtype == np.float32
    assert np.isclose(np.linalg.norm(dog), 1, atol=1e-5)
    assert dog @ puppy > 0.4 > dog @ tax
    assert "Loading" not in capfd.readouterr().err
