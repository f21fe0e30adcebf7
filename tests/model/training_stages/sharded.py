"""Run by several processes at once: a learner sharded over them (FSDP) must find the losses that it found whole."""

import sys
from pathlib import Path

import torch
from torch import distributed
from torch.distributed.fsdp import fully_shard
from transformers.models.qwen3.modeling_qwen3 import Qwen3DecoderLayer

from model.opens2s.layers import EncoderLayer
from model.training.stages.data import Limits, Rows
from model.training.stages.empathy import Empathy
from model.training.stages.folders import open_for_training
from model.training.stages.layout import Speller
from model.training.stages.understanding import Understanding


def main(model: Path, data: Path, work: Path) -> None:
    """Print one line for each stage whose losses and gradients are there in every process."""
    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    for course in (Understanding(), Empathy(as_text=0)):
        opened = open_for_training(model)
        speller = Speller.of(opened.checkpoint)
        rows = Rows(
            [data], lambda e, n, s=speller, c=course: c.lay(s, e, n), opened.log_mel, opened.checkpoint.config, Limits()
        )
        name = type(course).__name__
        rows.survey(work / f"{name}-{rank}.json", "")
        learner = course.learner(opened.model, opened.checkpoint.tokens)
        packed = rows[[2 * rank, 2 * rank + 1]]
        whole = learner(packed).detach()
        for part in learner.modules():
            if isinstance(part, (EncoderLayer, Qwen3DecoderLayer)):
                fully_shard(part)
        fully_shard(learner)
        found = learner(packed)
        found.sum().backward()
        torch.testing.assert_close(found.detach(), whole)
        assert any(parameter.grad is not None for parameter in learner.parameters())
        sys.stdout.write(f"{name} of {rank} is the same\n")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
