"""``poise data``: convert training data between its published forms, and build new data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Convert training data, and build new data.")


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="File or folder; or a mix YAML (NAME: {path, weight, form}).")],
    target: Annotated[Path, typer.Argument(help="File (messages, raw) or folder (shard, combine) to write.")],
    to: Annotated[str, typer.Option(help="messages, raw, shard or combine.")],
    form: Annotated[str, typer.Option("--from", help="The same names, mix, or auto.")] = "auto",
    expand: Annotated[bool, typer.Option("--expand", help="One sample for each exchange of a dialogue.")] = False,
    rules: Annotated[Path | None, typer.Option(help="YAML of what a sample must be, see model/training/data.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write all counts, with every key, as JSON.")] = None,
    seed: Annotated[int, typer.Option(help="For the shares and the order of a mix.")] = 0,
) -> None:
    """Read one form, write another; prints what was kept, what was lost and why."""
    from rich.console import Console
    from rich.progress import Progress

    from model.training.data import filters, formats, mixing
    from model.training.data.counts import Counts

    def between(items: formats.Items, counts: Counts) -> formats.Items:
        items = progress.track(items, total=None, description="items")
        items = mixing.expanded(items, counts) if expand else items
        return filters.fitting(items, wanted, counts) if wanted else items

    wanted = filters.read_rules(rules) if rules else None
    with Progress(console=Console(stderr=True), transient=True) as progress:
        counts = formats.convert(source, target, to, form, seed, between)
    typer.echo(str(counts))
    if report:
        report.write_text(json.dumps(counts.as_dict(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


@app.command()
def build(
    config: Annotated[Path, typer.Argument(help="YAML: texts, voices, gates, form; see docs/data.md.")],
    out: Annotated[Path, typer.Option(help="Folder for everything; a second run continues there.")],
    processes: Annotated[int, typer.Option(help="How many work at once.")] = 2,
) -> None:
    """Make spoken exchanges from texts and voices: data, a card and a page to listen to."""
    from model.training.data import build as building
    from policies.evaluation import scenes

    counts = building.run(config, out, processes, scenes.load)
    typer.echo(str(counts))
    typer.echo(f"{out / 'card.md'}\n{out / 'listen.html'}")
