"""The commands ``poise infer`` and ``poise eval speech``.

Parses words, prints answers and figures. Heavy packages are imported inside the commands.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from model.inference.tasks import Samples, Surface, Task

Engine = Annotated[str, typer.Option(help="nano or opens2s.")]
Model = Annotated[str | None, typer.Option(help="Checkpoint of opens2s: folder or hub id.")]
Decoder = Annotated[str | None, typer.Option(help="Its token decoder, where that is kept apart.")]
Device = Annotated[str, typer.Option(help="Where it runs; auto takes a GPU if there is one.")]


def add(app: typer.Typer, evaluating: typer.Typer) -> None:
    """Hang the commands into the command line."""
    app.command()(infer)
    evaluating.command()(speech)


def infer(
    source: Annotated[Path | None, typer.Argument(help="Recording, or text file for text-chat and speak.")] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(help="transcribe, emotion, age, gender, event, chat, text-chat or speak; may be repeated."),
    ] = None,
    text: Annotated[str, typer.Option(help="Text for text-chat and speak.")] = "",
    delivery: Annotated[str, typer.Option(help="How speech is to sound.")] = "warm",
    engine: Engine = "nano",
    model: Model = None,
    decoder: Decoder = None,
    device: Device = "auto",
    seed: Annotated[int, typer.Option(help="Makes sampling repeatable.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for speech; with --batch the file of answers.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
    batch: Annotated[Path | None, typer.Option(help="A list of items instead of one source.")] = None,
    form: Annotated[str, typer.Option("--format", help="Of the list: jsonl, raw, shard, combine, messages.")] = "jsonl",
    processes: Annotated[int, typer.Option(min=1, help="Processes for --batch.")] = 1,
    page: Annotated[bool, typer.Option("--page", help="Serve a Gradio page instead.")] = False,
) -> None:
    """Ask an engine about a recording or a text, or about a whole list of them."""
    from model.inference import tasks as asked

    loading = functools.partial(load_surface, engine, model, decoder, device)
    if page:
        from model.inference import page as pages

        pages.require()
        pages.serve(loading())
        return
    tasks = asked.known(task or ["transcribe"])
    if batch is not None:
        _batch(batch, form, tasks, loading, out, processes)
        return
    request = _request(source, text, delivery, seed)
    asked.check(tasks, request)
    surface = loading()
    try:
        answers = surface.do(tasks, request)
    finally:
        surface.close()
    _show(answers, out, source.stem if source else "reply", as_json)


def speech(
    corpus: Annotated[Path | None, typer.Option(help="Folder with metadata.jsonl and tar shards, or a cache.")] = None,
    split: Annotated[str, typer.Option(help="Split to measure; all takes every item.")] = "dev",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many clips, drawn by a fixed seed.")] = None,
    engine: Engine = "nano",
    model: Model = None,
    decoder: Decoder = None,
    device: Device = "auto",
    baseline: Annotated[bool, typer.Option("--baseline/--no-baseline", help="pocketsphinx on the same clips.")] = True,
    replies: Annotated[int, typer.Option(min=0, help="Also measure replies to so many unseen openings.")] = 0,
    exchanges: Annotated[Path | None, typer.Option(help="Folder of *.exchanges, for --replies.")] = None,
    judge_url: Annotated[str | None, typer.Option(help="OpenAI-compatible address of a judge, ending in /v1.")] = None,
    judge_model: Annotated[str, typer.Option(help="Its model; the key is read from POISE_JUDGE_KEY.")] = "default",
    out: Annotated[Path | None, typer.Option(help="Write all figures here, as JSON.")] = None,
) -> None:
    """Measure hearing on a corpus, and speech and replies; prints tables and, last, one JSON object."""
    from rich.console import Console
    from rich.progress import Progress

    from model.evaluation import clips, listening, tables
    from model.evaluation.recogniser import Sphinx

    if corpus is None and not replies:
        raise typer.BadParameter("Give --corpus, --replies, or both.")
    if replies and exchanges is None:
        raise typer.BadParameter("--replies needs --exchanges FOLDER.")
    if corpus is not None:
        clips.rows(corpus, split)  # what is wrong with the folder is said before anything is loaded
    sphinx = Sphinx() if baseline or replies else None
    surface = load_surface(engine, model, decoder, device)
    figures: dict[str, Any] = {"engine": engine}
    try:
        if corpus is not None:
            with Progress(console=Console(stderr=True), transient=True) as bar:
                row = bar.add_task("clips", total=None)
                figures |= listening.evaluate(
                    corpus, split, surface, sphinx if baseline else None, limit,
                    lambda count: bar.update(row, total=count, advance=1),
                )  # fmt: skip
            typer.echo(tables.heard(figures) + "\n")
        if replies and exchanges is not None:
            judge = (judge_url, judge_model) if judge_url else None
            figures["replies"] = _replies(surface, sphinx, exchanges, replies, judge)
            typer.echo(tables.replied(figures["replies"]) + "\n")
    finally:
        surface.close()
    if out is not None:
        out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    typer.echo(json.dumps(figures))


def load_surface(engine: str, model: str | None, decoder: str | None, device: str) -> Surface:
    """The engine for its tasks, with voice activity by Silero. Also called in the processes of a batch."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from memory import embed
    from model.inference import surfaces

    return surfaces.load(engine, activity(), embed=embed.load, model=model, decoder=decoder, device=device)


