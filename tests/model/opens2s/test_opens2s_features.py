import pytest
import torch
from transformers import WhisperFeatureExtractor

from model.opens2s.errors import AudioError, ConfigError
from model.opens2s.features import LogMel, LogMelStream


def noise(samples, seed=0):
    loud = torch.linspace(0.01, 0.5, max(samples, 1))[:samples]
    return torch.randn(samples, generator=torch.Generator().manual_seed(seed)) * loud


def test_one_chunk_equals_the_whisper_extractor():
    theirs = WhisperFeatureExtractor(feature_size=80, chunk_length=2)
    wave = noise(20_000)
    wanted = theirs(wave.numpy(), sampling_rate=16_000, return_attention_mask=True, return_tensors="pt")
    features, mask = LogMel(80, chunk_length=2)([wave])
    assert torch.allclose(features, wanted.input_features, atol=1e-5)
    assert torch.equal(mask, wanted.attention_mask.long())


def test_a_long_clip_gets_more_chunks_and_keeps_its_floor():
    quiet, loud = noise(16_000) * 1e-3, noise(16_000, 1)
    features, mask = LogMel(40, chunk_length=1)([torch.cat([quiet, loud])])
    assert features.shape == (1, 40, 200)
    assert int(mask.sum()) == 200
    assert float(features.max() - features.min()) <= 2.0  # eight decades, over all windows


@pytest.mark.parametrize("samples", [0, 1, 320])
def test_a_clip_the_encoder_makes_nothing_of_is_refused(samples):
    mel = LogMel(40, chunk_length=1)
    with pytest.raises(AudioError, match="at least 321"):
        mel([noise(16_000), noise(samples)])
    assert mel([noise(321)])[1].sum() == 3


def test_upstream_takes_any_clip():
    features, mask = LogMel(40, chunk_length=1)([noise(1)], compat="upstream")
    assert features.shape == (1, 40, 100)
    assert int(mask.sum()) == 1


@pytest.mark.parametrize("sizes", [{"hop_length": 170}, {"n_fft": 401}, {"feature_size": 0}])
def test_sizes_that_do_not_fit(sizes):
    with pytest.raises(ConfigError):
        LogMel(**sizes)


def test_padding_with_noise_is_refused():
    with pytest.raises(ConfigError, match="padding_value"):
        LogMel.from_config({"padding_value": 0.5})


# around the first frames, the end of a chunk with its reflection, and the next chunk's beginning
ENDS = [1, 100, 200, 201, 360, 361, 2_560, 15_800, 15_839, 15_841, 15_999, 16_000, 16_001, 16_100, 16_200, 33_000]


@pytest.mark.parametrize("end", ENDS)
def test_the_stream_gives_what_the_whole_clip_gives(end):
    mel = LogMel(40, chunk_length=1)
    wave = noise(end)
    whole, mask = mel([wave], compat="upstream")
    stream = LogMelStream(mel)
    for piece in wave.split(997):
        stream.push(piece)
    assert stream.frames == int(mask.sum())
    assert stream.windows == whole.shape[2] // 100
    views = torch.cat([stream.features(window) for window in range(stream.windows)], 1)
    assert torch.allclose(views, whole[0], atol=1e-5)
    assert torch.equal(stream.features(), stream.features(stream.windows - 1))


@pytest.mark.parametrize("sizes", [(16, 16_000, 80, 1, 512), (24, 8_000, 100, 1, 256), (16, 16_000, 400, 1, 400)])
def test_other_sizes_stream_too(sizes):
    mel = LogMel(*sizes)
    for end in (700, 8_000, 16_010):
        stream = LogMelStream(mel)
        for piece in noise(end).split(331):
            stream.push(piece)
        views = torch.cat([stream.features(window) for window in range(stream.windows)], 1)
        assert torch.allclose(views, mel([noise(end)], compat="upstream")[0][0], atol=1e-5)


def test_the_views_between_pushes_are_right_too():
    mel = LogMel(40, chunk_length=1)
    wave, stream = noise(20_480), LogMelStream(mel)
    for start in range(0, len(wave), 2_560):
        stream.push(wave[start : start + 2_560])
        last = mel([wave[: start + 2_560]])[0][0, :, -100:]
        assert torch.allclose(stream.features(), last, atol=1e-5)
