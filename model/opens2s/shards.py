"""Weight files of a checkpoint, one or many: what they hold, whether it fits a module, and how it gets in.

A module is built without weights and takes over each tensor as it is read, at its device and in its dtype; so the most
memory that is needed is the module's own and one shard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from model.opens2s.files import CheckpointError, read_json
from model.opens2s.pickles import state_dict

Adapt = Callable[[dict[str, Any]], dict[str, Any]]
SHOWN = 10  # names in a message
_NAMES = ("model.safetensors", "pytorch_model.bin")
_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True)
class Entry:
    """One tensor in a file."""

    file: Path
    shape: tuple[int, ...]
    dtype: torch.dtype | None  # None if it is not one of the floating types that weights have

    @property
    def values(self) -> int:
        """Number of values."""
        return int(torch.Size(self.shape).numel())


def find(folder: Path) -> list[Path]:
    """The weight files of a folder: safetensors before pickles, sharded or single. Raises CheckpointError."""
    for name in _NAMES:
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _indexed(index)
        if (folder / name).is_file():
            return [folder / name]
    raise CheckpointError(
        f"{folder} holds no weights.", "Download the checkpoint again, with all model*.safetensors files."
    )


def _indexed(index: Path) -> list[Path]:
    weights = read_json(index).get("weight_map")
    if not isinstance(weights, dict) or not weights:
        raise CheckpointError(f"{index} has no weight_map.", "Download the file again.")
    names = sorted({str(name) for name in weights.values()})
    if any(Path(name).name != name for name in names):
        raise CheckpointError(f"{index} names files outside its folder.", "Download the file again.")
    lost = [name for name in names if not (index.parent / name).is_file()]
    if lost:
        wrong = f"{len(lost)} of {len(names)} weight files are missing in {index.parent}: {_some(lost)}."
        raise CheckpointError(wrong, "Download them again.")
    return [index.parent / name for name in names]


class Shards:
    """The tensors of some weight files by name; ``entries`` is known without reading any of them."""

    def __init__(self, files: Iterable[Path], adapt: Adapt = dict) -> None:
        """Read what the files hold; raises CheckpointError.

        ``adapt`` takes and gives a dictionary by name: it may leave tensors out and give others a new name.
        """
        self.files = list(files)
        found: dict[str, Entry] = {}
        for file in self.files:
            found |= _contents(file)
        self.entries: dict[str, Entry] = adapt(found)
        self._names = {old: new for new, old in adapt({name: name for name in found}).items()}

    @property
    def values(self) -> int:
        """Number of values in all tensors."""
        return sum(entry.values for entry in self.entries.values())

    @property
    def dtype(self) -> torch.dtype:
        """The floating type in which most values are stored."""
        sizes: Counter[torch.dtype] = Counter()
        for entry in self.entries.values():
            if entry.dtype is not None:
                sizes[entry.dtype] += entry.values
        return sizes.most_common(1)[0][0] if sizes else torch.float32

    def read(self, file: Path) -> Iterator[tuple[str, Tensor]]:
        """The tensors of one of the files."""
        names = self._names
        if file.suffix != ".safetensors":
            yield from ((names[name], tensor) for name, tensor in state_dict(file).items() if name in names)
            return
        with _opened(file) as opened:
            for name in opened.keys():  # noqa: SIM118 - not a dictionary
                if name in names:
                    yield names[name], opened.get_tensor(name)


def _contents(file: Path) -> dict[str, Entry]:
    if file.suffix != ".safetensors":
        return {name: Entry(file, tuple(tensor.shape), _floating(tensor)) for name, tensor in state_dict(file).items()}
    found = {}
    with _opened(file) as opened:
        for name in opened.keys():  # noqa: SIM118 - not a dictionary
            part = opened.get_slice(name)
            found[name] = Entry(file, tuple(part.get_shape()), _DTYPES.get(part.get_dtype()))
    return found


def _floating(tensor: Tensor) -> torch.dtype | None:
    return tensor.dtype if tensor.dtype in _DTYPES.values() else None


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            yield opened
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file} cannot be read ({error}).", "Download the file again.") from error


class Weightless(TorchFunctionMode):
    """Modules built inside have parameters without memory, and buffers that are computed (tables, windows) as usual."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.empty:
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)


def misfits(module: nn.Module, entries: dict[str, Entry], where: Path) -> CheckpointError | None:
    """What keeps the tensors from filling ``module`` exactly, in one error; None if they fit.

    Of several names of one tied tensor, any is enough.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    tied = [group for group in ties(module) if any(name in entries for name in group)]
    spared = {name for group in tied for name in group}
    missing = [name for name in wanted if name not in entries and name not in spared]
    surplus = [name for name in entries if name not in wanted]
    shapes = [
        f"{name} is {_shape(entries[name].shape)}, not {_shape(shape)}"
        for name, shape in wanted.items()
        if name in entries and entries[name].shape != shape
    ]
    coded = [name for name in wanted if name in entries and entries[name].dtype is None]
    kinds = ((missing, "missing"), (surplus, "unknown"), (shapes, "of another shape"), (coded, "quantised"))
    said = [f"{len(names)} {kind} ({_some(names)})" for names, kind in kinds if names]
    if not said:
        return None
    wrong = f"The weights in {where} do not fit their configuration: {'; '.join(said)}."
    return CheckpointError(wrong, "Take weights and configuration from the same checkpoint.")


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def ties(module: nn.Module) -> list[list[str]]:
    """Names of parameters that are one tensor, such as the two ends of a language model."""
    groups: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        groups.setdefault(id(parameter), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def fill(
    module: nn.Module,
    shards: Shards,
    where: Path,
    place: Callable[[str], torch.device],
    dtype: torch.dtype,
    seen: Callable[[int], None],
) -> None:
    """Give ``module``, built `Weightless`, its weights, and make it ready for inference.

    ``place``: device of a parameter, by name; ``seen`` is told how many values were read. Raises CheckpointError.
    """
    wrong = misfits(module, shards.entries, where)
    if wrong is not None:
        raise wrong
    groups = ties(module)
    for file in shards.files:
        part = {}
        for name, tensor in shards.read(file):
            part[name] = _moved(tensor, place(name), dtype)
            seen(tensor.numel())
        module.load_state_dict(part, strict=False, assign=True)
    for group in groups:
        filled = next(name for name in group if name in shards.entries)
        for name in group:
            _set(module, name, module.get_parameter(filled))
    for name, buffer in module.named_buffers():  # tables and windows, which are not in the files
        _set(module, name, buffer.to(place(name)))
    module.eval().requires_grad_(False)


def _moved(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A copy, since the file may be replaced while the module lives."""
    try:
        return tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype, copy=True)
    except RuntimeError as error:  # no more memory, or a broken device
        reason = (str(error).splitlines() or ["unknown"])[0]
        wrong = f"The weights cannot be put on {device} ({reason})."
        raise CheckpointError(
            wrong, "Take a smaller dtype, another device, or spread the parts over several."
        ) from None


def _set(module: nn.Module, name: str, tensor: Tensor) -> None:
    owner, _, leaf = name.rpartition(".")
    setattr(module.get_submodule(owner), leaf, tensor)
