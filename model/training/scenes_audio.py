"""Assembles recordings of judgement scenes from rendered phrases, with the timeline that scoring needs.

Phrases are laid out with their pauses on a bed of faint noise; speech to others is quieter, muffled and in a room, and
events are mixed in. Knows caches and the scenes' JSON, nothing of judges. For development and training.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from model.training.cache import Cache, Clip
from model.training.voices import steady_seed

RATE = 16_000
LEAD_S, TAIL_S = 0.4, 2.2
MUFFLED_HZ = 3500.0
EVENT_CLIPS = {
    "laugh": ("laughing",),
    "cough": ("coughing",),
    "sigh": ("breathing",),
    "cry": ("crying baby",),
    "noise": ("door knock", "dog", "car horn", "glass breaking", "keyboard typing", "clapping", "sneezing"),
}
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Laid:
    """A scene's recording, float32 [n] at 16 kHz, and when each phrase was spoken."""

    samples: Samples
    timeline: dict[str, Any]


class SceneAudio:
    """Lays out scenes; clips of phrases are named ``<scene>.<number>`` in their cache."""

    def __init__(self, phrases: Cache, noises: Cache | None = None, split: str = "train") -> None:
        self._phrases, self._noises = phrases, noises
        self._clips = {clip.id: clip for clip in phrases.clips}
        self._events: dict[str, list[Clip]] = {}
        for clip in noises.clips if noises else ():
            for event, names in EVENT_CLIPS.items():
                if clip.event in names and clip.split == split:
                    self._events.setdefault(event, []).append(clip)

    def lay(self, scene: dict[str, Any]) -> Laid:
        """The recording of one scene. Raises KeyError where a phrase was not rendered.

        Twins share their chances, so that they differ in nothing but what the scenes say.
        """
        chance = random.Random(steady_seed("lay", scene["pair"] or scene["id"]))
        generator = np.random.default_rng(chance.getrandbits(32))
        parts, times, end = [_silence(LEAD_S)], [], LEAD_S
        for number, phrase in enumerate(scene["phrases"]):
            speech = self._phrases.samples(self._clips[f"{scene['id']}.{number}"])
            aside = turned_away(speech, generator, chance.uniform(8, 12))
            if phrase["to"] == "other":
                speech = aside
            times.append(
                {"start_s": round(end, 4), "end_s": round(end + len(speech) / RATE, 4), "label": phrase["label"]}
            )
            last = number + 1 == len(scene["phrases"])
            pause = _silence(max(phrase["pause_s"], TAIL_S) if last else phrase["pause_s"])
            part = np.concatenate([speech, pause])
            event = self._event(phrase["event"], chance)
            part[: len(event)] += event[: len(part)]
            parts.append(part)
            end += len(part) / RATE
        whole = np.concatenate(parts)
        bed = generator.standard_normal(len(whole)).astype(np.float32) * 10 ** (chance.uniform(-66, -52) / 20)
        return Laid(np.clip(whole + bed, -1.0, 1.0), {"id": scene["id"], "phrases": times})

    def _event(self, event: str | None, chance: random.Random) -> Samples:
        """A second or so of the event's sound, near the speech's level; nothing where there is none."""
        roll = chance.random()
        found = self._events.get(event or "", [])
        if not found or self._noises is None:
            return _silence(0.0)
        samples = self._noises.samples(found[int(roll * len(found))])[: int(1.5 * RATE)]
        rms = float(np.sqrt(np.mean(samples**2))) + 1e-6
        return (samples * min(0.035 / rms, 4.0)).astype(np.float32)


def turned_away(speech: Samples, chance: np.random.Generator, quieter_db: float) -> Samples:
    """Speech of somebody who has turned away: quieter, without what lies above 3.5 kHz, in a room."""
    length = int(0.3 * RATE)
    decay = np.exp(-6.9 * np.arange(length) / (0.35 * RATE))
    room = chance.standard_normal(length) * decay * 0.04
    room[0] = 1.0
    size = 1 << (len(speech) + length).bit_length()
    spectrum = np.fft.rfft(speech, size) * np.fft.rfft(room, size)
    hertz = np.fft.rfftfreq(size, 1 / RATE)
    wet = np.fft.irfft(spectrum / np.sqrt(1 + (hertz / MUFFLED_HZ) ** 8), size)[: len(speech)]
    level = float(np.sqrt(np.mean(speech**2)) / (np.sqrt(np.mean(wet**2)) + 1e-9))
    return (wet * level * 10 ** (-quieter_db / 20)).astype(np.float32)


def render(
    scenes: Iterable[dict[str, Any]], audio: SceneAudio, folder: Path, told: Callable[[int], None] | None = None
) -> int:
    """Write ``<id>.flac`` of each scene and timeline.jsonl to ``folder``; returns how many were written."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with (folder / "timeline.jsonl").open("w", encoding="utf-8") as timeline:
        for scene in scenes:
            laid = audio.lay(scene)
            sf.write(folder / f"{scene['id']}.flac", laid.samples, RATE, subtype="PCM_16")
            timeline.write(json.dumps(laid.timeline) + "\n")
            count += 1
            if told is not None:
                told(count)
    return count


def _silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE), dtype=np.float32)
