"""Simulates what an ear would hear of a written scene: situations chunk by chunk, with their labels.

For training a judge before, and beside, percepts of rendered audio. It knows scenes and percepts; it knows no audio,
and its confusions of words, emotions and addressees are drawn from a generator that the caller gives.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from model.interface import CHUNK_S, EMOTIONS, EVENTS, Percept, Said
from policies import cues
from policies.judge.labels import Step, after, within
from policies.situation import Floor, Persona, Situation

TAIL_S = 1.68  # room after the last phrase
RATE = {"neutral": 2.7, "happy": 2.9, "sad": 2.1, "angry": 3.0, "afraid": 3.1, "surprised": 2.7}  # words a second


@dataclass(frozen=True)
class Ear:
    """How well the simulated ear hears, drawn once per scene."""

    words: float  # share of words misheard
    feelings: float  # how sure and how right the emotion is, 0..1
    aside: float  # how well speech to others is told, 0..1
    lag: int  # words that are still missing while speech goes on

    @classmethod
    def draw(cls, chance: Generator) -> Ear:
        """A random ear: sometimes perfect, mostly not."""
        words = 0.0 if chance.random() < 0.2 else chance.uniform(0.05, 0.55)
        return cls(
            float(words), float(chance.uniform(0.2, 0.9)), float(chance.uniform(0.3, 1.0)), int(chance.integers(0, 2))
        )


class Mishearing:
    """Draws words that look like others: neighbours by letter groups, frequent ones first."""

    def __init__(self, texts: Iterable[str], neighbours: int = 6) -> None:
        counts = Counter(word for text in texts for word in cues.words(text))
        self._words = sorted(counts)
        self._common = [word for word, _ in counts.most_common(300)]
        groups: dict[str, list[str]] = defaultdict(list)
        for word in self._words:
            groups[_skeleton(word)].append(word)
        self._near = {w: [o for o in groups[_skeleton(w)] if o != w][:neighbours] for w in self._words}

    def apply(self, words: list[str], share: float, chance: Generator) -> list[str]:
        """The words with about ``share`` of them replaced, dropped or split off."""
        out: list[str] = []
        for word in words:
            roll = chance.random() / max(share, 1e-9)
            if roll >= 1.0:
                out.append(word)
            elif roll < 0.7:
                near = self._near.get(word)
                pool = near if near and chance.random() < 0.6 else self._common
                out.append(pool[int(chance.integers(len(pool)))])
            elif roll > 0.88:
                out += [word, self._common[int(chance.integers(len(self._common)))]]
        return out


def _skeleton(word: str) -> str:
    """First letter, first consonants and rough length: what a phone recogniser gets right most often."""
    hard = [c for c in word if c not in "aeiouyhw'"]
    return word[:1] + "".join(hard[:2]) + str(len(word) // 3)


def simulate(scene: dict[str, Any], mishearing: Mishearing, chance: Generator, ear: Ear | None = None) -> list[Step]:
    """All chunks of one scene, from the first word to the end of the room after the last."""
    ear = ear or Ear.draw(chance)
    teller = _Teller(scene, mishearing, chance, ear)
    for number in range(len(scene["phrases"])):
        teller.speak(number)
        teller.pause(number)
    return teller.steps


class _Teller:
    """Walks through one scene; the clock is at ``time``."""

    def __init__(self, scene: dict[str, Any], mishearing: Mishearing, chance: Generator, ear: Ear) -> None:
        self.scene, self.mishearing, self.chance, self.ear = scene, mishearing, chance, ear
        self.steps: list[Step] = []
        self.heard: list[str] = []
        self.time, self.spoken, self.words_at = CHUNK_S * int(chance.integers(1, 4)), 0.0, 0.0
        self.began = self.time
        self.persona = Persona(**scene["persona"])
        self.history = tuple(Said(**turn) for turn in scene["history"])
        self.says = scene["agent_says"] or ""
        self.passed = False
        self.level = float(chance.normal(-26, 4))

    def speak(self, number: int) -> None:
        """The chunks while phrase ``number`` is spoken."""
        phrase = self.scene["phrases"][number]
        said = cues.words(phrase["text"])
        misheard = self.mishearing.apply(said, self.ear.words, self.chance)
        length = max(len(said) / (RATE[phrase["emotion"]] * self.chance.uniform(0.8, 1.2)), 0.3)
        before, chunks = self.heard, max(round(length / CHUNK_S), 1)
        self._set_scene(phrase)
        for chunk in range(chunks):
            self.time += CHUNK_S
            self.spoken += CHUNK_S
            share = (chunk + 1) / chunks
            count = max(int(share * len(misheard)) - self.ear.lag, 0)
            self._hear([*before, *misheard[:count]])
            label, weight = within(phrase["label"], share, (1 - share) * length)
            self._step(number, label, weight, 0.0)
        self._hear([*before, *misheard[: max(len(misheard) - self.ear.lag, 0)]])
        self.pending = [*before, *misheard]

    def pause(self, number: int) -> None:
        """The chunks of the pause after phrase ``number``."""
        phrase, last = self.scene["phrases"][number], number + 1 == len(self.scene["phrases"])
        length = max(phrase["pause_s"], TAIL_S) if last else phrase["pause_s"]
        shift = self.chance.uniform(-0.06, 0.1)
        chunks = int(length / CHUNK_S)
        for chunk in range(chunks):
            self.time += CHUNK_S
            pause = max((chunk + 1) * CHUNK_S - shift, 0.05)
            if chunk >= self.ear.lag:
                self._hear(self.pending)
            self._step(number, phrase["label"], after(pause, chunks), pause)
        self._hear(self.pending)
        self.passed = self.passed or phrase["label"] == "interrupt"

    def _set_scene(self, phrase: dict[str, Any]) -> None:
        """Addressee, emotion, event and floor of this phrase, as the ear takes them."""
        self.passed = self.passed and phrase["label"] == "silence"
        away = phrase["to"] == "other"
        self.facing = float(np.clip(self.chance.normal(0.85 - 0.6 * self.ear.aside * away, 0.12), 0.01, 0.99))
        if self.chance.random() < 0.15:
            self.facing = float("nan")
        self.quieter = -8.0 * away
        self.emotion = self._feelings(phrase["emotion"])
        self.event = phrase["event"]
        self.yielding = phrase["overlap"] in ("stop", "correction") or (self.says != "" and phrase["overlap"] is None)

    def _feelings(self, true: str) -> dict[str, float]:
        noise = self.chance.dirichlet(np.full(len(EMOTIONS), 0.6))
        sure = self.ear.feelings * float(self.chance.random() < 0.35 + 0.65 * self.ear.feelings)
        p = {name: float((1 - sure) * n) + sure * (name == true) for name, n in zip(EMOTIONS, noise, strict=True)}
        return {name: value / sum(p.values()) for name, value in p.items()}

    def _hear(self, words: list[str]) -> None:
        if words != self.heard:
            self.heard, self.words_at = words, self.time

    def _step(self, number: int, label: str, weight: float, pause: float) -> None:
        counts = 0.0 if self.passed and label == "silence" else weight
        crisis = "crisis" in self.scene["tags"]
        self.steps.append(Step(self._situation(pause), label, counts, number, crisis))

    def _situation(self, pause: float) -> Situation:
        history, says, floor = self.history, self.says, Floor.USER
        if says and self.yielding and self.spoken >= 0.32:
            history, says, self.says = (*history, Said(who="agent", text=says, cut=True)), "", ""
            self.history = history
        elif says:
            floor = Floor.BOTH if pause == 0.0 else Floor.AGENT
        return Situation(
            percept=self._percept(pause),
            persona=self.persona,
            memory=tuple(self.scene["memory"]),
            history=history,
            floor=floor,
            agent_says=says,
            time_s=self.time,
            turn_s=self.time - self.began,
            still_s=self.time - self.words_at,
        )

    def _percept(self, pause: float) -> Percept:
        event = dict.fromkeys(EVENTS, 0.02)
        event[self.event or "none"] = 0.9
        kept = len(self.heard) - 2 if pause < 0.5 else len(self.heard)
        return Percept(
            chunk=round(self.time / CHUNK_S),
            stable=" ".join(self.heard[: max(kept, 0)]),
            tentative=" ".join(self.heard[max(kept, 0) :]),
            confidence=float(np.clip(self.chance.normal(0.9 - 0.8 * self.ear.words, 0.08), 0.05, 1.0)),
            emotion=self.emotion,
            event={name: value / sum(event.values()) for name, value in event.items()},
            facing=None if np.isnan(self.facing) else self.facing,
            speech=float(self.chance.uniform(0.7, 1.0) if pause == 0.0 else self.chance.uniform(0.0, 0.3)),
            pause_s=pause,
            spoken_s=self.spoken,
            level_db=self.level + self.quieter,
            states=None,
        )
