"""The ear: chunk by chunk equals whole, nothing heard later changes what was heard, cost is bounded."""

import pytest
import torch

from model.nano.features import HOP, TAIL, MelStream, log_mel
from model.nano.hearing import Ear, Encoder, HearingConfig

CHUNK = 2560
SMALL = HearingConfig(dim=32, layers=4, heads=2, feedforward=64, left=16)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    with torch.random.fork_rng():
        torch.random.default_generator.manual_seed(0)
        return Encoder(SMALL).eval().requires_grad_(False)


def noise(chunks: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(chunks * CHUNK, generator=torch.Generator().manual_seed(seed))


def test_features_come_out_the_same_however_sound_is_cut() -> None:
    sound = noise(3)
    whole = log_mel(torch.cat([torch.zeros(TAIL), sound]))
    for cut in (HOP, 3 * HOP, CHUNK):
        stream = MelStream()
        assert torch.allclose(torch.cat([stream.push(part) for part in sound.split(cut)]), whole, atol=1e-5)


def test_a_chunk_gives_sixteen_frames() -> None:
    assert MelStream().push(noise(1)).shape == (16, 80)


def test_a_tone_is_loudest_in_its_band() -> None:
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(CHUNK + TAIL) / 16_000)
    band = int(log_mel(tone).mean(dim=0).argmax())
    assert 24 <= band <= 30  # 1 kHz is 1000 mel of 2840 over 80 bands: the 27th


def test_chunk_by_chunk_equals_the_whole(encoder: Encoder) -> None:
    sound = noise(12)  # longer than the left context
    whole = encoder(log_mel(torch.cat([torch.zeros(TAIL), sound]))[None])
    ear = Ear(encoder)
    parts = [ear.hear(chunk) for chunk in sound.split(CHUNK)]
    assert torch.allclose(torch.cat([p.logp for p in parts], dim=1), whole.logp, atol=1e-4)
    assert torch.allclose(torch.cat([p.manner for p in parts], dim=1), whole.manner, atol=1e-4)


def test_what_comes_later_changes_nothing_before(encoder: Encoder) -> None:
    same, other = noise(6), torch.cat([noise(3), noise(3, seed=1)])
    first, second = (encoder(log_mel(torch.cat([torch.zeros(TAIL), s]))[None]) for s in (same, other))
    assert torch.equal(first.logp[:, :12], second.logp[:, :12])
    assert not torch.equal(first.logp[:, 12:], second.logp[:, 12:])


def test_what_is_kept_does_not_grow(encoder: Encoder) -> None:
    state = encoder.open()
    sizes = []
    for _ in range(20):
        encoder.step(torch.zeros(1, 16, 80), state)
        sizes.append(sum(t.numel() for cache in state.caches for t in cache))
    assert sizes[-1] == sizes[-8]


def test_the_shipped_ear_has_the_sizes_of_its_configuration() -> None:
    shapes = {name: tuple(p.shape) for name, p in Encoder().named_parameters()}
    assert shapes["phones.weight"] == (40, 256)
    assert shapes["adapter.weight"] == (256, 512, 4)
