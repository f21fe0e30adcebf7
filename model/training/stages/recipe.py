"""All three stages from one YAML file: each begins with the folder that the one before it wrote."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from model.interface import Record
from model.training.stages import stage
from model.training.stages.empathy import Empathy
from model.training.stages.examples import StageError
from model.training.stages.generation import Generation
from model.training.stages.stage import Course, Tell
from model.training.stages.trainer import Summary
from model.training.stages.understanding import Understanding

STAGES: dict[str, type[Course]] = {"understanding": Understanding, "generation": Generation, "empathy": Empathy}


class Recipe(Record):
    """A whole training. Stages that are left out are not run. Paths are as seen from where the command is run."""

    model: str  # folder or hub id
    decoder: str | None = None  # of the token decoder, where that lies elsewhere
    interleave: str | None = None  # "M:N", where the checkpoint does not say it
    out: Path  # gets a folder for each stage
    minutes: dict[str, float] = Field({}, description="time boxes by stage")
    understanding: Understanding | None = None
    generation: Generation | None = None
    empathy: Empathy | None = None


def kind(name: str) -> type[Course]:
    """The settings of a stage; raises StageError for a name that is none."""
    if name not in STAGES:
        raise StageError(f"There is no stage {name!r}.", f"Take {', '.join(STAGES)}.")
    return STAGES[name]


def run(recipe: Recipe, tell: Tell = print) -> list[Summary]:
    """Run the stages in order; raises as `stage.run` does."""
    model, decoder = recipe.model, recipe.decoder
    summaries = []
    for name in STAGES:
        course = getattr(recipe, name)
        if course is not None:
            out = recipe.out / name
            summaries += stage.run(
                course, name, model, course.data, out, decoder=decoder, interleave=recipe.interleave,
                minutes=recipe.minutes.get(name), tell=tell,
            )  # fmt: skip
            model, decoder = str(out), None
    return summaries
