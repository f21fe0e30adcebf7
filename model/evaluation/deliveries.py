"""Whether a planned delivery can be told from how a reply sounds: nearest centroid over four measures of prosody.

Knows measures and names, not how speech is made. Every line is told by centroids that never heard that line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.evaluation.prosody import HOP, Numbers, Sound, track
from model.interface import SAMPLE_RATE


def measures(sound: Sound, letters: int) -> Numbers:
    """[4]: mean and spread of log pitch over voiced frames, letters a second while there is sound, level in dB."""
    found = track(sound)
    pitch = np.log(found.pitch[found.pitch > 0])
    heard = found.heard
    seconds = max(float(heard.sum()) * HOP / SAMPLE_RATE, 0.01)
    level = 10.0 * np.log10(np.mean(10 ** (found.level[heard] / 10)) + 1e-12) if heard.any() else -120.0
    spoken = (float(pitch.mean()), float(pitch.std())) if len(pitch) else (0.0, 0.0)
    return np.array([*spoken, np.log(letters / seconds), level])


def recognised(rows: Numbers, names: Sequence[str], groups: Sequence[object]) -> dict[str, Any]:
    """Accuracy of telling ``names`` from measures [n, 4], leaving out one group (line) at a time.

    Distances are between measures in units of their spread within names, averaged over those learnt from.
    """
    truth, owner = np.array(names), np.array([str(group) for group in groups])
    told = np.empty(len(truth), dtype=truth.dtype)
    for group in dict.fromkeys(owner):
        out = owner == group
        known = sorted(set(truth[~out]))
        centres = np.stack([rows[~out & (truth == name)].mean(axis=0) for name in known])
        rest = rows[~out] - centres[[known.index(name) for name in truth[~out]]]
        spread = rest.std(axis=0) + 1e-6
        distance = (((rows[out][:, None] - centres) / spread) ** 2).sum(-1)
        told[out] = np.array(known)[distance.argmin(axis=1)]
    classes = sorted(set(names))
    recall = {name: round(float((told[truth == name] == name).mean()), 3) for name in classes}
    return {
        "balanced": round(float(np.mean(list(recall.values()))), 4),
        "chance": round(1 / len(classes), 4),
        "recall": recall,
        "sounds": len(truth),
    }
