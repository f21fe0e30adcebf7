"""``poise train stage|opens2s|align|units``: the three stages for models of the OpenS2S layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

commands = typer.Typer()
Model = Annotated[str, typer.Option(help="Checkpoint to begin with: folder or hub id.")]
Minutes = Annotated[float | None, typer.Option(help="Time box; default: all steps.")]
Config = Annotated[Path | None, typer.Option(help="YAML file of settings, see docs/train_your_own.md.")]


@commands.command("stage")
def train_stage(
    name: Annotated[str, typer.Argument(help="understanding, generation or empathy.")],
    model: Model,
    data: Annotated[list[Path], typer.Option(help="File of messages (JSON Lines); may be given several times.")],
    out: Annotated[Path, typer.Option(help="Folder for the new checkpoint, its log and its plot.")],
    decoder: Annotated[str | None, typer.Option(help="Its token decoder, where that is kept apart.")] = None,
    interleave: Annotated[str | None, typer.Option(help="States to units, M:N; default: the checkpoint's.")] = None,
    minutes: Minutes = None,
    config: Config = None,
) -> None:
    """Train one stage; goes on where an earlier run with the same folder stopped."""
    from model.training.stages import recipe, stage

    settings = stage.settings(recipe.kind(name), config)
    stage.run(
        settings, name, model, data, out, decoder=decoder, interleave=interleave, minutes=minutes, tell=typer.echo
    )


@commands.command("opens2s")
def train_opens2s(config: Annotated[Path, typer.Argument(help="YAML file of the whole recipe.")]) -> None:
    """Train understanding, generation and empathy one after the other, as one YAML file says."""
    from model.training.stages import recipe, stage

    recipe.run(stage.settings(recipe.Recipe, config), typer.echo)


@commands.command("align")
def make_alignment(
    model: Model,
    data: Annotated[Path, typer.Option(help="File of messages whose clips have transcripts.")],
    out: Annotated[Path, typer.Option(help="File for the rows of stage 1.")],
    part: Annotated[str, typer.Option(help="Which part of the lines, of how many: 0/8 is the first of eight.")] = "0/1",
    config: Config = None,
) -> None:
    """Let the LLM go on from transcripts: the data of stage 1."""
    from model.training.stages import alignment, stage

    alignment.make(model, data, out, stage.settings(alignment.Alignment, config), alignment.part_of(part), typer.echo)


@commands.command("units")
def make_units(
    tokenizer: Annotated[str, typer.Option(help="Speech tokenizer: folder or hub id.")],
    data: Annotated[Path, typer.Option(help="File of messages whose replies have recordings.")],
    out: Annotated[Path, typer.Option(help="File for the same rows with units, in the same folder.")],
    device: Annotated[str, typer.Option(help="Where it runs; auto takes a GPU if there is one.")] = "auto",
) -> None:
    """Make speech units of the recordings of replies."""
    from model.training.stages import speech_units

    speech_units.fill(tokenizer, data, out, device, typer.echo)
