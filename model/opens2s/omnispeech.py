"""The speech language model: an LLM that hears through encoder and adapter, and speaks through a second LM.

Attribute and parameter names are those of the published checkpoints (Wang et al. 2025, OpenS2S). Knows the networks
and what joins them; sequences are `splice`'s and `interleave`'s, decoding is `generation`'s.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from model.opens2s.adapter import Subsampler
from model.opens2s.compat import Compat
from model.opens2s.config import OpenS2SConfig
from model.opens2s.encoder import AudioEncoder
from model.opens2s.errors import AudioError
from model.opens2s.layers import within

SPEAKER_WIDTH = 512


class OmniSpeech(nn.Module):
    """All weights of one checkpoint. ``compat`` holds for everything that is done with the model."""

    def __init__(self, config: OpenS2SConfig, *, compat: Compat = None) -> None:
        super().__init__()
        self.config, self.compat = config, compat
        heard: int = config.audio_encoder_config.d_model
        thought: int = config.llm_config.hidden_size
        spoken: int = config.tts_lm_config.hidden_size
        self.audio_encoder_model = AudioEncoder(config.audio_encoder_config)
        self.llm_model: Any = AutoModelForCausalLM.from_config(config.llm_config)
        self.tts_lm_model: Any = AutoModelForCausalLM.from_config(config.tts_lm_config)
        self.tts_lm_model.spk2tts = nn.Linear(SPEAKER_WIDTH, spoken, bias=False)
        self.tts_lm_model.spk_ln = nn.LayerNorm(spoken)
        self.audio_adapter = Subsampler(heard, config.adapter_inner_dim, thought, config.kernels, compat=compat)
        self.llm2tts = nn.Linear(thought, spoken, bias=False)
        self.llm_ln = nn.LayerNorm(spoken)

    def encode(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, bins, k windows], mask [B, frames] -> embeddings [B, T, LLM width], mask [B, T], T the largest.

        Raises AudioError if a clip gives no embedding at all.
        """
        encoder = self.audio_encoder_model
        frames = mask.sum(1)
        if int(frames.min()) < encoder.minimum_frames:
            raise AudioError(
                f"A clip has {int(frames.min())} valid frames.",
                f"Give at least {encoder.minimum_frames} for each clip.",
            )
        weight = self.audio_adapter.ln.weight
        states, lengths = encoder(features.to(encoder.conv1.weight), frames)
        embeddings, lengths = self.audio_adapter(states.to(weight), lengths.to(weight.device))
        present = within(lengths, int(lengths.max()))
        return embeddings[:, : present.shape[1]], present.long()

    def bridge(self, states: Tensor) -> Tensor:
        """Final-norm states of the LLM [..., T, LLM width] -> inputs of the speech decoder [..., T, its width]."""
        inputs: Tensor = self.llm_ln(self.llm2tts(states.to(self.llm2tts.weight)))
        return inputs

    def speaker(self, embedding: Tensor | None = None) -> Tensor:
        """Speaker embedding [B, 1, 512], or None for the zero vector -> first input of the speech decoder [B, 1, h]."""
        projection = self.tts_lm_model.spk2tts
        if embedding is None:
            embedding = torch.zeros(1, 1, SPEAKER_WIDTH)
        vector: Tensor = self.tts_lm_model.spk_ln(projection(embedding.to(projection.weight)))
        return vector
