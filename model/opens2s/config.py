"""The configuration of a checkpoint, read and checked once. Knows numbers and their meaning, not how they are used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from transformers import AutoConfig

from model.opens2s.errors import ConfigError

POOLED_ENCODER = "qwen2_audio_encoder"  # averages pairs of frames at its end: 25 states a second
AUDIO_ENCODERS = (POOLED_ENCODER, "whisper")  # Whisper itself gives 50
KERNELS = "5,5"
INTERLEAVE = "1:2"
INNER = 512


@dataclass(frozen=True)
class OpenS2SConfig:
    """Sizes of the three networks and of what joins them."""

    audio_encoder_config: Any  # transformers configurations, by their model_type
    llm_config: Any
    tts_lm_config: Any
    kernels: tuple[int, ...]  # of the adapter's convolutions
    adapter_inner_dim: int  # width of the adapter's feed-forward
    interleave: tuple[int, int]  # M states of the LLM, then N units, and again
    lora_config: Any = None  # how the LLM was trained; its weights hold the result already

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OpenS2SConfig:
        """The content of a checkpoint's ``config.json``; unknown keys are allowed. Raises ConfigError."""
        audio = _part(data, "audio_encoder_config")
        if audio.model_type not in AUDIO_ENCODERS:
            raise ConfigError(
                f"audio_encoder_config names the model type {audio.model_type!r}.",
                f"Poise knows {' and '.join(AUDIO_ENCODERS)}.",
            )
        return cls(
            audio_encoder_config=audio,
            llm_config=_part(data, "llm_config"),
            tts_lm_config=_part(data, "tts_lm_config"),
            kernels=_numbers(data, "conv_kernel_sizes", KERNELS, ",", None),
            adapter_inner_dim=_numbers(data, "adapter_inner_dim", str(INNER), ",", 1)[0],
            interleave=_pair(_numbers(data, "interleave_strategy", INTERLEAVE, ":", 2)),
            lora_config=data.get("lora_config"),
        )

    @property
    def pooled(self) -> bool:
        """True if the audio encoder averages pairs of frames at its end."""
        return bool(self.audio_encoder_config.model_type == POOLED_ENCODER)


def _part(data: Mapping[str, Any], key: str) -> Any:
    """One network's configuration. Its stored dtype is left out: the loader decides on it for all parts alike."""
    part = data.get(key)
    if not isinstance(part, Mapping) or "model_type" not in part:
        raise ConfigError(
            f"The configuration has no {key} with a model_type.",
            "Check that this config.json is an OpenS2S checkpoint's.",
        )
    values = {name: value for name, value in part.items() if name not in ("model_type", "dtype", "torch_dtype")}
    try:
        return AutoConfig.for_model(part["model_type"], **values)
    except Exception as error:  # transformers checks with exceptions of several libraries
        raise ConfigError(f"{key} cannot be read ({error}).", "Compare it with the published config.json.") from error


def _numbers(data: Mapping[str, Any], key: str, default: str, separator: str, count: int | None) -> tuple[int, ...]:
    """Positive whole numbers written as one string, ``count`` of them if that is given."""
    text = str(data.get(key, default))
    parts = text.split(separator)
    if not all(re.fullmatch(r"\s*0*[1-9]\d*\s*", part) for part in parts) or count not in (None, len(parts)):
        raise ConfigError(f"{key} is {text!r}.", f'Write positive whole numbers as in "{default}".')
    return tuple(map(int, parts))


def _pair(numbers: tuple[int, ...]) -> tuple[int, int]:
    first, second = numbers
    return first, second
