"""The shipped voice: all deliveries speak in a natural tempo, at the right level, within time."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from model.interface import DELIVERIES, WeightsError
from model.nano.voice import Voice, VoicePiece, spoken_words

TEXT = "Welcome back! You sound like the day went your way. What happened?"


@pytest.fixture(scope="module")
def voice() -> Voice:
    return Voice.load()


def said(voice: Voice, delivery: str) -> list[VoicePiece]:
    words = spoken_words((word, None) for word in TEXT.split())
    return list(voice.speak(words, delivery, torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_tempo_and_level(voice: Voice, delivery: str) -> None:
    pieces = said(voice, delivery)
    sound = np.concatenate([piece.pcm for piece in pieces])
    assert 2.5 < len(sound) / 16_000 < 6.5
    assert -30 < 20 * np.log10(np.sqrt(np.mean(sound**2))) < -18
    assert [word for piece in pieces for word, _ in piece.word_ends] == list(range(len(TEXT.split())))


def test_serious_is_slower_than_cheerful(voice: Voice) -> None:
    serious, cheerful = (sum(len(p.units) for p in said(voice, name)) for name in ("serious", "cheerful"))
    assert serious > cheerful


def test_faster_than_real_time(voice: Voice) -> None:
    began = time.process_time()
    length = sum(len(piece.pcm) for piece in said(voice, "warm")) / 16_000
    assert time.process_time() - began < length


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="voice"):
        Voice.load(tmp_path)
