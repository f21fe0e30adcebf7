"""The training loop: it learns, stops in time, resumes, and says when a loss is not a number."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from model.training.loop import Plan, run, schedule


def batches(chance: random.Random) -> Iterator[torch.Tensor]:
    while True:
        yield torch.rand(16, 2, generator=torch.Generator().manual_seed(chance.getrandbits(30)))


def loss_of(module: nn.Module, batch: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
    loss = (module(batch).float().squeeze(1) - batch.sum(dim=1)).square().mean()
    return loss, {"half": float(loss.detach()) / 2}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_it_learns_and_resumes_where_it_stopped(tmp_path: Path) -> None:
    module = nn.Linear(2, 1)
    first = run(module, batches, loss_of, tmp_path / "s", Plan(minutes=0.02, rate=0.05))
    assert first["loss"] < 0.5
    assert (tmp_path / "s" / "loss.png").stat().st_size > 1000
    again = nn.Linear(2, 1)
    second = run(again, batches, loss_of, tmp_path / "s", Plan(minutes=0.02, rate=0.05))
    assert second["steps"] == first["steps"]  # the box was spent already
    assert torch.equal(again.weight, module.weight)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_evaluation_is_logged(tmp_path: Path) -> None:
    figures = run(nn.Linear(2, 1), batches, loss_of, tmp_path / "s", Plan(minutes=0.005), lambda _: {"score": 7.0})
    assert figures["score"] == 7.0
    rows = [json.loads(line) for line in (tmp_path / "s" / "log.jsonl").read_text().splitlines()]
    assert rows[-1]["score"] == 7.0


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="not finite"):
        run(nn.Linear(2, 1), batches, lambda m, b: (m(b).sum() * float("nan"), {}), tmp_path / "s", Plan(minutes=1))


def test_the_rate_warms_up_and_anneals() -> None:
    plan = Plan(minutes=1, warmup=0.1, floor=0.05)
    rates = [schedule(share, plan) for share in (0.0, 0.05, 0.1, 0.5, 1.0)]
    assert rates[0] < rates[1] < rates[2] == 1.0
    assert rates[2] > rates[3] > rates[4] == pytest.approx(0.05)
