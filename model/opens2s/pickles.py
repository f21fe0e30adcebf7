"""Weights in torch's pickle format (``*.pt``, ``*.bin``), opened without running anything that they hold.

A pickle can carry code. Only tensors in a flat dictionary are let through; a file with anything else is refused before
it is unpickled. What is to be opened often is rewritten once as safetensors, which can hold nothing but tensors.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from hashlib import sha256
from pathlib import Path
from zipfile import is_zipfile

import torch
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from model.opens2s.files import CheckpointError


def state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a pickle file by name, on the CPU, read from disk as they are used. Raises CheckpointError."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing.", "Download the checkpoint again, with all its files.") from None
    except pickle.UnpicklingError:
        wrong = f"{path} holds more than tensors and was not opened: it could run code on this machine."
        raise CheckpointError(wrong, "Take the file from its publisher, or one in safetensors format.") from None
    except Exception as error:  # a damaged archive fails in many ways
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{path} cannot be read ({reason}).", "Download the file again.") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} is no dictionary of tensors.", "Take the published state dictionary.")
    for name, tensor in found.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
            wrong = f"{path} holds something other than a plain tensor at {name!r}."
            raise CheckpointError(wrong, "Take the published state dictionary.")
    return dict(found)


def converted(path: Path) -> Path:
    """A safetensors file with the tensors of ``path``: beside it or, where that is not writable, in the user's cache.

    Written once, and again when ``path`` changes. Where nothing can be written: ``path``. Raises CheckpointError.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is missing.", "Download the checkpoint again, with all its files.")
    status = path.stat()
    stamp = f"{status.st_size} {status.st_mtime_ns}"
    hidden = sha256(str(path.resolve()).encode()).hexdigest()[:16]
    places = [
        path.with_name(f"{path.name}.safetensors"),
        user_cache_path("poise") / f"{hidden}-{path.name}.safetensors",
    ]
    for place in places:
        if _stamp(place) == stamp:
            return place
    tensors = {name: tensor.contiguous().clone() for name, tensor in state_dict(path).items()}
    for place in places:
        if _write(tensors, stamp, place):
            return place
    return path


def _stamp(place: Path) -> str | None:
    """What is noted in a converted file about its origin; None if there is no such file or it is damaged."""
    try:
        with safe_open(place, framework="pt") as file:
            return (file.metadata() or {}).get("origin")
    except (SafetensorError, OSError):
        return None


def _write(tensors: dict[str, Tensor], stamp: str, place: Path) -> bool:
    """Write all or nothing; False if it cannot be written."""
    name = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
        os.close(handle)
        save_file(tensors, name, metadata={"origin": stamp})
        Path(name).replace(place)
    except (SafetensorError, OSError):
        if name is not None:
            Path(name).unlink(missing_ok=True)
        return False
    return True
