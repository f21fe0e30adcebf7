"""Weights: what was saved is loaded; whatever does not fit is named with its mending."""

from pathlib import Path

import pytest
import torch
from torch import nn

from model.interface import WeightsError
from model.nano import weights


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    weights.save(source, "one", tmp_path)
    weights.load(target, "one", tmp_path)
    assert torch.equal(target.weight, source.weight.to(torch.bfloat16).float())
    assert not target.weight.requires_grad


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (nn.Linear(4, 2), "of shape (2, 3) where (2, 4) is expected"),
        (nn.Linear(3, 2, bias=False), "has an unknown tensor 'bias'"),
        (nn.Bilinear(3, 3, 2), "of shape (2, 3) where (2, 3, 3) is expected"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, target: nn.Module, said: str) -> None:
    weights.save(nn.Linear(3, 2), "one", tmp_path)
    with pytest.raises(WeightsError, match=r"one\.safetensors") as error:
        weights.load(target, "one", tmp_path)
    assert said in str(error.value)
    assert "poise train nano" in error.value.mend


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="are missing"):
        weights.tensors("one", tmp_path)


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\xff" * 64])
def test_damaged_weights_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "one.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be read"):
        weights.tensors("one", tmp_path)
