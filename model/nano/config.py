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
    layers: int = 6
    heads: int = 4
    inner: int = 704  # of the gated feed-forward
    context: int = 384  # tokens; longer prompts lose their oldest history first
    rope_base: float = 10_000.0
    ear_width: int = 256  # of the ear's pooled states
