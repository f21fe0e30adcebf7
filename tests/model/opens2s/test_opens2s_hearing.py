import pytest
import torch
from transformers import AutoConfig

from model.opens2s.encoder import AudioEncoder
from model.opens2s.errors import AudioError
from tests.model.opens2s.small import BINS, WINDOW, build, clips


@torch.inference_mode()
def test_a_clip_sees_its_silence_and_no_other_window():
    encoder = build().audio_encoder_model
    features, mask = clips(WINDOW + 20)
    states, lengths = encoder(features, mask.sum(1))
    assert lengths.tolist() == [WINDOW // 4 + 5]
    alone, _ = encoder(features[:, :, WINDOW:], torch.tensor([20]))
    assert torch.allclose(states[:, WINDOW // 4 :], alone[:, :5], atol=1e-6)
    features[:, :, WINDOW + 20 :] += 1
    assert not torch.allclose(encoder(features, mask.sum(1))[0][:, WINDOW // 4 :], alone[:, :5], atol=1e-3)


@torch.inference_mode()
def test_cut_windows_in_a_batch_give_what_each_gives_alone():
    encoder = build().audio_encoder_model
    features, _ = clips(40, 40, 40)
    valid = torch.tensor([8, 22, 31])
    states = encoder.forward_windows(features[:, :, :32], valid)
    for row, count, window in zip(states, valid.tolist(), features, strict=True):
        alone = encoder.forward_windows(window[None, :, :count])[0]
        assert len(alone) == encoder.output_lengths(count)
        assert torch.allclose(row[: len(alone)], alone, atol=1e-5)


@torch.inference_mode()
def test_whisper_keeps_every_state():
    sizes = {"d_model": 12, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 20, "num_mel_bins": 8}
    encoder = AudioEncoder(AutoConfig.for_model("whisper", **sizes, max_source_positions=20)).eval()
    features, mask = clips(1, 31, 75)
    states, lengths = encoder(features, mask.sum(1))
    assert encoder.minimum_frames == 1
    assert lengths.tolist() == [1, 16, 38]
    assert states.shape == (3, 38, 12)


def test_features_of_another_shape_are_refused():
    encoder = build().audio_encoder_model
    for shape in ((1, BINS + 1, WINDOW), (1, BINS, WINDOW - 2)):
        with pytest.raises(AudioError, match=f"{BINS} bins"):
            encoder(torch.zeros(shape), torch.tensor([10]))


@torch.inference_mode()
def test_a_short_clip_does_not_depend_on_the_batch():
    features, mask = clips(17, 40)
    for compat, alike in ((None, True), ("upstream", False)):
        model = build(compat)
        both, both_mask = model.encode(features, mask)
        alone, alone_mask = model.encode(features[:1], mask[:1])
        length = int(alone_mask.sum())
        assert int(both_mask[0].sum()) == length
        assert torch.allclose(both[0, :length], alone[0, :length], atol=1e-5) is alike


@pytest.mark.parametrize("kernels", ["3", "5,5", "7,3,5", "4,2"])
@torch.inference_mode()
def test_any_number_of_convolutions(kernels):
    features, mask = clips(33, 80)
    model = build(conv_kernel_sizes=kernels)
    embeddings, present = model.encode(features, mask)
    length = 20
    for _ in kernels.split(","):
        length = (length - 1) // 2 + 1
    assert embeddings.shape == (2, length, 16)
    assert present.sum(1).tolist()[1] == length


def test_a_clip_without_a_state_is_refused():
    with pytest.raises(AudioError, match="at least 3"):
        build().encode(*clips(2, 30))


def test_the_encoder_of_a_small_dtype_takes_float_features():
    model = build().bfloat16()
    embeddings, _ = model.encode(*clips(20))
    assert embeddings.dtype == torch.bfloat16
