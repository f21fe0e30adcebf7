"""The flow over whole clips: padding, counts, blocks, randomness; each as published and as mended."""

import numpy as np
import pytest
import torch

from model.token2wav.cfm import ConditionalCfm
from model.token2wav.config import FlowConfig, HiftConfig
from model.token2wav.errors import DecoderConfigError, StreamError
from model.token2wav.flow import Flow
from tests.model.token2wav.wave_parts import BINS, BLOCK, flow, flow_dict, hift_dict, randomised, units


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def relative(found, wanted):
    return float((found - wanted).abs().max() / wanted.square().mean().sqrt())


def test_in_eval_mode_nothing_is_dropped_and_in_training_something_is():
    net, codes, z = flow(), torch.tensor([units(12)]), normal(1, BINS, 82)
    speaker = torch.zeros(1, 6)
    assert torch.equal(net(codes, z, speaker), net(codes, z, speaker))
    net.train()
    assert not torch.equal(net(codes, z, speaker), net(codes, z, speaker))


@pytest.mark.parametrize("mended", [False, True])
def test_a_padded_estimator_row_equals_the_lone_item(mended):
    config = FlowConfig.from_dict(flow_dict()).decoder
    cfm = randomised(ConditionalCfm(config, None if mended else "upstream"), 3)
    z, mu, cond, spks = normal(2, BINS, 31), normal(2, BINS, 31, seed=1), normal(2, BINS, 31, seed=2), normal(2, BINS)
    mask = torch.ones(2, 1, 31)
    mask[1, :, 17:] = 0
    both = cfm(z, mu, spks, cond, mask, steps=3)
    alone = cfm(z[1:, :, :17], mu[1:, :, :17], spks[1:], cond[1:, :, :17], steps=3)
    assert (relative(both[1:, :, :17], alone) < 1e-5) == mended


@pytest.mark.parametrize("mended", [False, True])
def test_a_padded_row_of_units_equals_the_lone_item(mended):
    net = flow(None if mended else "upstream", input_frame_rate=12.5)
    first, second = units(13), units(8, seed=1)
    codes = torch.tensor([first, second + [0] * 5])
    long, short = net.frames(13), net.frames(8)
    z, speaker = normal(2, BINS, long), normal(2, 6)
    both = net(codes, z, speaker, lengths=[13, 8])
    alone = net(torch.tensor([second]), z[1:, :, :short], speaker[1:])
    assert (relative(both[1:, :, :short], alone) < 1e-5) == mended


def test_the_frame_count_is_exact():
    net = Flow(FlowConfig.from_dict(flow_dict()))
    old = Flow(FlowConfig.from_dict(flow_dict()), "upstream")
    exact = [441 * n // 64 for n in range(5_000)]
    assert [net.frames(n) for n in range(5_000)] == exact
    differs = [n for n in range(5_000) if old.frames(n) != exact[n]]
    assert differs[0] == 3_392


def test_the_frame_count_follows_the_vocoder():
    config = HiftConfig.from_dict(hift_dict(sampling_rate=16_000, upsample_rates=[5, 4]))
    sizes = FlowConfig.from_dict(flow_dict(input_frame_rate=25)).for_vocoder(config)
    assert sizes.frames(3) == 24  # 16,000 / (25 · 80) = 8 a unit
    assert Flow(sizes, "upstream").frames(3) == 10


def test_units_of_a_whole_block_never_change_again_but_those_of_an_open_block_do():
    net, vectors = flow(), normal(1, 6 * BLOCK, 16)
    whole, _ = net.encoder(vectors, torch.tensor([6 * BLOCK]))
    blocks, _ = net.encoder(vectors[:, : 3 * BLOCK], torch.tensor([3 * BLOCK]))
    assert relative(blocks, whole[:, : 3 * BLOCK]) < 1e-5
    cut, _ = net.encoder(vectors[:, : 3 * BLOCK + 2], torch.tensor([3 * BLOCK + 2]))  # as the published worker cuts
    assert relative(cut[:, -2:], whole[:, 3 * BLOCK : 3 * BLOCK + 2]) > 1e-3


def test_the_encoder_block_by_block_equals_the_encoder_in_one_go():
    encoder, vectors = flow().encoder, normal(2, 7 * BLOCK, 16)
    whole, _ = encoder(vectors, torch.tensor([7 * BLOCK, 7 * BLOCK]))
    ahead = encoder.advance(vectors[1:, : 2 * BLOCK], [encoder.empty(vectors)])[1]
    memories = [encoder.empty(vectors), *ahead]  # two streams at different places
    for n in (1, 2, 1):
        starts = [memory.shape[3] for memory in memories]
        new = torch.stack([vectors[row, start : start + n * BLOCK] for row, start in enumerate(starts)])
        ys, memories = encoder.advance(new, memories)
        for row, start in enumerate(starts):
            assert relative(ys[row], whole[row, start : start + n * BLOCK]) < 1e-5


def test_the_global_generator_is_left_alone():
    net, before = flow(), torch.random.get_rng_state()
    net(torch.tensor([units(9)]), normal(1, BINS, 62), torch.zeros(1, 6))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_prompt_longer_than_its_clip_is_an_error():
    with pytest.raises(StreamError, match="prompt has 90 frames"):
        flow()(torch.tensor([units(5)]), normal(1, BINS, 34), torch.zeros(1, 6), normal(1, BINS, 90))


@pytest.mark.parametrize("channels", [[16], [16, 24], [8, 16, 24]])
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_any_depth_and_any_length(channels, frames):
    decoder = flow_dict()["decoder"]
    decoder["estimator"] |= {"channels": channels}
    net = flow(decoder=decoder)
    found = net.decoder(*(normal(1, BINS, frames) for _ in range(2)), normal(1, BINS), normal(1, BINS, frames), steps=1)
    assert found.shape == (1, BINS, frames)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"use_cnn_module": True}, "encoder.use_cnn_module"),
        ({"macaron_style": True}, "encoder.macaron_style"),
        ({"attention_heads": 5}, "attention_heads"),
        ({"surprise": 1}, "encoder.surprise"),
    ],
)
def test_what_is_not_built_is_an_error_with_its_name(change, key):
    with pytest.raises(DecoderConfigError, match=key):
        FlowConfig.from_dict(flow_dict(encoder=flow_dict()["encoder"] | change))


def test_widths_that_do_not_fit_are_an_error():
    with pytest.raises(DecoderConfigError, match="widths"):
        flow(input_size=20)


def test_it_can_be_trained():
    with torch.enable_grad():
        net = flow()
        x1, mask = normal(2, BINS, 20), torch.ones(2, 1, 20)
        mu = net.length_regulator(normal(2, 3, BINS), torch.tensor([20, 20])).transpose(1, 2)
        generator = torch.Generator().manual_seed(0)
        loss = net.decoder.loss(x1, mask, mu, normal(2, BINS), torch.zeros_like(x1), generator)
        loss.backward()
    gradients = [float(weight.grad.abs().sum()) for weight in net.decoder.estimator.parameters()]
    assert np.isfinite(float(loss))
    assert min(gradients) > 0
