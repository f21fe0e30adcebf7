"""What a stage is, and how one is run: from a folder of the published layout and data to another such folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from model.interface import Record
from model.opens2s.omnispeech import OmniSpeech
from model.opens2s.tokens import Tokens
from model.training.stages import trainer
from model.training.stages.added import put_over, taken_off
from model.training.stages.data import Limits, Rows, counted
from model.training.stages.examples import Example, StageError
from model.training.stages.folders import Opened, open_for_training, write
from model.training.stages.layout import Sheet, Speller
from model.training.stages.learner import Learner, train_only
from model.training.stages.trainer import Plan, Summary

Tell = Callable[[str], None]
Settings = TypeVar("Settings", bound=Record)
PREFIX = "model."  # of the model in a learner


class Course(Record):
    """Settings of what is trained one part after the other."""

    data: tuple[Path, ...] = ()  # files of messages

    @property
    def parts(self) -> dict[str, Stage]:
        """The parts in order, by name."""
        raise NotImplementedError


class Stage(Course):
    """Settings of one stage and what they mean. Each stage says what is trained, and lays out its rows."""

    plan: Plan = Plan()
    limits: Limits = Limits()
    trained: tuple[str, ...] = ()  # beginnings of parameter names; everything else is frozen
    llm_weight: float = 1.0  # of the text's loss
    tts_weight: float = 1.0  # of the units' loss

    @property
    def parts(self) -> dict[str, Stage]:
        """The stage itself."""
        return {"": self}

    def lay(self, speller: Speller, example: Example, line: int) -> Sequence[Sheet]:
        """The rows to learn from that a line of the data makes. Raises LostRowError."""
        raise NotImplementedError

    def learner(self, model: OmniSpeech, tokens: Tokens) -> Any:
        """The model with its frozen and its trained parts; rows of added tokens are trained where the LLM is not."""
        train_only(model, self.trained)
        if not any(parameter.requires_grad for parameter in model.llm_model.parameters()):
            put_over(model.llm_model, added_tokens(tokens))
        if self.plan.recompute:
            recompute(model.llm_model, model.tts_lm_model)
        return Learner(model, (self.llm_weight, self.tts_weight))


def recompute(*language_models: Any) -> None:
    """Keep no activations for the backward pass, frozen or not (transformers does so in training mode only)."""
    for language_model in language_models:
        language_model.train()
        name = "activation_checkpointing_enable"  # transformers 4 has an older name for it
        enable = getattr(language_model, name, None) or language_model.gradient_checkpointing_enable
        enable({"use_reentrant": False})


def added_tokens(tokens: Tokens) -> list[int]:
    """The four tokens that OpenS2S adds to an LLM's vocabulary."""
    return [tokens.audio_start, tokens.audio_end, tokens.tts_start, tokens.tts_end]


def run(
    course: Course,
    name: str,
    model: str | Path,
    data: Sequence[Path],
    out: Path,
    *,
    decoder: str | Path | None = None,
    interleave: str | None = None,
    minutes: float | None = None,
    tell: Tell = print,
) -> list[Summary]:
    """Train one stage on ``data`` and write the folder ``out``, which `loading.load` loads.

    ``out/training`` keeps log, plot and checkpoints; a second call goes on where the first was. ``minutes`` is a time
    box for all parts of the stage. Raises StageError or CheckpointError.
    """
    if not data:
        raise StageError(f"The stage {name} has no data.", "Give at least one file of messages.")
    parts = course.parts
    box = {} if minutes is None else {"minutes": minutes / len(parts)}
    summaries: list[Summary] = []
    for part, one in parts.items():
        last = len(summaries) == len(parts) - 1
        plan = one.plan.model_copy(update=box)
        job = _Job(one, plan, f"{name}: {part}" if part else name, out / "training" / part)
        opened = open_for_training(model, decoder, interleave)
        model, decoder = (out if last else job.work / "model"), None
        summaries.append(job.run(opened, data, model, tell))
    return summaries


@dataclass(frozen=True)
class _Job:
    """One part of a stage: what is trained, how, and where its log and checkpoints lie."""

    stage: Stage
    plan: Plan
    title: str
    work: Path

    def run(self, opened: Opened, data: Sequence[Path], out: Path, tell: Tell) -> Summary:
        """Survey the data, train, write ``out``."""
        gpu, tokens = trainer.start(self.plan.precision), opened.checkpoint.tokens
        speller = Speller.of(opened.checkpoint)

        def lay(example: Example, line: int) -> Sequence[Sheet]:
            return self.stage.lay(speller, example, line)

        rows = Rows(data, lay, opened.log_mel, opened.checkpoint.config, self.stage.limits)
        with gpu.main_process_first():  # the others take over what it finds
            settings = f"{opened.checkpoint.folder.resolve()} {self.stage.model_dump_json()}"
            rows.survey(self.work / "rows.json", settings, os.cpu_count() or 1, gpu.is_main_process)
        if gpu.is_main_process and rows.lost:
            tell(f"{self.title}: rows lost: {counted(rows.lost)}")
        learner = self.stage.learner(opened.model, tokens)
        summary, state = trainer.run(gpu, learner, rows, self.plan, self.work, self.title)
        if gpu.is_main_process:
            plain = {name.removeprefix(PREFIX): value for name, value in state.items()}
            write(opened, taken_off(plain, added_tokens(tokens)), out)
            tell(summary.line())
        gpu.wait_for_everyone()
        gpu.free_memory()
        return summary


def settings(kind: type[Settings], path: Path | None) -> Settings:
    """The settings in a YAML file, or the defaults; raises StageError that names what is wrong in it."""
    if path is None:
        return kind()
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return kind.model_validate(found)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise StageError(f"{path} cannot be read ({error}).", "Give a YAML file of settings.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise StageError(f"{path}: {where}: {first['msg']}.", "Compare it with docs/train_your_own.md.") from error
