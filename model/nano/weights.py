"""Loads and saves weights as safetensors, and says in plain words what is wrong with a file.

Knows files and names, not architectures. Weights are stored in bfloat16 and computed in float32.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from model.interface import WeightsError

FOLDER = Path(__file__).resolve().parent.parent / "weights"
_RESTORE = "Restore it with 'git checkout -- model/weights', or train it with 'poise train nano'."


def load(module: nn.Module, name: str, folder: Path | None = None) -> None:
    """Fill ``module`` from ``<folder>/<name>.safetensors``, exactly: no missing, extra or mis-shaped tensor.

    Raises WeightsError that names the file and the first tensor that does not fit.
    """
    path = (folder or FOLDER) / f"{name}.safetensors"
    state = tensors(name, folder)
    wanted = module.state_dict()
    for key in sorted(wanted.keys() ^ state.keys()):
        raise WeightsError(f"{path} {'lacks' if key in wanted else 'has an unknown'} tensor {key!r}.", _RESTORE)
    for key, tensor in wanted.items():
        if tensor.shape != state[key].shape:
            shapes = f"{tuple(state[key].shape)} where {tuple(tensor.shape)} is expected"
            raise WeightsError(f"{path} has {key!r} of shape {shapes}.", _RESTORE)
    module.load_state_dict({k: v.to(wanted[k].dtype) for k, v in state.items()})
    module.eval().requires_grad_(False)


def tensors(name: str, folder: Path | None = None) -> dict[str, torch.Tensor]:
    """All tensors of ``<folder>/<name>.safetensors``; raises WeightsError if it is missing or damaged."""
    path = (folder or FOLDER) / f"{name}.safetensors"
    if not path.is_file():
        raise WeightsError(f"The weights {path} are missing.", _RESTORE)
    try:
        found: dict[str, torch.Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"The weights {path} cannot be read ({error}).", _RESTORE) from error
    return found


def save(module: nn.Module, name: str, folder: Path) -> Path:
    """Write ``module`` to ``<folder>/<name>.safetensors`` in bfloat16 (integers as they are); returns the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    state = {k: v.detach().to(torch.bfloat16) if v.is_floating_point() else v for k, v in module.state_dict().items()}
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    return path
