"""The emotion head is fitted on what a session hears, every emotion counted alike."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.interface import CHUNK_SAMPLES, EMOTIONS, Chunk
from model.nano import weights
from model.nano.emotion import WEIGHTS
from model.nano.listening import Ears
from model.training import emotion
from model.training.cache import Cache, CacheWriter
from model.training.emotion import Heard

SAD, HAPPY = "sad", "happy"


@pytest.fixture(scope="module")
def ears() -> Ears:
    return Ears.load()


def said(seconds: float, hz: float, seed: int) -> NDArray[np.float32]:
    """A hum in syllables."""
    time = np.arange(int(16_000 * seconds)) / 16_000
    voice = sum(np.sin(2 * np.pi * hz * k * time + seed) / k for k in range(1, 6))
    return (0.1 * voice * (0.5 - 0.5 * np.cos(2 * np.pi * 4 * time))).astype(np.float32)


def test_features_are_those_of_a_session(ears: Ears) -> None:
    sound = said(1.6, 140.0, 0)
    alone = emotion.listen(ears.encoder, sound, [4, 9])
    session = ears.open()
    for index in range(10):
        pcm = sound[index * CHUNK_SAMPLES : (index + 1) * CHUNK_SAMPLES]
        session.hear(Chunk(index=index, pcm=pcm, speech=1.0))
        if index in (4, 9):
            assert torch.allclose(session._manner.features(), alone[(index - 4) // 5], atol=2e-3)


def test_rare_emotions_count_as_much_as_common_ones() -> None:
    chance = torch.Generator().manual_seed(0)
    common, rare = EMOTIONS.index(HAPPY), EMOTIONS.index(SAD)
    labels = torch.tensor([common] * 400 + [rare] * 12)
    rows = torch.randn(len(labels), len(emotion.EmotionHead().mean), generator=chance)
    rows[labels == rare, -17:] += 1.5
    figures = emotion.figures(emotion.fit(Heard(rows, labels), steps=200), Heard(rows, labels))
    assert figures["balanced"] > 0.85


def test_figures_average_recalls_not_clips() -> None:
    head = emotion.EmotionHead().eval()
    torch.nn.init.zeros_(head.leave.weight)
    head.leave.bias.data = torch.eye(len(EMOTIONS))[EMOTIONS.index(HAPPY)]  # always happy
    labels = torch.tensor([EMOTIONS.index(HAPPY)] * 9 + [EMOTIONS.index(SAD)])
    figures = emotion.figures(head, Heard(torch.zeros(10, len(head.mean)), labels))
    assert figures == pytest.approx({"accuracy": 0.9, "balanced": 0.5, "balanced_five": 0.5})


def test_training_leaves_weights_and_figures(ears: Ears, tmp_path: Path) -> None:
    with CacheWriter(tmp_path / "cache") as cache:
        for n in range(12):
            name, hz = ((SAD, 95.0), (HAPPY, 240.0))[n % 2]
            about = {"id": f"{name}.{n}", "corpus": "test", "split": "train", "text": "hm", "emotion": name}
            cache.add(said(1.2, hz + n, n), **about, real=False)
    cache_, out = Cache(tmp_path / "cache"), tmp_path / "out"
    figures = emotion.train(ears.encoder, [(cache_, cache_.clips)], (cache_, cache_.clips), out)
    assert figures["balanced"] == 1.0
    head = emotion.EmotionHead()
    weights.load(head, WEIGHTS, out)
    found = emotion.hear(ears.encoder, cache_, cache_.clips, random.Random(0), noise=False)
    assert emotion.figures(head, found)["balanced"] == 1.0
