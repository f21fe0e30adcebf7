"""The data pipeline: texts and voices in; spoken exchanges, a data card and a page to listen to out.

Knows the order of the stages and what passes between them. Every stage writes a journal below ``OUT/journal`` and goes
on where it stopped; a take is made anew when its words, its voice or the gates have changed. Everything that is
refused stands in ``OUT/rejected.jsonl`` with the reason.
"""

from __future__ import annotations

import functools
import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import soundfile as sf
from rich.console import Console
from rich.progress import Progress

from model.interface import Record
from model.training.corpora import is_permissive
from model.training.data import (
    build_card,
    build_config,
    build_gates,
    build_scripts,
    build_speakers,
    build_writer,
    formats,
    labels,
    lines,
)
from model.training.data.build_config import BuildConfig, BuildError, Gates, VoiceSeed
from model.training.data.build_scripts import Line, Scenes, Script
from model.training.data.counts import Counts
from model.training.data.item import Agent, Exchange, FieldError, Item, Labels, Sound, User
from model.training.data.journal import Journal, digest
from model.training.data.sounds import file_name
from model.training.voices import SAMPLE_RATE

JOURNALS, AUDIO, REJECTED = "journal", "audio", "rejected.jsonl"


class Take(Record):
    """One thing to be said by one voice, the file it goes to, and what it must be."""

    key: str
    text: str
    emotion: str
    voice: VoiceSeed
    path: str  # below OUT
    gates: Gates


def run(path: Path, out: Path, processes: int, read_scenes: Scenes | None = None) -> Counts:
    """Build what the YAML at ``path`` describes into ``out``. Raises BuildError and its kin; items are counted."""
    config = build_config.load(path)
    for voice in (*config.users, config.agent):
        build_speakers.require(voice)
    out.mkdir(parents=True, exist_ok=True)
    counts = Counts()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        scripts = _scripts(config, out, processes, read_scenes or _json_scenes, counts, progress)
        takes = {script.key: list(_takes(script, config)) for script in scripts}
        results = _rendered([take for some in takes.values() for take in some], out, processes, progress)
        good = list(_passed(scripts, takes, results, out, counts))
    items = [_item(script, takes[script.key], config, out) for script in good]
    target = out / ("data" if formats.FORMS[config.form].is_folder else "data.jsonl")
    writing = Counts()
    formats.write(items, target, config.form, writing)
    counts.kept = writing.kept
    counts.notes |= writing.notes
    for reason, keys in writing.lost.items():
        for key, detail in keys.items():
            counts.lose(reason, key, detail)
    build_card.write(config, path, out, good, takes, results, counts)
    return counts


def _scripts(
    config: BuildConfig, out: Path, workers: int, read_scenes: Scenes, counts: Counts, progress: Progress
) -> list[Script]:
    found = list(build_scripts.from_files(config, read_scenes, counts))
    said = [script.lines[-1].user for script in found if script.lines[-1].user]
    for source in config.texts:
        if source.kind == "writer":
            with Journal(out / JOURNALS / f"written-{file_name(source.name or 'written')}.jsonl") as journal:
                found += build_writer.written(config, source, said, journal, workers, counts, progress)
    if not found:
        raise BuildError("The texts hold no exchange.", "Check the paths and what the files hold.")
    return build_scripts.unique(_apart(found), config.gates.near_duplicate, counts)


def _apart(scripts: Iterable[Script]) -> Iterator[Script]:
    """Scripts of different files may have the same key; their sounds must not."""
    seen: dict[str, int] = {}
    for script in scripts:
        seen[script.key] = number = seen.get(script.key, 0) + 1
        yield script if number == 1 else script.model_copy(update={"key": f"{script.key}~{number}"})


def _json_scenes(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in lines.objects(path, Counts())]


def _takes(script: Script, config: BuildConfig) -> Iterator[Take]:
    for number, line in enumerate(script.lines, 1):
        sides = (("user", line.user, line.emotion, config.users[script.voice]),
                 ("agent", line.agent, line.delivery, config.agent))  # fmt: skip
        for side, text, emotion, voice in sides:
            if text:
                key = f"{script.key}.{number}.{side}"
                path = f"{AUDIO}/{side}/{file_name(f'{script.key}.{number}')}.flac"
                yield Take(key=key, text=text, emotion=emotion, voice=voice, path=path, gates=config.gates)


