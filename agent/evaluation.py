"""Judges recordings of scenes through the real path: VAD, ear, situation, judge, policy, chunk by chunk.

Open loop and in virtual time: decisions never change the audio, and nothing waits for a clock. It knows where
recordings lie and how to spread them over processes; labels and scores are the business of policies.evaluation.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from agent import audio, parts, situations
from agent.config import Settings
from agent.vad import SileroVad, Vad
from model.interface import CHUNK_S, CHUNK_SAMPLES, Chunk, Percept, PoiseError, Said, SpeechModel
from policies.evaluation import drive
from policies.evaluation import scenes as written
from policies.evaluation.score import score, table
from policies.situation import Floor, Judge, Persona, Situation

__all__ = ["EvaluationError", "evaluate", "hear", "judge_scene", "situations_of", "table"]
SUFFIXES = (".ogg", ".flac", ".wav")
SPEECH = 0.5  # speech probability from which the user is taken to speak over the agent


class EvaluationError(PoiseError):
    """Scenes, recordings and timeline do not fit together."""

    code = "evaluation_input"


def evaluate(
    scenes: Path, folder: Path, timeline: Path, settings: Settings, out: Path | None = None, workers: int | None = None
) -> dict[str, Any]:
    """Figures of `policies.evaluation.score` for these recordings; decisions go to ``out`` as JSON lines.

    Raises EvaluationError or SceneError where scenes, audio or timeline are missing, damaged or do not match.
    """
    known = {scene["id"]: scene for scene in written.load(scenes)}
    when = [_checked(row, f"{timeline.name}, line {number}", known) for number, row in written.json_lines(timeline)]
    if not when:
        raise EvaluationError(f"{timeline} names no scene.", "Give the timeline that belongs to the recordings.")
    jobs = [(known[row["id"]], recording(folder, row["id"])) for row in when]
    decisions = list(_judged(jobs, settings, workers or os.cpu_count() or 1))
    if out is not None:
        out.write_text("".join(json.dumps(row) + "\n" for row in decisions), encoding="utf-8")
    return score([scene for scene, _ in jobs], when, decisions)


def recording(folder: Path, identity: str) -> Path:
    """The recording of a scene. Raises EvaluationError where there is none."""
    for suffix in SUFFIXES:
        if (path := folder / f"{identity}{suffix}").is_file():
            return path
    raise EvaluationError(
        f"{folder} holds no recording of the scene {identity}.", f"Put {identity}.ogg or .flac there."
    )


def hear(pcm: audio.Samples, model: SpeechModel, vad: Vad) -> Iterator[Percept]:
    """What a fresh ear hears of a recording (float32 [n], 16 kHz), chunk by chunk; the last chunk is filled up."""
    listener, voice = model.open(0), vad.open()
    padded = np.pad(pcm, (0, -len(pcm) % CHUNK_SAMPLES))
    for index, start in enumerate(range(0, len(padded), CHUNK_SAMPLES)):
        part = padded[start : start + CHUNK_SAMPLES]
        yield listener.hear(Chunk(index=index, pcm=part, speech=max(voice.probabilities(part))))


def situations_of(scene: dict[str, Any], percepts: Iterable[Percept]) -> Iterator[Situation]:
    """The situation of every chunk of a scene, as if nothing were ever decided."""
    persona, says = Persona(**scene["persona"]), scene["agent_says"] or ""
    history = tuple(Said(who=turn["who"], text=turn["text"]) for turn in scene["history"])
    seen = situations.Watch()
    for percept in percepts:
        time_s = (percept.chunk + 1) * CHUNK_S
        seen = situations.watch(seen, percept, time_s)
        floor = (Floor.BOTH if percept.speech >= SPEECH else Floor.AGENT) if says else Floor.USER
        about = {"memory": scene["memory"], "history": history, "agent_says": says}
        yield situations.build(percept, persona, seen, time_s, floor=floor, **about)


def judge_scene(scene: dict[str, Any], path: Path, model: SpeechModel, vad: Vad, judge: Judge) -> dict[str, Any]:
    """``{"id", "decisions": [{"t_s", "action"}]}`` of one recording."""
    percepts = hear(audio.decode(path), model, vad)
    return {"id": scene["id"], "decisions": drive.decisions(drive.drive(situations_of(scene, percepts), judge))}


def _checked(row: dict[str, Any], where: str, known: dict[str, Any]) -> dict[str, Any]:
    scene = known.get(row["id"])
    if scene is None:
        raise EvaluationError(
            f"{where} names the scene {row['id']!r}, which is not among the scenes.", "Check both files."
        )
    phrases = row.get("phrases")
    if not isinstance(phrases, list) or len(phrases) != len(scene["phrases"]):
        raise EvaluationError(
            f"{where} does not have the {len(scene['phrases'])} phrases of its scene.", "Check both files."
        )
    for phrase in phrases:
        times = [phrase.get(key) if isinstance(phrase, dict) else None for key in ("start_s", "end_s")]
        if not all(isinstance(time, int | float) for time in times) or "label" not in phrase:
            raise EvaluationError(
                f"{where} lacks start_s, end_s or label of a phrase.", "See SCHEMA.md, section Audio."
            )
    return row


Job = tuple[dict[str, Any], Path]
_loaded: list[Any] = []  # of a worker process: model, vad, judge


def _judged(jobs: Sequence[Job], settings: Settings, workers: int) -> Iterator[dict[str, Any]]:
    workers = min(workers, len(jobs))
    if workers == 1:
        _load(settings)
        yield from map(_judge, jobs)
        return
    context = multiprocessing.get_context("spawn")
    os.environ["OMP_NUM_THREADS"] = "1"  # the workers' own threads would only get in each other's way
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_load, initargs=(settings,)) as pool:
        yield from pool.map(_judge, jobs, chunksize=4)


def _load(settings: Settings) -> None:
    _loaded[:] = [parts.load_engine(settings), SileroVad(), parts.load_judge(settings)]


def _judge(job: Job) -> dict[str, Any]:
    model, vad, judge = _loaded
    return judge_scene(*job, model, vad, judge)
