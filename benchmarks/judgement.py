"""The judges against each other on recordings of scenes: heard once, chunk by chunk, then judged by each.

    python -m benchmarks.judgement SCENES.jsonl --audio DIR --timeline FILE [--limit N]

``poise eval judgement`` gives the same figures for one judge. The last line is JSON. It knows no labels but through
`policies.evaluation.score`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from agent import audio, evaluation
from agent.config import Settings
from agent.parts import load_judge
from agent.vad import SileroVad
from model.nano.listening import Ears
from policies.evaluation import drive
from policies.evaluation import scenes as written
from policies.evaluation.score import score

JUDGES = ("timeout", "rules", "tuned")
Row = dict[str, Any]
_loaded: list[Any] = []  # of a worker: ears, VAD, judges


class Listening:
    """Nano's ears as a speech model; nothing is said in an open loop."""

    def __init__(self) -> None:
        self._ears = Ears.load()

    def open(self, seed: int) -> Any:
        """A fresh session's ears."""
        return self._ears.open()


def _load() -> None:
    judges = {name: load_judge(Settings.load(judge=name)) for name in JUDGES}
    _loaded[:] = [Listening(), SileroVad(), judges]


def _judge(job: tuple[Row, Path]) -> dict[str, Row]:
    scene, path = job
    ears, vad, judges = _loaded
    situations = list(evaluation.situations_of(scene, evaluation.hear(audio.decode(path), ears, vad)))
    return {
        name: {"id": scene["id"], "decisions": drive.decisions(drive.drive(iter(situations), judge))}
        for name, judge in judges.items()
    }


def main() -> None:
    """Command line."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("scenes", type=Path)
    words.add_argument("--audio", type=Path, required=True)
    words.add_argument("--timeline", type=Path, required=True)
    words.add_argument("--limit", type=int, default=10_000)
    given = words.parse_args()
    scenes = written.load(given.scenes)[: given.limit]
    kept = {scene["id"] for scene in scenes}
    when = [row for _, row in written.json_lines(given.timeline) if row["id"] in kept]
    jobs = [(scene, evaluation.recording(given.audio, scene["id"])) for scene in scenes]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context, initializer=_load) as pool:
        judged = list(pool.map(_judge, jobs, chunksize=4))
    figures = {name: score(scenes, when, [row[name] for row in judged]) for name in JUDGES}
    for name, found in figures.items():
        low, high = found["interval95"]["macro_f1"]
        each = "  ".join(f"{a} {found[a]['f1']:.2f}" for a in ("silence", "respond", "interrupt", "refuse", "deflect"))
        print(
            f"{name:8s} macro-F1 {found['macro_f1']:.3f} [{low:.3f}, {high:.3f}]  {each}  "
            f"mid-turn takeovers {found['takeover_rate_mid_turn']:.3f}  delay p50 {found['delay_p50_s']} s  "
            f"pairs {found['pair_consistency']:.3f}  crisis {found['crisis_recall']} never {found['crisis_never']}"
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
