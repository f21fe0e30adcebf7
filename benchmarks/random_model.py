"""OpenS2S with random weights at any size, for measuring how fast it is: what it says means nothing.

``published`` takes the published sizes; ``small`` keeps their proportions (language model to speech decoder to
encoder to token decoder) at about 1/300, for CPUs; ``tiny`` is mostly overhead.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from model.opens2s import loading, tiny
from model.opens2s.config import OpenS2SConfig
from model.opens2s.features import LogMel
from model.opens2s.loading import Loaded
from model.opens2s.omnispeech import OmniSpeech
from model.token2wav.config import FlowConfig, HiftConfig
from model.token2wav.flow import Flow
from model.token2wav.hift import Hift

PUBLISHED = Path(__file__).parents[1] / "tests" / "vectors" / "state_dicts"
SCALES = ("tiny", "small", "published")
SMALL: dict[str, Any] = {
    "omnispeech": {
        "audio_encoder_config": {
            "d_model": 160, "encoder_layers": 8, "encoder_attention_heads": 5, "encoder_ffn_dim": 640,
        },
        "llm_config": {
            "hidden_size": 512, "num_hidden_layers": 9, "num_attention_heads": 8, "num_key_value_heads": 2,
            "head_dim": 64, "intermediate_size": 1536, "vocab_size": 8192,
        },
        "tts_lm_config": {
            "hidden_size": 256, "num_hidden_layers": 7, "num_attention_heads": 4, "num_key_value_heads": 2,
            "head_dim": 64, "intermediate_size": 768, "vocab_size": 8192,
        },
        "adapter_inner_dim": 64,
    },
    "flow": {
        "flow": {
            "input_size": 64, "vocab_size": 256,
            "encoder": {
                "input_size": 64, "output_size": 64, "attention_heads": 2, "linear_units": 256, "num_blocks": 3,
            },
            "decoder": {
                "estimator": {
                    "channels": [32, 32], "attention_head_dim": 16, "n_blocks": 2, "num_mid_blocks": 4, "num_heads": 2,
                },
            },
        }
    },
    "hift": {"hift": {"base_channels": 32, "f0_predictor": {"cond_channels": 32}}},
}  # fmt: skip


def build(scale: str, device: str, dtype: str = "auto") -> Loaded:
    """The model of one scale on a device."""
    folder = Path(tempfile.mkdtemp(prefix="poise-random-"))
    if scale == "tiny":
        return loading.load(tiny.write(folder, window_s=30), device=device, dtype=dtype, progress=False)
    kind = torch.float32 if dtype == "auto" else getattr(torch, dtype)
    return assembled(folder, SMALL if scale == "small" else {}, torch.device(device), kind)


def assembled(folder: Path, changes: Mapping[str, Any], device: torch.device, dtype: torch.dtype) -> Loaded:
    """Published sizes with ``changes``; only the tokenizers are smaller."""

    def sizes(name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((PUBLISHED / f"{name}.config.json").read_text(encoding="utf-8"))
        found.update(_changed(found, changes.get(name, {})))
        return found

    vocoder_config = HiftConfig.from_dict(sizes("hift")["hift"])
    flow_config = FlowConfig.from_dict(sizes("flow")["flow"]).for_vocoder(vocoder_config)
    files = loading.read(tiny.write(folder, units=flow_config.vocab_size))
    with device:
        torch.set_default_dtype(dtype)  # eleven thousand million values are not made twice
        try:
            model = OmniSpeech(OpenS2SConfig.from_dict(sizes("omnispeech")))
        finally:
            torch.set_default_dtype(torch.float32)
        flow, vocoder = Flow(flow_config), Hift(vocoder_config)
    files = dataclasses.replace(
        files, config=model.config, flow=flow_config, vocoder=vocoder_config, log_mel=LogMel(128, minimum_frames=3)
    )
    for module in (model, flow, vocoder):
        module.eval().requires_grad_(False)
    vocoder.fold()
    return Loaded(files, model, flow, vocoder)


def _changed(found: Any, changes: Any) -> Any:
    if not isinstance(changes, dict):
        return changes
    return {**found, **{name: _changed(found.get(name, {}), value) for name, value in changes.items()}}


def upstream(loaded: Loaded) -> tuple[Flow, Hift]:
    """The same token decoder in upstream's mode."""
    files, device = loaded.checkpoint, next(loaded.flow.parameters()).device
    flow, vocoder = Flow(files.flow, "upstream"), Hift(files.vocoder, "upstream")
    if loaded.vocoder.state_dict().keys() != vocoder.state_dict().keys():
        vocoder.fold()
    flow.load_state_dict(loaded.flow.state_dict())
    vocoder.load_state_dict(loaded.vocoder.state_dict())
    return flow.to(device).eval(), vocoder.to(device).eval()
