"""The command ``poise``. Parses words, calls the room that does the work, and prints errors without a traceback.

Heavy packages are imported inside the commands, so that help is there at once.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from loguru import logger

from agent import commands_data, commands_recipe, commands_speech, commands_stages

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
evaluating = typer.Typer(no_args_is_help=True, help="Measure a part of Poise.")
training = typer.Typer(no_args_is_help=True, help="Train weights by our recipe.")
remembering = typer.Typer(no_args_is_help=True, help="See, mend and erase what is remembered of a person.")
modelling = typer.Typer(no_args_is_help=True, help="Look at the checkpoint of a large engine.")
app.add_typer(evaluating, name="eval")
app.add_typer(training, name="train")
app.add_typer(remembering, name="memory")
app.add_typer(modelling, name="model")
app.add_typer(commands_data.app, name="data")
commands_speech.add(app, evaluating)
training.add_typer(commands_stages.commands)
training.add_typer(commands_recipe.commands)

Engine = Annotated[str | None, typer.Option(help="Speech model, see POISE_ENGINE.")]
JudgeName = Annotated[str | None, typer.Option(help="tuned, rules, timeout, or weights of your own (.safetensors).")]
Persona = Annotated[str | None, typer.Option(help="Name (see `poise personas`) or YAML file.")]
Person = Annotated[str, typer.Argument(help="Whose memory.")]


def _settings(**given: Any) -> Any:
    from agent.config import Settings

    return Settings.load(**{name: value for name, value in given.items() if value is not None})


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen at; others than loopback need a token.")] = None,
    port: Annotated[int | None, typer.Option(help="0 takes any free port.")] = None,
    token: Annotated[str | None, typer.Option(help="What clients must show; better given as POISE_TOKEN.")] = None,
    persona: Persona = None,
    engine: Engine = None,
    model: Annotated[str | None, typer.Option(help="Checkpoint of that engine: folder or hub id.")] = None,
    decoder: Annotated[str | None, typer.Option(help="Its token decoder, where that is kept apart.")] = None,
    judge: JudgeName = None,
) -> None:
    """Serve /v1/realtime and the web page until Ctrl-C."""
    from agent import server

    given = {"host": host, "port": port, "token": token, "persona": persona, "judge": judge}
    server.run(_settings(engine=engine, model=model, decoder=decoder, **given))


@app.command()
def demo(
    wav: Annotated[list[Path] | None, typer.Option(help="Your own recording instead of the bundled ones.")] = None,
    persona: Annotated[str, typer.Option(help="Who hears your recording.")] = "maren",
    out: Annotated[Path, typer.Option(help="Where reply audio, traces and the page go.")] = Path("demo-out"),
    port: Annotated[int, typer.Option(help="0 takes any free port.")] = 0,
    engine: Engine = None,
    judge: JudgeName = None,
    keep: Annotated[bool | None, typer.Option("--keep/--no-keep", help="Keep serving; default: at a terminal.")] = None,
) -> None:
    """Play recordings to Poise through the stock client, show what it judges, then let you talk."""
    from agent.demo import show

    settings = _settings(port=port, engine=engine, judge=judge, home=out / "home")
    acts = show.given(wav, persona) if wav else show.bundled()
    keep_serving = sys.stdin.isatty() if keep is None else keep
    asyncio.run(show.run(settings, acts, out, keep_serving))


@app.command()
def replay(trace: Path, judge: JudgeName = None) -> None:
    """Judge a recorded session anew in virtual time, and compare every decision."""
    from agent import trace as traces
    from agent.parts import load_judge

    report = traces.replay(trace, load_judge(_settings(judge=judge)))
    print(
        f"{report.same} of {report.chunks} decisions are the same."
        + (f" First difference: {report.first_difference}" if report.first_difference else "")
    )
    if not report.is_exact:
        raise typer.Exit(1)


@app.command()
def personas() -> None:
    """List the personas at hand."""
    from policies import persona

    for name in persona.names():
        print(f"{name:10s} {persona.load(name).stance}")


@app.command()
def graphs() -> None:
    """Draw the chunk graph and the turn graph (mermaid)."""
    from agent import drawings

    for name in drawings.NAMES:
        print(f"%% {name}\n{drawings.mermaid(name)}")


@evaluating.command()
def judgement(
    scenes: Annotated[Path, typer.Argument(help="Scenes as JSON lines.")],
    audio: Annotated[Path, typer.Option(help="Folder of <id>.ogg or <id>.flac.")],
    timeline: Annotated[Path, typer.Option(help="JSON lines of phrase times.")],
    judge: JudgeName = None,
    out: Annotated[Path | None, typer.Option(help="Write the decisions here, as JSON lines.")] = None,
) -> None:
    """Judge recordings of scenes through the real path; prints the table and, last, one JSON object."""
    from agent import evaluation

    settings = _settings(judge=judge)
    figures = evaluation.evaluate(scenes, audio, timeline, settings, out)
    print(evaluation.table(figures))
    print(json.dumps(figures))


@training.command()
def nano(
    data: Annotated[Path, typer.Option(help="Folder with speech/, noise/ and exchanges/.")],
    work: Annotated[Path, typer.Option(help="Where caches and checkpoints go.")] = Path("training"),
    out: Annotated[Path, typer.Option(help="Where new weights go.")] = Path("training/weights"),
    minutes: Annotated[float, typer.Option(help="Time box for all stages together.")] = 120.0,
    stage: Annotated[
        list[str] | None, typer.Option(help="Only this one: data, words, hearing, voice, replies.")
    ] = None,
) -> None:
    """Train nano from data to weights; continues where an earlier run stopped."""
    from memory import embed
    from model.training import recipe
    from policies.evaluation import scenes

    every = scenes.by_file(*recipe.TRAIN, recipe.DEV)
    recipe.run(data, every, work, out, minutes, embed.load(), stage or recipe.STAGES)


@training.command("judge")
def train_judge(
    work: Annotated[Path, typer.Option(help="Where `poise train nano` left its caches.")] = Path("training"),
    weights: Annotated[Path | None, typer.Option(help="Folder of the ear's weights; default: those shipped.")] = None,
    out: Annotated[Path, typer.Option(help="File for the judge's weights.")] = Path("training/judge.safetensors"),
    minutes: Annotated[float, typer.Option(help="Time box for training, once examples are made.")] = 15.0,
) -> None:
    """Train the judge on the bundled scenes as the ear hears them."""
    from agent import schooling

    schooling.run(work / "cache", work / "judge", out, minutes, weights=weights)


@modelling.command()
def check(
    source: Annotated[str, typer.Argument(help="Folder or hub id of an OpenS2S checkpoint.")],
    decoder: Annotated[str | None, typer.Option(help="Folder or hub id of its token decoder.")] = None,
    device: Annotated[str, typer.Option(help="Where to load it; auto takes a GPU if there is one.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, float16 or bfloat16.")] = "auto",
    load: Annotated[bool, typer.Option("--load/--no-load", help="Load it, or only look at names and shapes.")] = True,
) -> None:
    """Say what is in a checkpoint, what is missing, and whether it loads."""
    from model.opens2s import check as checking

    report = checking.check(source, decoder, device=device, dtype=dtype, load=load, progress=True)
    print(checking.show(report))
    if not report.usable:
        raise typer.Exit(1)


@remembering.command("list")
def list_memory(person: Person) -> None:
    """Show what is remembered."""
    from memory import rights

    with _store() as store:
        for memory in rights.list_all(store, person):
            print(f"{memory.id}  {memory.created:19.19s}  {memory.text}")


@remembering.command()
def correct(person: Person, memory: str, text: str) -> None:
    """Replace one memory's words."""
    with _store() as store:
        print(store.correct(person, memory, text).text)


