"""Recorded numbers of a published system: folders of config, weights, inputs and outputs, and how they are compared.

``POISE_VECTORS=DIR pytest -m parity`` runs the same checks on any folder of this layout.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

HERE = Path(__file__).parents[1] / "vectors"
VECTORS = Path(os.environ.get("POISE_VECTORS") or HERE / "opens2s")
STATE_DICTS = Path(os.environ.get("POISE_STATE_DICTS") or HERE / "state_dicts")


@dataclass(frozen=True)
class Case:
    """One folder: ``config`` and ``meta`` as written there, tensors by name."""

    name: str
    config: dict[str, Any]
    meta: dict[str, Any]
    weights: dict[str, torch.Tensor]
    inputs: dict[str, torch.Tensor]
    outputs: dict[str, torch.Tensor]

    def check(self, name: str, found: torch.Tensor, kind: str = "atol") -> None:
        """Compare with the recorded output ``name``: equal where the case says so, else within its tolerance."""
        wanted = self.outputs[name]
        assert tuple(found.shape) == tuple(wanted.shape), (
            f"{name}: shape {tuple(found.shape)}, not {tuple(wanted.shape)}"
        )
        if name in self.meta["exact"]:
            assert torch.equal(found.to(wanted.dtype), wanted), f"{self.name}: {name} differs"
            return
        worst = float((found.double() - wanted.double()).abs().max()) if wanted.numel() else 0.0
        allowed = self.meta[kind][name]
        assert worst <= allowed, f"{self.name}: {name} is off by {worst:.3g}, {allowed:.3g} is allowed"


def find(component: str) -> list[Path]:
    """The folders of one component."""
    metas = sorted(VECTORS.glob("*/meta.json"))
    return [path.parent for path in metas if json.loads(path.read_text(encoding="utf-8"))["component"] == component]


def load(folder: Path) -> Case:
    """Read a folder."""

    def tensors(name: str) -> dict[str, torch.Tensor]:
        path = folder / f"{name}.safetensors"
        return load_file(path) if path.exists() else {}

    def data(name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        return found

    return Case(folder.name, data("config"), data("meta"), tensors("weights"), tensors("inputs"), tensors("outputs"))


def names(component: str) -> list[Any]:
    """The cases of a component, for ``parametrize``."""
    import pytest

    return [pytest.param(path, id=path.name) for path in find(component)]
