"""Many items through an engine's tasks: several processes, order kept, continued where it stopped.

The output is JSON lines, one an item in the order of the list: its key and its answers, or the reason why there are
none. Knows items and files; which engine answers is passed in.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import soundfile as sf

from model.inference.tasks import Answer, Request, Surface, Task
from model.interface import PoiseError
from model.training.data.item import Sound
from model.training.data.sounds import file_name, load_16k

Load = Callable[[], Surface]  # goes to other processes, so it must be picklable
AHEAD = 4  # items a process may be ahead of what is written


class BatchError(PoiseError):
    """A list or an earlier output cannot be used, or a process died."""

    code = "batch_failed"


@dataclass(frozen=True)
class Item:
    """One recording, one text, or both."""

    key: str
    sound: Sound | None = None
    text: str = ""


@dataclass
class Counts:
    """What became of a list."""

    answered: int = 0
    earlier: int = 0  # of them, answered by an earlier run
    failed: dict[str, str] = field(default_factory=dict)  # key -> reason


def run(
    todo: Sequence[Item],
    tasks: Sequence[Task],
    load: Load,
    out: Path,
    processes: int = 1,
    tick: Callable[[], None] = lambda: None,
) -> Counts:
    """Answer every item into ``out``; ``tick`` is called for each. Speech goes to a folder beside ``out``.

    What ``out`` holds already is kept and not done again. Raises BatchError where it belongs to another list or other
    tasks, or a process died; run again to go on.
    """
    counts = Counts()
    out.parent.mkdir(parents=True, exist_ok=True)
    done = _earlier(out, todo, tasks)
    for row in done:
        _count(counts, row)
        tick()
    counts.earlier = counts.answered
    sounds = out.with_suffix("")
    jobs = [(item, tuple(tasks), sounds) for item in todo[len(done) :]]
    with out.open("a", encoding="utf-8") as file:
        for row in _rows(jobs, load, min(processes, len(jobs))):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
            _count(counts, row)
            tick()
    return counts


def _count(counts: Counts, row: dict[str, Any]) -> None:
    if "error" in row:
        counts.failed[row["key"]] = row["error"]
    else:
        counts.answered += 1


def _earlier(out: Path, todo: Sequence[Item], tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Whole lines of an earlier run; a torn last line is cut off."""
    if not out.is_file():
        return []
    data = out.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    try:
        found: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
        keys = [row["key"] for row in found]
        asked = [[answer["task"] for answer in row["answers"]] for row in found if "answers" in row]
    except (ValueError, KeyError, TypeError):
        raise BatchError(f"{out} holds something else than answers.", "Name another output file.") from None
    if keys != [item.key for item in todo[: len(keys)]] or any(one != list(tasks) for one in asked):
        raise BatchError(f"{out} belongs to another list or other tasks.", "Name another output file, or remove it.")
    if len(whole) < len(data):
        with out.open("r+b") as file:
            file.truncate(len(whole))
    return found


Job = tuple[Item, tuple[Task, ...], Path]
_loaded: list[Surface | PoiseError] = []  # of a worker process: the engine, or why there is none


def _rows(jobs: Sequence[Job], load: Load, processes: int) -> Iterator[dict[str, Any]]:
    if processes <= 1:
        if jobs:
            surface = load()
            try:
                yield from (answer_item(surface, job) for job in jobs)
            finally:
                surface.close()
        return
    os.environ["OMP_NUM_THREADS"] = "1"  # the workers' own threads would only get in each other's way
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(load,)) as pool:
            yield from _in_order(pool, jobs, processes * AHEAD)
    except BrokenProcessPool:
        raise BatchError("A process of the batch died.", "Run the same command again to go on.") from None


def _in_order(pool: ProcessPoolExecutor, jobs: Iterable[Job], ahead: int) -> Iterator[dict[str, Any]]:
    waiting = []
    for job in jobs:
        waiting.append(pool.submit(_work, job))
        if len(waiting) > ahead:
            yield _result(waiting.pop(0))
    yield from map(_result, waiting)


def _result(future: Future[dict[str, Any]]) -> dict[str, Any]:
    row = future.result()
    if "refused" in row:
        raise BatchError(*row["refused"])
    return row


def _begin(load: Load) -> None:
    try:
        _loaded[:] = [load()]
    except PoiseError as error:  # told by the first answer; raised here, it would only break the pool
        _loaded[:] = [error]


def _work(job: Job) -> dict[str, Any]:
    surface = _loaded[0]
    if isinstance(surface, PoiseError):
        return {"refused": (surface.wrong, surface.mend)}
    return answer_item(surface, job)


def answer_item(surface: Surface, job: Job) -> dict[str, Any]:
    """``{"key", "answers"}`` of one item, or ``{"key", "error"}``."""
    item, tasks, sounds = job
    try:
        samples = load_16k(item.sound) if item.sound is not None else None
        answers = surface.do(tasks, Request(samples=samples, text=item.text))
        written = [save(answer, sounds, item.key) for answer in answers]
    except Exception as error:  # one bad item must not end the batch; its reason is kept
        return {"key": item.key, "error": str(error) or type(error).__name__}
    return {"key": item.key, "answers": [answer.model_dump(exclude_none=True) for answer in written]}


def save(answer: Answer, folder: Path, stem: str) -> Answer:
    """Write the sound of an answer that has one as ``folder/<stem>-<task>.wav``, 16 bit; returns the answer with it."""
    if answer.pcm is None:
        return answer
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{file_name(stem)}-{answer.task}.wav"
    sf.write(path, answer.pcm, answer.rate, subtype="PCM_16")
    return answer.model_copy(update={"audio": str(path)})