@remembering.command()
def forget(
    person: Person,
    memory: Annotated[str | None, typer.Option(help="Only this one (its id).")] = None,
    matching: Annotated[str | None, typer.Option(help="Only those that contain these words.")] = None,
) -> None:
    """Erase one memory, those that match, or all that is kept of a person: memories, traces, checkpoints."""
    from memory import rights

    settings = _settings()
    with _store() as store:
        if memory or matching:
            print(f"{store.forget(person, id=memory, matching=matching)} memories forgotten")
            return
        traces = rights.TraceFiles(settings.home / "traces", also=[lambda session: _forget_session(settings, session)])
        gone = rights.forget_all(store, person, [traces])
    print(f"{gone['memories']} memories and {gone['traces']} traces forgotten")


def _forget_session(settings: Any, session: str) -> None:
    """Drop a session's checkpoint and recordings."""
    from agent.graph import Graphs

    async def drop() -> None:
        graphs = Graphs(settings.home, settings.checkpoints)
        await graphs.open()
        await graphs.forget(session)
        await graphs.close()

    asyncio.run(drop())
    for recording in (settings.home / "recordings").glob(f"{session}*"):
        recording.unlink()


@remembering.command()
def export(person: Person) -> None:
    """Print everything that is remembered as JSON."""
    with _store() as store:
        print(json.dumps(store.export(person), ensure_ascii=False, indent=2))


def _store() -> Any:
    from agent.parts import open_memory

    return open_memory(_settings())


def main() -> None:
    """Entry point: errors a user can meet are one line on standard error and status 1."""
    logger.remove()
    logger.add(sys.stderr, level="INFO", format="{time:HH:mm:ss} {level: <7} {message}")
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        if not hasattr(error, "mend"):
            raise
        print(f"poise: {error}", file=sys.stderr)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
