"""The layer that all Whisper-like encoders here are stacked from, with the parameter names of the checkpoints."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, scaled_dot_product_attention
from transformers.activations import ACT2FN


class SelfAttention(nn.Module):
    """Multi-head attention; the keys have no bias."""

    def __init__(self, width: int, heads: int, dropped: float) -> None:
        super().__init__()
        self.heads, self.dropped = heads, dropped
        self.k_proj = nn.Linear(width, width, bias=False)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x [B, T, D], mask boolean (True: may be seen), broadcast to [B, heads, T, T] -> [B, T, D]."""
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        dropped = self.dropped if self.training else 0.0
        y = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropped)
        mixed: Tensor = self.out_proj(y.transpose(1, 2).flatten(2))
        return mixed


class EncoderLayer(nn.Module):
    """Pre-norm attention and feed-forward (Radford et al. 2022)."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width: int = config.d_model
        self.self_attn = SelfAttention(width, config.encoder_attention_heads, config.attention_dropout)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, config.encoder_ffn_dim)
        self.fc2 = nn.Linear(config.encoder_ffn_dim, width)
        self.final_layer_norm = nn.LayerNorm(width)
        self._activation = ACT2FN[config.activation_function]
        self._dropout, self._inner_dropout = config.dropout, config.activation_dropout

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x [B, T, D], mask as in SelfAttention -> [B, T, D]."""
        y = self.self_attn(self.self_attn_layer_norm(x), mask)
        x = x + dropout(y, self._dropout, self.training)
        y = dropout(self._activation(self.fc1(self.final_layer_norm(x))), self._inner_dropout, self.training)
        return x + dropout(self.fc2(y), self._dropout, self.training)


def within(lengths: Tensor, size: int) -> Tensor:
    """Boolean mask [B, size]: True before each row's length."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]
