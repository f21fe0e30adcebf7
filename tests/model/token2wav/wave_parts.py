"""Tiny token decoders with random weights."""

import math

import torch

from model.token2wav.config import FlowConfig, HiftConfig
from model.token2wav.flow import Flow
from model.token2wav.hift import Hift
from model.token2wav.mels import StreamOptions
from model.token2wav.stream import Token2Wav

BINS, CODES, BLOCK = 12, 40, 5


def randomised(module, seed):
    """Weights of the size that keeps signals at about one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, values in module.named_parameters():
            drawn = torch.randn(values.shape, generator=generator)
            if name.endswith(("bias", "pos_bias_u", "pos_bias_v")):
                values.copy_(0.1 * drawn)
            elif values.dim() == 1 or name.endswith("weight_g"):  # norms, snakes, weight norm
                values.copy_(1 + 0.1 * drawn)
            else:
                values.copy_(drawn / math.sqrt(values[0].numel()))
    return module.eval()


def flow_dict(**changes):
    sizes = {
        "input_size": 16, "output_size": BINS, "spk_embed_dim": 6, "vocab_size": CODES, "input_frame_rate": 12.5,
        "encoder": {
            "input_size": 16, "output_size": 24, "attention_heads": 3, "linear_units": 32, "num_blocks": 2,
            "block_size": BLOCK,
        },
        "length_regulator": {"channels": BINS, "sampling_ratios": [1, 1], "groups": 2},
        "decoder": {
            "in_channels": 3 * BINS, "spk_emb_dim": BINS, "cfm_params": {"inference_cfg_rate": 0.7},
            "estimator": {
                "in_channels": 4 * BINS, "out_channels": BINS, "channels": [16, 24], "attention_head_dim": 8,
                "n_blocks": 1, "num_mid_blocks": 1, "num_heads": 2,
            },
        },
    }  # fmt: skip
    return sizes | changes


def hift_dict(**changes):
    """64 samples a frame at 5,512 Hz: the published ratio of frames to units, 441/64 nearly."""
    sizes = {
        "in_channels": BINS, "base_channels": 16, "nb_harmonics": 2, "sampling_rate": 5_512, "nsf_alpha": 0.1,
        "nsf_sigma": 0.003, "nsf_voiced_threshold": 10, "upsample_rates": [4, 4], "upsample_kernel_sizes": [8, 8],
        "istft_params": {"n_fft": 16, "hop_len": 4}, "resblock_kernel_sizes": [3, 7],
        "resblock_dilation_sizes": [[1, 3], [1, 3]], "source_resblock_kernel_sizes": [7, 11],
        "source_resblock_dilation_sizes": [[1, 3], [1, 3]], "lrelu_slope": 0.1, "audio_limit": 0.99,
        "f0_predictor": {"in_channels": BINS, "cond_channels": 8},
    }  # fmt: skip
    return sizes | changes


def hift(compat=None, **changes):
    module = randomised(Hift(HiftConfig.from_dict(hift_dict(**changes)), compat), 2)
    with torch.no_grad():
        module.f0_predictor.classifier.weight.mul_(60)
        module.f0_predictor.classifier.bias.fill_(150)
        module.conv_post.weight_g.mul_(0.5)  # quiet enough not to be clipped
        module.conv_post.bias.fill_(-0.3)
    return module


def flow(compat=None, **changes):
    config = FlowConfig.from_dict(flow_dict(**changes)).for_vocoder(HiftConfig.from_dict(hift_dict()))
    return randomised(Flow(config, compat), 1)


def decoder(**options):
    options.setdefault("steps", 3)
    options.setdefault("overlap_frames", 6)
    return Token2Wav(flow(), hift(), StreamOptions(**options))


def units(count, seed=0):
    return torch.randint(CODES, (count,), generator=torch.Generator().manual_seed(seed)).tolist()
