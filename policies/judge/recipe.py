"""The recipe of the tuned judge, from scenes to shipped weights; every step continues where an earlier run stopped.

Examples are made once and kept in the working folder, so that training can be repeated in minutes. It knows scenes and
where files lie; percepts of rendered audio come from whoever has an ear, as steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from policies.evaluation import drive, score
from policies.judge import examples, minilm, training, tuned
from policies.judge.examples import Examples
from policies.judge.labels import Step
from policies.judge.minilm import MiniLM
from policies.judge.network import JudgeNetwork
from policies.judge.simulation import Ear, Mishearing, simulate
from policies.situation import ACTIONS, Judgement, Situation

PART = 200  # scenes of one file of examples: what is lost when a run is interrupted
LEANS = (-0.6, -0.3, 0.3, 0.6)  # tried on each action's logit, again and again
Scene = dict[str, Any]
Tell = Callable[[str], None]
Floats = NDArray[np.float64]


def prepare(scenes: Sequence[Scene], reader: MiniLM, folder: Path, variant: int, tell: Tell = print) -> list[Path]:
    """Files of examples of these scenes under one simulated hearing (variant 0 hears all words right)."""
    folder.mkdir(parents=True, exist_ok=True)
    mishearing = Mishearing(phrase["text"] for scene in scenes for phrase in scene["phrases"])
    paths = []
    for start in range(0, len(scenes), PART):
        path = folder / f"simulated-{variant}-{start:05d}.pt"
        paths.append(path)
        if path.exists():
            continue
        chance, steps = np.random.default_rng([variant, start]), list[Step]()
        for scene in scenes[start : start + PART]:
            ear = Ear(0.0, 0.8, 0.9, 1) if variant == 0 else None
            steps += examples.thin(simulate(scene, mishearing, chance, ear), chance)
        write(steps, reader, path)
        tell(f"{path.name}: {len(steps)} chunks")
    return paths


def write(steps: list[Step], reader: MiniLM, path: Path) -> None:
    """Make examples of these steps and keep them in a file; a half-written file is never left."""
    examples.make(steps, reader).save(path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def train(paths: Sequence[Path], folder: Path, plan: training.Recipe) -> JudgeNetwork:
    """A network trained on these files of examples."""
    network = training.fresh(seed=plan.seed)
    training.train(network, Examples.join([Examples.load(path) for path in paths]), plan, folder)
    return network.eval()


class Replayed:
    """A judge whose logits are known already; they can be leaned without asking the network again."""

    name = tuned.TunedJudge.name

    def __init__(self, judge: tuned.TunedJudge, steps: Sequence[Step]) -> None:
        self._logits = {s.situation.percept.chunk: judge.logits(s.situation)[:5].double().numpy() for s in steps}
        self.lean = np.zeros(len(ACTIONS))

    def judge(self, situation: Situation) -> Judgement:
        """The judgement of this chunk under the present lean."""
        weight = np.exp(self._logits[situation.percept.chunk] + self.lean)
        shares = dict(zip(ACTIONS, (weight / weight.sum()).tolist(), strict=True))
        return Judgement(p=shares, user_done=None, evidence=(), judge=self.name)


Heard = tuple[Scene, list[Step], list[dict[str, Any]]]  # a scene, all its steps, its timeline's phrases


def lean(network: JudgeNetwork, reader: MiniLM, held_back: Sequence[Heard], tell: Tell = print) -> float:
    """Find what to add to each action's logit for the best macro-F1 after policy; returns that F1.

    ``held_back`` must not have been trained on.
    """
    judge = tuned.TunedJudge(network, reader)
    replayed = [Replayed(judge, steps) for _, steps, _ in held_back]
    best = np.zeros(len(ACTIONS))
    found = macro_f1(replayed, best, held_back)
    tell(f"macro-F1 {found:.3f} without leaning")
    for action in (*range(len(ACTIONS)), *range(len(ACTIONS))):
        for step in LEANS:
            tried = best.copy()
            tried[action] += step
            if (value := macro_f1(replayed, tried, held_back)) > found + 1e-4:
                found, best = value, tried
                tell(f"macro-F1 {found:.3f} with {ACTIONS[action]} {tried[action]:+.1f}")
    network.head.lean.copy_(torch.from_numpy(best))
    return found


def macro_f1(judges: Sequence[Replayed], leaning: Floats, held_back: Sequence[Heard]) -> float:
    """Macro-F1 after policy over these scenes, each with its judge."""
    when, what = [], []
    for judge, (scene, steps, phrases) in zip(judges, held_back, strict=True):
        judge.lean = leaning
        taken = drive.decisions(drive.drive((step.situation for step in steps), judge))
        when.append({"id": scene["id"], "phrases": phrases})
        what.append({"id": scene["id"], "decisions": taken})
    rows = score.rows_of([scene for scene, _, _ in held_back], when, what)
    return float(score.measure(rows)["macro_f1"])


def simulated(scenes: Sequence[Scene], mishearing: Mishearing, seed: int = 7) -> list[Heard]:
    """Scenes as a middling ear would hear them, with their timeline."""
    found = []
    for number, scene in enumerate(scenes):
        steps = simulate(scene, mishearing, np.random.default_rng([seed, number]), Ear(0.2, 0.6, 0.8, 1))
        found.append((scene, steps, _timeline(scene, steps)))
    return found


def _timeline(scene: Scene, steps: list[Step]) -> list[dict[str, Any]]:
    phrases = []
    for number, phrase in enumerate(scene["phrases"]):
        spoken = [s.situation.time_s for s in steps if s.phrase == number and s.situation.percept.pause_s == 0]
        phrases.append({"start_s": spoken[0] - 0.16, "end_s": spoken[-1], "label": phrase["label"]})
    return phrases


def run(
    scenes: Sequence[Scene],
    held_back: Sequence[Scene],
    work: Path,
    out: Path,
    minutes: float,
    variants: int = 2,
    most_steps: int = 2000,
    tell: Tell = print,
) -> float:
    """Everything on simulated hearing: examples, training for ``minutes``, leaning, weights; returns the macro-F1."""
    torch.set_num_threads(1)
    reader = minilm.load()
    paths = [path for variant in range(variants) for path in prepare(scenes, reader, work / "examples", variant, tell)]
    network = train(paths, work, training.Recipe(minutes=minutes, most_steps=most_steps))
    mishearing = Mishearing(phrase["text"] for scene in scenes for phrase in scene["phrases"])
    found = lean(network, reader, simulated(held_back, mishearing), tell)
    tell(f"{out.name}: {tuned.store(network, out)} bytes")
    return found
