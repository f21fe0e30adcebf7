"""The loop: killed and resumed it goes on bit for bit, processes and micro-batches make no difference, boxes end it."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from model.training.stages import stage, trainer
from model.training.stages.empathy import Empathy
from model.training.stages.examples import StageError
from model.training.stages.trainer import Plan, rate_at
from tests.model.training_stages import toy

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # matplotlib's, about its font cache


def rows(folder):
    return [json.loads(line) for line in (folder / "training" / "log.jsonl").read_text().splitlines()]


def curve(folder):
    """All that is logged but the clock."""
    return [{name: value for name, value in row.items() if name != "spent_s"} for row in rows(folder)]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    data = toy.write(toy.spoken(folder / "data"), folder / "data" / "rows.jsonl")
    return toy.checkpoint(folder / "model"), data


class StopError(Exception):
    """Something went wrong outside."""


def train(given, out, **changes):
    course = Empathy(plan=toy.FAST.model_copy(update={"save_every": 3, "steps": 10, **changes}))
    return stage.run(course, "empathy", given[0], [given[1]], out, tell=lambda _: None)


def test_broken_off_and_resumed_is_the_same_curve(given, tmp_path, monkeypatch):
    train(given, tmp_path / "whole")
    learn = trainer._Run._learn

    def breaks(self, micro, rate):
        if self._step == 8:
            raise StopError
        return learn(self, micro, rate)

    monkeypatch.setattr(trainer._Run, "_learn", breaks)
    with pytest.raises(StopError):
        train(given, tmp_path / "broken")
    monkeypatch.undo()
    assert len(curve(tmp_path / "broken")) == 8
    assert [path.name for path in (tmp_path / "broken" / "training").glob("checkpoint*")] == ["checkpoint-00000006"]
    train(given, tmp_path / "broken")
    assert curve(tmp_path / "broken") == curve(tmp_path / "whole")
    broken, whole = (tmp_path / name / "model.safetensors" for name in ("broken", "whole"))
    assert broken.read_bytes() == whole.read_bytes()


def test_a_finished_run_is_not_trained_again(given, tmp_path):
    first = train(given, tmp_path / "out")
    assert train(given, tmp_path / "out") == first


def test_micro_batches_make_no_difference(given, tmp_path):
    train(given, tmp_path / "one", batch=4, accumulation=1, steps=3)
    train(given, tmp_path / "four", batch=1, accumulation=4, steps=3)
    for one, four in zip(curve(tmp_path / "one"), curve(tmp_path / "four"), strict=True):
        assert four["loss"] == pytest.approx(one["loss"], rel=1e-4)


def test_activations_computed_twice_make_no_difference(given, tmp_path):
    train(given, tmp_path / "kept", steps=2)
    train(given, tmp_path / "twice", steps=2, recompute=True)
    assert curve(tmp_path / "twice") == curve(tmp_path / "kept")


def test_two_precisions_in_one_run_are_refused():
    trainer.start("no")
    with pytest.raises(StageError, match="one precision"):
        trainer.start("bf16")


def test_a_time_box_ends_a_run_that_is_annealed(given, tmp_path):
    (summary,) = train(given, tmp_path / "out", steps=100_000, minutes=0.02)
    assert 1 <= summary.steps < 100_000
    rates = [row["rate"] for row in rows(tmp_path / "out")]
    assert rates[-1] < 0.5 * max(rates)
    assert (tmp_path / "out" / "training" / "loss.png").stat().st_size > 1000


def test_a_checkpoint_of_another_run_is_refused(given, tmp_path):
    train(given, tmp_path / "out", steps=1)
    found = next((tmp_path / "out" / "training").glob("checkpoint-*"))
    for path in found.glob("model*"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StageError, match="does not fit this run"):
        train(given, tmp_path / "out", steps=2)


def test_a_loss_that_is_no_number_ends_the_run(given, tmp_path, monkeypatch):
    def no_number(self, packed):
        return self.model.llm_ln.weight.sum() * torch.tensor([float("nan")] * 2)

    monkeypatch.setattr(stage.Learner, "forward", no_number)
    with pytest.raises(StageError, match="no number since step 1"):
        train(given, tmp_path / "out")


def test_the_rate_rises_and_falls():
    plan = Plan(rate=1.0, warmup=5)
    rates = [rate_at(plan, step, 100, 0.0) for step in range(100)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert all(later < sooner for sooner, later in pairwise(rates[5:]))
    assert rates[-1] < 0.02
    assert rate_at(plan, 10, 100, 0.9) == pytest.approx(0.1 * 100 / 95)


# -- real processes -----------------------------------------------------------------------------------------------

SETTINGS = """
as_text: 0  # a kind with fewer rows than processes would wait
plan: {rate: 3.0e-3, warmup: 2, batch: %d, accumulation: %d, precision: "no", save_every: 3, steps: 24}
"""


def command(given, out, settings, *launch):
    words = ["-m", "agent.cli", "train", "stage", "empathy", "--model", given[0], "--data", given[1], "--out", out]
    return [sys.executable, *launch, *map(str, words), "--config", str(settings)]


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"}


@pytest.mark.slow
def test_a_killed_process_goes_on_bit_for_bit(given, tmp_path):
    settings = tmp_path / "settings.yaml"
    settings.write_text(SETTINGS % (2, 2))
    subprocess.run(command(given, tmp_path / "whole", settings), env=environment(), check=True, timeout=200)
    log = tmp_path / "killed" / "training" / "log.jsonl"
    process = subprocess.Popen(command(given, tmp_path / "killed", settings), env=environment())
    limit = time.monotonic() + 200
    while not (log.is_file() and log.read_text().count("\n") >= 8):
        assert process.poll() is None
        assert time.monotonic() < limit
        select.select([], [], [], 0.005)  # a real process takes real time
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "config.json").exists()
    subprocess.run(command(given, tmp_path / "killed", settings), env=environment(), check=True, timeout=200)
    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")
    whole, killed = (tmp_path / name / "model.safetensors" for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()


@pytest.mark.slow
def test_two_processes_do_what_one_does_with_accumulation(given, tmp_path):
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(SETTINGS % (2, 2))
    two.write_text(SETTINGS % (2, 1))
    # accelerate launch starts several processes for GPUs only; on a CPU torch's own launcher does what it would do
    launch = ("-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29713")
    subprocess.run(command(given, tmp_path / "one", one), env=environment(), check=True, timeout=200)
    subprocess.run(command(given, tmp_path / "two", two, *launch), env=environment(), check=True, timeout=400)
    for alone, together in zip(curve(tmp_path / "one")[:6], curve(tmp_path / "two")[:6], strict=True):
        assert together["text"] == pytest.approx(alone["text"], rel=1e-3)
        assert together["units"] == pytest.approx(alone["units"], rel=1e-3)


@pytest.mark.slow
def test_sharded_over_two_processes_a_learner_finds_the_same_losses(given, tmp_path):
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29714"]
    words = [*launch, "-m", "tests.model.training_stages.sharded", *map(str, given), str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *words], env=environment(), capture_output=True, text=True, cwd=ROOT, timeout=400, check=False
    )
    assert done.stdout.count("is the same") == 4, done.stderr
