"""``poise train all``: the whole chain from data to weights and figures, for either scale."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

JUDGE_SHARE = 0.12  # of the time box; nano's own stages take the rest

commands = typer.Typer()


@commands.command("all")
def train_all(
    scale: Annotated[str, typer.Option(help="nano, or opens2s with --config.")] = "nano",
    data: Annotated[Path | None, typer.Option(help="Folder with speech/, noise/ and exchanges/, for nano.")] = None,
    work: Annotated[Path, typer.Option(help="Where caches and checkpoints go.")] = Path("training"),
    minutes: Annotated[float, typer.Option(help="Time box for training; data is made before.")] = 120.0,
    scenes: Annotated[int | None, typer.Option(help="Scenes of each file; default: all of them.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of the whole recipe, for opens2s.")] = None,
) -> None:
    """Train everything from data to an evaluated model; continues where an earlier run stopped."""
    if scale == "nano" and data is not None:
        _nano(data, work, minutes, scenes)
    elif scale == "opens2s" and config is not None:
        from model.training.stages import recipe, stage

        recipe.run(stage.settings(recipe.Recipe, config), typer.echo)
    else:
        raise typer.BadParameter("Give --scale nano with --data, or --scale opens2s with --config.")


def _nano(data: Path, work: Path, minutes: float, limit: int | None) -> None:
    from agent import schooling
    from memory import embed
    from model.training import recipe, summary
    from policies.evaluation import scenes

    out = work / "weights"
    every = scenes.by_file(*recipe.TRAIN, recipe.DEV, of_each=limit)
    recipe.run(data, every, work, out, minutes * (1 - JUDGE_SHARE), embed.load(), tell=typer.echo)
    typer.echo("stage judge")
    found = schooling.run(
        work / "cache", work / "judge", out / "judge.safetensors", minutes * JUDGE_SHARE, weights=out,
        tell=typer.echo, of_each=limit,
    )  # fmt: skip
    reached = summary.stages(work)
    for one in reached:
        typer.echo(one.line)
    typer.echo(f"judge: macro-F1 {found:.3f} on w7 as heard; weights in {out}")
    idle = [one.stage for one in reached if one.losses[1] >= one.losses[0]]
    if idle:
        typer.echo(f"The loss did not fall in {', '.join(idle)}: give it more minutes or more data.")
        raise typer.Exit(1)
