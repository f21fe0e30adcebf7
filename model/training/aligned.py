"""Synthetic speech whose phone times are known: it gives the ear a start that CTC alone is slow to find.

Renders with flite, which tells when each phone ends. Knows voices and files; what the labels are used for is
`hearing`'s business.
"""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from model.nano import phones
from model.training.cache import CacheWriter
from model.training.prepare import spoken
from model.training.voices import EMOTIONS, Prosody, Voice, flite_command

_RENAMED = {"ax": "AH", "axr": "ER", "el": "L", "em": "M", "en": "N", "ix": "IH", "nx": "N", "dx": "D", "hv": "HH"}
VOICES = ("slt", "awb", "kal16")
_FRAMES = 100  # labels a second


def render(texts: Iterable[str], out: Path, seed: int = 3) -> int:
    """Speak ``texts`` in free flite voices of varied pitch and rate into a cache with ``phones.jsonl`` beside it.

    Returns the number of new clips. Raises RuntimeError where flite is missing.
    """
    chance, new = random.Random(seed), 0
    with CacheWriter(out) as cache, (out / "phones.jsonl").open("a", encoding="utf-8") as times:
        for number, text in enumerate(texts):
            name, rate, pitch = chance.choice(VOICES), chance.uniform(0.85, 1.2), chance.uniform(0.8, 1.25)
            voice = Voice("flite", name, "en-us", rate, pitch)
            prosody = EMOTIONS[chance.choice(list(EMOTIONS))]
            if cache.has(f"aligned-{number}"):
                continue
            samples, labels = speak(text, voice, prosody)
            times.write(json.dumps({"id": f"aligned-{number}", "phones": labels}) + "\n")
            times.flush()
            about = {"corpus": "aligned", "split": "train", "speaker": voice.key, "real": False}
            cache.add(samples, id=f"aligned-{number}", text=spoken(text), **about)
            new += 1
    return new


def speak(text: str, voice: Voice, prosody: Prosody) -> tuple[NDArray[np.float32], list[tuple[int, float]]]:
    """Samples [n] at 16 kHz, and (CTC index, end in seconds) of each phone; pauses count as blank."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        command = flite_command(text, voice, prosody, wav)
        done = subprocess.run([*command, "-psdur"], check=True, capture_output=True, timeout=60)
        samples, _ = sf.read(wav, dtype="float32")
    labels = []
    for part in done.stdout.decode().split():
        name, _, end = part.rpartition(":")
        symbol = _RENAMED.get(name, name.upper())
        labels.append((phones.INDEX.get(symbol, phones.BLANK), float(end)))
    return samples * np.float32(0.06 / (np.sqrt(np.mean(samples**2)) + 1e-9)), labels


def labels(folder: Path) -> dict[str, NDArray[np.int64]]:
    """Per clip id: the phone of each 10 ms."""
    found = {}
    for line in (folder / "phones.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        ends = [round(end * _FRAMES) for _, end in row["phones"]]
        spans = np.diff([0, *ends]).clip(min=0)
        found[row["id"]] = np.repeat([index for index, _ in row["phones"]], spans)
    return found