def _rendered(takes: list[Take], out: Path, processes: int, progress: Progress) -> dict[str, dict[str, Any]]:
    """Measures of every take by key; renders what is not yet there, in several processes."""
    made_from = {take.key: digest(take) for take in takes}
    with Journal(out / JOURNALS / "takes.jsonl") as journal:
        missing = [t for t in takes if not (journal.get(t.key, made_from[t.key]) and (out / t.path).exists())]
        bar = progress.add_task("speech", total=len(takes), completed=len(takes) - len(missing))
        for take, result in zip(missing, _mapped(functools.partial(render, out=out), missing, processes), strict=True):
            journal.add(take.key, made_from[take.key], result)
            progress.advance(bar)
        return {take.key: journal.get(take.key, made_from[take.key]) or {} for take in takes}


def _mapped(work: Callable[[Take], dict[str, Any]], takes: list[Take], processes: int) -> Iterator[dict[str, Any]]:
    # a model that clones is loaded once, here
    if processes < 2 or len(takes) < 2 or any(take.voice.engine == "clone" for take in takes):
        yield from map(work, takes)
        return
    # spawned, not forked: a writer may have started threads in this process
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, takes, chunksize=4)


def render(take: Take, out: Path) -> dict[str, Any]:
    """Speak one take, write its file whole or not at all, and measure it; a failure is a fault of the take."""
    path = out / take.path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        samples = build_speakers.speak(take.text, take.voice, take.emotion)
    except FieldError as error:
        return {"faults": [error.reason], "detail": error.detail}
    part = path.with_name(path.name + ".part")
    sf.write(part, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    part.replace(path)
    found = build_gates.measure(samples, take.text, take.gates)
    return found | {"faults": build_gates.faults(found, take.gates)}


def _passed(
    scripts: list[Script],
    takes: dict[str, list[Take]],
    results: dict[str, dict[str, Any]],
    out: Path,
    counts: Counts,
) -> Iterator[Script]:
    """Scripts whose takes are all good; the others go to rejected.jsonl with everything that is known."""
    with lines.Writer(out / REJECTED) as rejected:
        for reason, keys in counts.lost.items():
            for key, detail in keys.items():
                rejected.write({"key": key, "reasons": [reason], "detail": detail})
        for script in scripts:
            faulty = {t.key: results[t.key] for t in takes[script.key] if results[t.key]["faults"]}
            if not faulty:
                yield script
                continue
            reasons = sorted({fault for result in faulty.values() for fault in result["faults"]})
            counts.lose(", ".join(reasons), script.key)
            audio = [take.path for take in takes[script.key] if (out / take.path).exists()]
            about = {"reasons": reasons, "takes": faulty, "audio": audio}
            rejected.write({"key": script.key, **about, "script": json.loads(script.model_dump_json())})


def _item(script: Script, takes: list[Take], config: BuildConfig, out: Path) -> Item:
    paths = {take.key: str(out / take.path) for take in takes}
    voice = config.users[script.voice]
    exchanges = [_exchange(line, f"{script.key}.{number}", voice, paths)
                 for number, line in enumerate(script.lines, 1)]  # fmt: skip
    last, history = exchanges[-1], tuple(exchanges[:-1])
    return Item(
        key=script.key,
        task=labels.task_of(last.user, last.agent, bool(history)),
        user=last.user,
        agent=last.agent,
        history=history,
        system=script.system,
        licence=licence(script.licence, voice.licence, config.agent.licence),
        source=script.source,
        extra={"tags": list(script.tags), "build": config.name, "agent_voice": config.agent.key},
    )


def _exchange(line: Line, key: str, voice: VoiceSeed, paths: dict[str, str]) -> Exchange:
    clip, reply = paths.get(f"{key}.user"), paths.get(f"{key}.agent")
    known = Labels(emotion=line.emotion or None, age=voice.age, gender=voice.gender) if clip else Labels()
    user = User(
        text=line.user,
        clips=(Sound(path=clip),) if clip else (),
        labels=known,
        speaker=voice.key if clip else "",
        language="en",
    )
    agent = Agent(
        text=line.agent,
        audio=Sound(path=reply) if reply else None,
        emotion=line.delivery or None,
        thought=line.thought,
    )
    return Exchange(user=user, agent=agent)


def licence(text: str, *voices: str) -> str:
    """The licence of an item: the most restrictive part comes first, so that a filter by licence sees it."""
    parts = list(dict.fromkeys((text, *voices)))
    parts.sort(key=is_permissive)
    return parts[0] if len(parts) == 1 else f"{parts[0]} (with parts under {', '.join(parts[1:])})"
