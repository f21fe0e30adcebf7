"""The rows of the tokens that a speech model adds to an LLM, trained while the LLM itself is frozen.

The published code freezes them at their first, random values together with the LLM. Here they lie in small tables
over the frozen ones, so that neither gradients nor optimiser states of a whole vocabulary are needed, and are written
back when the stage is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class AddedInputs(nn.Module):
    """An embedding of which some rows are replaced by trained ones."""

    added: Tensor

    def __init__(self, base: nn.Embedding, added: Tensor, rows: nn.Parameter) -> None:
        """``added`` [n]: ids; ``rows`` [n, D]."""
        super().__init__()
        self.base, self.rows = base, rows
        self.register_buffer("added", added, persistent=False)

    @property
    def num_embeddings(self) -> int:
        """Size of the vocabulary."""
        return self.base.num_embeddings

    def forward(self, ids: Tensor) -> Tensor:
        """Ids [...] -> embeddings [..., D]."""
        where = ids[..., None] == self.added
        picked = where.to(self.rows.dtype) @ self.rows
        return torch.where(where.any(-1, keepdim=True), picked, self.base(ids))


class AddedOutputs(nn.Module):
    """The head that goes with it."""

    added: Tensor

    def __init__(self, base: nn.Linear, added: Tensor, rows: nn.Parameter) -> None:
        super().__init__()
        self.base, self.rows = base, rows
        self.register_buffer("added", added, persistent=False)

    def forward(self, states: Tensor) -> Tensor:
        """States [..., D] -> logits [..., V]."""
        logits: Tensor = self.base(states)
        return logits.index_copy(-1, self.added, nn.functional.linear(states, self.rows).to(logits.dtype))


def put_over(llm: Any, ids: Sequence[int]) -> None:
    """Put trained rows for ``ids`` over both ends of a frozen transformers LLM; tied ends share them."""
    inputs, head = llm.get_input_embeddings(), llm.get_output_embeddings()
    added = torch.tensor(sorted(set(ids)), device=inputs.weight.device)
    rows = nn.Parameter(inputs.weight.detach()[added].clone())
    tied = inputs.weight is head.weight
    llm.set_input_embeddings(AddedInputs(inputs, added, rows))
    llm.set_output_embeddings(
        AddedOutputs(head, added, rows if tied else nn.Parameter(head.weight.detach()[added].clone()))
    )


def taken_off(state: dict[str, Tensor], ids: Sequence[int]) -> dict[str, Tensor]:
    """The state of a module with tables of `put_over` for ``ids`` somewhere in it, under the names it had before."""
    added = torch.tensor(sorted(set(ids)))
    plain = {name.replace(".base.", "."): value for name, value in state.items() if not name.endswith(".rows")}
    for name, rows in state.items():
        if name.endswith(".rows"):
            table = name.removesuffix("rows") + "weight"
            plain[table] = plain[table].index_copy(0, added, rows.to(plain[table]))
    return plain
