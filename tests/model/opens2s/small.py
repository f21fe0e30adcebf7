"""A whole OpenS2S of a few thousand weights, the same each time."""

from __future__ import annotations

from typing import Any

import torch

from model.opens2s.compat import Compat
from model.opens2s.config import OpenS2SConfig
from model.opens2s.omnispeech import OmniSpeech
from model.opens2s.splice import Batch
from model.opens2s.tokens import AUDIO

BINS, WINDOW = 8, 40  # of the encoder
LM = {
    "model_type": "qwen3", "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
    "intermediate_size": 24, "rope_theta": 1e6, "max_position_embeddings": 256,
}  # fmt: skip


def config(**changes: Any) -> dict[str, Any]:
    return {
        "audio_encoder_config": {
            "model_type": "qwen2_audio_encoder", "num_mel_bins": BINS, "d_model": 12, "encoder_layers": 2,
            "encoder_attention_heads": 2, "encoder_ffn_dim": 20, "max_source_positions": WINDOW // 2,
        },
        "llm_config": {**LM, "hidden_size": 16, "vocab_size": 40, "tie_word_embeddings": False},
        "tts_lm_config": {**LM, "hidden_size": 14, "vocab_size": 50, "tie_word_embeddings": True},
        "conv_kernel_sizes": "5,3", "adapter_inner_dim": 6, "interleave_strategy": "2:3", "lora_config": None,
        **changes,
    }  # fmt: skip


def build(compat: Compat = None, seed: int = 1, **changes: Any) -> OmniSpeech:
    generator = torch.Generator().manual_seed(seed)
    model = OmniSpeech(OpenS2SConfig.from_dict(config(**changes)), compat=compat).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * (1.0 if weight.ndim == 1 else 0.4))
    return model


def clips(*frames: int, seed: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and mask of clips of so many valid frames; the padding holds silence, not zeros."""
    total = -(-max(frames) // WINDOW) * WINDOW
    valid = torch.arange(total) < torch.tensor(frames)[:, None]
    features = torch.randn(len(frames), BINS, total, generator=torch.Generator().manual_seed(seed))
    return torch.where(valid[:, None], features, -1.5), valid.long()


def prompt(*ids: int) -> Batch:
    """One row; each -200 gets a clip of 30 frames."""
    count = ids.count(AUDIO)
    features, mask = clips(*[30] * count) if count else (None, None)
    return Batch(torch.tensor([ids]), features=features, features_mask=mask)
