"""A folder of the published layout, opened for training and written again with other weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict
from torch import Tensor

from model.opens2s import files, loading, shards
from model.opens2s.config import OpenS2SConfig
from model.opens2s.features import LogMel
from model.opens2s.omnispeech import OmniSpeech
from model.training.stages.examples import StageError

SHARD = "5GB"


@dataclass
class Opened:
    """A checkpoint whose speech language model can be trained; it lies in memory in float32."""

    checkpoint: loading.Checkpoint
    model: OmniSpeech
    stored: torch.dtype  # of the weights in the files
    names: tuple[str, ...]  # of the tensors that are written: of those that are tied, one
    interleave: str

    @property
    def log_mel(self) -> LogMel:
        """The features of its encoder."""
        return self.checkpoint.log_mel


def open_for_training(source: str | Path, decoder: str | Path | None = None, interleave: str | None = None) -> Opened:
    """Open a folder or hub id; ``interleave`` ("M:N") replaces the ratio of the checkpoint.

    Raises CheckpointError, or StageError where neither names a ratio: the published code then takes 1:2, though its
    report says 4:8, and a model trained with one and run with the other says nothing that can be understood.
    """
    folder = files.folder(source)
    settings = files.read_json(folder / "config.json")
    ratio = interleave or settings.get("interleave_strategy")
    if not ratio:
        wrong = f"{folder / 'config.json'} has no interleave_strategy."
        raise StageError(wrong, 'Give the ratio of states to units as interleave, such as "4:8".')
    checkpoint = loading.read(folder, decoder)
    config = OpenS2SConfig.from_dict({**settings, "interleave_strategy": ratio})
    model = loading.build(lambda: OmniSpeech(config), folder)
    held = loading.model_weights(folder)
    shards.fill(model, held, folder, lambda _: torch.device("cpu"), torch.float32, lambda _: None)
    spare = {name for group in shards.ties(model) for name in group if "embed" not in name}
    names = tuple(name for name in model.state_dict() if name not in spare)
    return Opened(checkpoint, model, held.dtype, names, ratio)


def write(opened: Opened, state: Mapping[str, Tensor], out: Path) -> None:
    """Write a folder of the published layout: ``state`` in the stored dtype, everything else as it was.

    ``state`` has the model's own names. An older folder there is replaced only when
    the new one is complete.
    """
    source, partial = opened.checkpoint.folder, out / "weights.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    kept = {name: state[name].to(opened.stored).contiguous() for name in opened.names}
    save_torch_state_dict(kept, partial, max_shard_size=SHARD)
    for part in ("tts", "audio"):
        shutil.copytree(source / part, partial / part)
    shutil.copytree(opened.checkpoint.decoder, partial / "decoder")
    for path in source.iterdir():
        if path.is_file() and path.suffix in (".json", ".jinja", ".txt") and not path.name.endswith(".index.json"):
            shutil.copy2(path, partial / path.name)
    settings = {**files.read_json(source / "config.json"), "interleave_strategy": opened.interleave}
    (partial / "config.json").write_text(json.dumps(settings, indent=2, ensure_ascii=False), encoding="utf-8")
    _replace(partial, out)


def _replace(partial: Path, out: Path) -> None:
    """Move a complete folder's content up; ``config.json`` last, by which the folder counts as a checkpoint."""
    (out / "config.json").unlink(missing_ok=True)
    for stale in out.glob("model*.safetensors*"):
        stale.unlink()
    for path in sorted(partial.iterdir(), key=lambda path: path.name == "config.json"):
        target = out / path.name
        if target.is_dir():
            shutil.rmtree(target)
        path.replace(target)
    partial.rmdir()
