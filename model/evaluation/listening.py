"""How well an engine hears a corpus: error rates of its transcript beside pocketsphinx, labels, real-time factors.

Drives the tasks of any engine over clips; what each clip counts for is decided by the labels its corpus carries.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from model.evaluation import clips
from model.evaluation.labels import LabelTally
from model.evaluation.rates import Rate, difference
from model.evaluation.recogniser import Sphinx
from model.inference.tasks import LABELS, Request, Samples, Surface, Task
from model.interface import SAMPLE_RATE, PoiseError
from model.training.wording import spoken


@dataclass
class Pair:
    """Word and character errors of one recogniser."""

    words: Rate = field(default_factory=Rate)
    letters: Rate = field(default_factory=Rate)

    def add(self, reference: tuple[str, ...], heard: str) -> None:
        """Count one clip; characters include the blanks between words."""
        words = spoken(heard)
        self.words.add(reference, words)
        self.letters.add(" ".join(reference), " ".join(words))

    def figures(self) -> dict[str, Any]:
        """Both rates."""
        return {"wer": self.words.figures(), "cer": self.letters.figures()}


@dataclass
class Pace:
    """What answering cost: seconds of wall clock and of processor time, beside seconds of sound."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    sound: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Real-time factors: seconds of work by seconds of sound."""
        total, each = sum(self.sound), np.array(self.wall) / np.maximum(self.sound, 1e-9)
        return {
            "wall": round(sum(self.wall) / total, 4),
            "processor": round(sum(self.processor) / total, 4),
            "clip_p50": round(float(np.median(each)), 4),
            "clip_p95": round(float(np.percentile(each, 95)), 4),
        }


class Listening:
    """Counts over the clips of one set."""

    def __init__(self, surface: Surface, sphinx: Sphinx | None) -> None:
        self._surface, self._sphinx = surface, sphinx
        self._engine, self._baseline = Pair(), Pair()
        self._labels: dict[str, LabelTally] = {}
        self._pace, self._failed, self._unlabelled = Pace(), dict[str, str](), 0

    def take(self, row: dict[str, Any], found: Samples | str) -> None:
        """Measure one clip, or note why it cannot be."""
        if isinstance(found, str):
            self._failed[row["id"]] = found
            return
        reference = spoken(row.get("text") or "")
        tasks: list[Task] = ["transcribe"] if reference else []
        tasks += [task for task in LABELS if row.get(task) is not None]  # type: ignore[misc]
        if not tasks:
            self._unlabelled += 1
            return
        try:
            answers = self._timed(tasks, found)
        except PoiseError as error:
            self._failed[row["id"]] = str(error)
            return
        for answer in answers:
            if answer.task == "transcribe":
                self._engine.add(reference, answer.text)
                if self._sphinx is not None:
                    self._baseline.add(reference, self._sphinx.hear(found))
            else:
                tally = self._labels.setdefault(answer.task, LabelTally(answer.task))
                tally.add(row[answer.task], answer.text, answer.probabilities)

    def _timed(self, tasks: Sequence[Task], found: Samples) -> Iterable[Any]:
        wall, processor = time.perf_counter(), time.process_time()
        answers = self._surface.do(tasks, Request(samples=found))
        self._pace.wall.append(time.perf_counter() - wall)
        self._pace.processor.append(time.process_time() - processor)
        self._pace.sound.append(len(found) / SAMPLE_RATE)
        return answers

    def figures(self) -> dict[str, Any]:
        """All that was counted. Raises CorpusError where no clip could be measured."""
        if not self._pace.sound:
            reason = next(iter(self._failed.values()), "no clip has a text or a label")
            raise clips.CorpusError(f"No clip could be measured: {reason}.", "Check the corpus and its metadata.")
        both = bool(self._baseline.words.items)
        return {
            "clips": len(self._pace.sound),
            "seconds": round(sum(self._pace.sound), 1),
            "failed": self._failed,
            "without_labels": self._unlabelled,
            "transcript": self._engine.figures(),
            "pocketsphinx": self._baseline.figures() if both else None,
            "wer_above_pocketsphinx": difference(self._engine.words, self._baseline.words) if both else None,
            "labels": {task: tally.figures() for task, tally in self._labels.items()},
            "real_time_factor": self._pace.figures(),
        }


def evaluate(
    folder: Path,
    split: str,
    surface: Surface,
    sphinx: Sphinx | None = None,
    limit: int | None = None,
    tick: Callable[[int], None] = lambda count: None,
) -> dict[str, Any]:
    """Figures of one split of a corpus folder; ``tick`` is told of each clip how many there are.

    Raises CorpusError where nothing of it can be measured.
    """
    listening, chosen = Listening(surface, sphinx), clips.rows(folder, split, limit)
    for row, found in clips.samples(folder, chosen):
        listening.take(row, found)
        tick(len(chosen))
    return {"corpus": folder.name, "split": split, "engine": surface.name, **listening.figures()}
