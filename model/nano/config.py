"""Sizes of nano's parts, as frozen records; every class of nano is built from one of them.

Knows numbers and their meaning, not how they are used. Each part appends its own record.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of all sizes: frozen, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LlmConfig(Settings):
    """Sizes of the causal LLM that plans and carries replies, and of the adapter in front of it."""

    vocabulary: int = 4096
    width: int = 256
    layers: int = 4
    heads: int = 4
    inner: int = 704  # of the gated feed-forward
    context: int = 384  # tokens; longer prompts lose their oldest history first
    rope_base: float = 10_000.0
    ear_width: int = 256  # of the ear's pooled states


class UnitsConfig(Settings):
    """Sizes of the speech tokenizer and the token decoder."""

    codes: int = 1024
    code_width: int = 16
    deliveries: int = 8
    width: int = 256  # at 25 Hz
    inner: int = 512
    frame_width: int = 96  # at 100 Hz
    frame_inner: int = 192
    encoder_blocks: tuple[int, ...] = (1, 1, 2)  # dilations
    decoder_blocks: tuple[int, ...] = (1, 2, 3, 1)
    decoder_frame_blocks: tuple[int, ...] = (1, 2)
    delay: int = 2  # units the token decoder waits for before it decides on a frame
