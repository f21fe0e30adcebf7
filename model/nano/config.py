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
    width: int = 192  # at 25 Hz
    inner: int = 384
    frame_width: int = 64  # at 100 Hz
    frame_inner: int = 128
    decoder_blocks: tuple[int, ...] = (1, 2, 3, 1)  # dilations
    decoder_frame_blocks: tuple[int, ...] = (1, 2)
    delay: int = 2  # units the token decoder waits for before it decides on a frame


class SpeechDecoderConfig(Settings):
    """Sizes of the causal transformer from states to units, and how both are interleaved."""

    codes: int = 1024
    code_width: int = 16
    deliveries: int = 8
    llm_width: int = 256
    width: int = 192
    layers: int = 4
    heads: int = 4
    inner: int = 512
    first_states: int = 12  # states before the first unit
    block_states: int = 4  # states that join them ...
    block_units: int = 6  # ... after every so many units
    lookahead: int = 4  # states that are always known beyond the one being spoken
    advances: int = 5  # the pointer moves by 0 .. advances - 1
    elapsed: int = 24  # units in one state that are told apart
    context: int = 512  # positions that attention sees
    rope_base: float = 10_000.0