def activity() -> Callable[[Samples], Sequence[float]]:
    """Speech probability of the loudest 32 ms of each chunk of a sound of whole chunks, by Silero."""
    from agent.vad import SileroVad
    from model.interface import CHUNK_SAMPLES

    vad = SileroVad()

    def probabilities(samples: Samples) -> list[float]:
        voice = vad.open()
        return [max(voice.probabilities(chunk)) for chunk in samples.reshape(-1, CHUNK_SAMPLES)]

    return probabilities


def _request(source: Path | None, text: str, delivery: str, seed: int) -> Any:
    from agent import audio
    from model.inference.tasks import Request

    samples = None
    if source is not None and source.suffix in (".txt", ".md"):
        text = text or _words(source)
    elif source is not None:
        samples = audio.decode(source)
    return Request(samples=samples, text=text, delivery=delivery, seed=seed)


def _words(path: Path) -> str:
    from agent.audio import BadAudioError

    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadAudioError(f"{path} cannot be read as text ({error}).", "Check the path of the text.") from None


def _show(answers: Sequence[Any], out: Path | None, stem: str, as_json: bool) -> None:
    from model.inference.batch import save

    for answer in answers:
        written = save(answer, out, stem) if out is not None else answer
        if as_json:
            typer.echo(written.model_dump_json(exclude_none=True))
            continue
        chances = sorted((written.probabilities or {}).items(), key=lambda pair: -pair[1])
        tail = ", ".join(f"{name} {chance:.2f}" for name, chance in chances[:3] if chance > 0)
        extra = [part for part in (tail, written.audio) if part]
        typer.echo(f"{written.task:10} {written.text or '(nothing)'}" + (f"  [{'; '.join(extra)}]" if extra else ""))


def _batch(path: Path, form: str, tasks: Sequence[Task], load: Any, out: Path | None, processes: int) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from model.inference import batch, lists

    target = out or path.with_name(f"{path.stem}.answers.jsonl")
    todo, lost = lists.read(path, form)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task("items", total=len(todo))
        counts = batch.run(todo, tasks, load, target, processes, lambda: bar.advance(row))
    for key, reason in (lost | counts.failed).items():
        typer.echo(f"failed: {key}: {reason}", err=True)
    failed = len(lost) + len(counts.failed)
    typer.echo(f"{counts.answered} answered ({counts.earlier} by an earlier run), {failed} failed: {target}")


def _replies(surface: Any, sphinx: Any, folder: Path, count: int, judge: tuple[str, str] | None) -> Any:
    from memory import embed
    from model.evaluation import chat_judge, replies, speaking

    asked, train = replies.openings(folder)[:count], replies.openings(folder, "train")
    rater = chat_judge.ChatJudge(*judge, os.environ.get("POISE_JUDGE_KEY")) if judge else None
    texts, said = replies.evaluate(surface, asked, train, embed.load())
    lines = [(opening.answer, opening.delivery) for opening in asked]
    source = speaking.flite() if surface.name == "nano" else None
    figures = {"text": texts, "speech": speaking.evaluate(surface, lines, sphinx, source)}
    return figures | {"judge": chat_judge.evaluate(rater, said) if rater else None}
