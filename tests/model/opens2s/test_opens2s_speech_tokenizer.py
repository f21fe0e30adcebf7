from dataclasses import asdict

import pytest
import torch

from model.opens2s.errors import AudioError, ConfigError
from model.opens2s.features import LogMel
from model.opens2s.speech_tokenizer import SpeechTokenizer, SpeechTokenizerConfig, adapt_state_dict

SIZES = {
    "d_model": 12, "encoder_attention_heads": 2, "encoder_ffn_dim": 20, "max_source_positions": 52, "num_mel_bins": 16,
    "pooling_kernel_size": 4, "pooling_type": "avg", "pooling_position": 1, "quantize_position": 2,
    "quantize_vocab_size": 30, "quantize_causal_block_size": 20, "encoder_causal_convolution": True,
    "quantize_ema_decay": 0.99,
}  # fmt: skip


def build(compat=None, **changes):
    generator = torch.Generator().manual_seed(1)
    config = SpeechTokenizerConfig.from_dict({**SIZES, "unknown": 1, **changes})
    tokenizer = SpeechTokenizer(config, LogMel(16, chunk_length=1), compat=compat).eval()
    with torch.no_grad():
        for weight in tokenizer.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.4)
    return tokenizer


def noise(samples, seed=0):
    return torch.randn(samples, generator=torch.Generator().manual_seed(seed)) * 0.1


def test_pieces_are_heard_alone_and_joined():
    tokenizer = build()
    wave = noise(39_000)
    (units,) = tokenizer.units([wave])
    assert len(units) == 13 + 13 + 6  # ceil(samples / 1280) of each second
    alone = torch.cat(tokenizer.units(list(wave.split(16_000)), batch=1))
    assert torch.equal(units, alone)
    assert torch.equal(torch.cat(tokenizer.units([wave], batch=2)), alone)


def test_channels_are_mixed_down():
    left, right = noise(9_000), noise(9_000, 1)
    both = torch.stack([left, right])
    mended, upstream = build(), build("upstream")
    assert torch.equal(mended.units([both])[0], mended.units([(left + right) / 2])[0])
    assert torch.equal(upstream.units([both])[0], upstream.units([left])[0])
    assert not torch.equal(mended.units([both])[0], upstream.units([both])[0])


def test_other_rates_are_resampled():
    (units,) = build().units([noise(24_000)], rate=48_000)
    assert len(units) == 7  # half a second


def test_a_block_does_not_see_the_next():
    tokenizer = build()
    features, mask = tokenizer.features([noise(16_000)])
    changed = features.clone()
    changed[:, :, 40:] += 1
    with torch.inference_mode():
        before, after = (tokenizer(x, mask.sum(1)).states for x in (features, changed))
    assert torch.allclose(before[:, :5], after[:, :5], atol=1e-6)
    assert not torch.allclose(before[:, 5:], after[:, 5:], atol=1e-3)


def test_the_lowest_of_equally_near_codes():
    tokenizer = build()
    with torch.no_grad():
        tokenizer.codebook.weight[3:] = tokenizer.codebook.weight[3]
    (units,) = tokenizer.units([noise(16_000)])
    assert set(units.tolist()) <= {0, 1, 2, 3}


def test_an_empty_clip_is_refused():
    with pytest.raises(AudioError, match="no samples"):
        build().units([noise(0)])


def test_a_chunk_too_long_for_the_positions_is_refused():
    with pytest.raises(AudioError, match="52 positions"):
        build(max_source_positions=40).units([noise(16_000)])


def test_a_file_of_a_whole_whisper_loads():
    tokenizer = build()
    own = tokenizer.state_dict()
    whole = {f"model.encoder.{name}": value for name, value in own.items()}
    surplus = (
        "model.encoder.layers.2.fc1.weight",
        "model.encoder.layer_norm.weight",
        "model.decoder.x",
        "proj_out.weight",
    )
    for file in ({**whole, **dict.fromkeys(surplus, torch.zeros(1))}, {**own, "layers.10.fc1.bias": torch.zeros(1)}):
        assert build(quantize_vocab_size=30).load_state_dict(adapt_state_dict(file, tokenizer.config))


@pytest.mark.parametrize(
    "changes",
    [
        {"pooling_type": "mean"}, {"pooling_position": 3}, {"pooling_position": 0}, {"quantize_causal_encoder": True},
        {"encoder_causal_attention": True},
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused(changes):
    with pytest.raises(ConfigError):
        build(**changes)


def test_missing_sizes_are_named():
    with pytest.raises(ConfigError, match="d_model, pooling_type"):
        SpeechTokenizerConfig.from_dict(
            {name: SIZES[name] for name in SIZES if name not in ("d_model", "pooling_type")}
        )
    assert asdict(build().config)["quantize_vocab_size"] == 30
