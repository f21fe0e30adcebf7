"""Renders speech offline with espeak-ng, flite and festival, with prosody for six emotions.

Knows engines, voices and their knobs; not what is said or why. The reserved voices are kept out of
training, development and demonstrations, so that whoever tests Poise has voices it has never heard.
"""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
_RESERVED = "m7 f5 Gene Alicia Nguyen quincy shelby Michael"  # variants of espeak-ng
_FREE = """
m1 m2 m3 m4 m5 m6 m8 f1 f2 f3 f4 Alex Andrea Andy Annie Denis Diogo Hugo Jacky Lee Marco Mario Mike adam anika
antonio aunty belinda benjamin boris caleb david ed edward grandma grandpa iven john kaukovalta klatt klatt2
klatt4 linda max michel miguel norbert pablo paul pedro rob robert sandro steph travis victor zac
"""
RESERVED = frozenset({"flite:rms", *(f"espeak:{name}" for name in _RESERVED.split())})
_VARIANTS = _FREE.split()
_ACCENTS = ("en-us", "en-us", "en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-gb-x-gbcwmd")


@dataclass(frozen=True)
class Prosody:
    """Multipliers on a voice's own settings: pitch, pitch range, rate (> 1 is faster); gain in dB."""

    pitch: float = 1.0
    spread: float = 1.0
    rate: float = 1.0
    gain_db: float = 0.0


# Directions after Banse & Scherer 1996 (table of acoustic correlates); sizes chosen by ear.
EMOTIONS: dict[str, Prosody] = {
    "neutral": Prosody(),
    "happy": Prosody(1.18, 1.4, 1.08, 2.0),
    "sad": Prosody(0.88, 0.5, 0.78, -5.0),
    "angry": Prosody(1.06, 1.3, 1.14, 5.0),
    "afraid": Prosody(1.28, 0.8, 1.2, -2.0),
    "surprised": Prosody(1.35, 1.9, 0.97, 2.0),
}
# How the agent's own voice carries each delivery.
DELIVERIES: dict[str, Prosody] = {
    "warm": Prosody(1.04, 1.1, 0.98, 0.0),
    "calm": Prosody(0.96, 0.8, 0.92, -1.0),
    "cheerful": Prosody(1.15, 1.4, 1.05, 1.5),
    "firm": Prosody(0.95, 0.9, 0.98, 2.0),
    "concerned": Prosody(1.0, 1.0, 0.92, -1.0),
    "gentle": Prosody(0.98, 0.8, 0.88, -2.0),
    "playful": Prosody(1.12, 1.5, 1.05, 1.0),
    "serious": Prosody(0.92, 0.8, 0.93, 0.5),
}


@dataclass(frozen=True)
class Voice:
    """One synthetic speaker: ``engine`` espeak, flite or festival; base rate and pitch as multipliers."""

    engine: str
    name: str
    accent: str = "en-us"
    rate: float = 1.0
    pitch: float = 1.0

    @property
    def key(self) -> str:
        """Name under which reservations are listed, as ``engine:name``."""
        return f"{self.engine}:{self.name}"


def speakers(count: int, seed: int = 0) -> list[Voice]:
    """``count`` different speakers drawn from all voices that are free to use."""
    chance = random.Random(seed)
    found: list[Voice] = []
    while len(found) < count:
        kind = chance.random()
        rate, pitch = chance.uniform(0.85, 1.2), chance.uniform(0.85, 1.2)
        if kind < 0.62:
            voice = Voice("espeak", chance.choice(_VARIANTS), chance.choice(_ACCENTS), rate, pitch)
        elif kind < 0.92:
            voice = Voice("flite", chance.choice(("slt", "awb", "kal16", "kal")), "en-us", rate, pitch)
        else:
            voice = Voice("festival", chance.choice(("kal_diphone", "cmu_us_slt_arctic_hts")), "en-us", rate, 1.0)
        if voice.key not in RESERVED:
            found.append(voice)
    return found


def render(text: str, voice: Voice, prosody: Prosody = EMOTIONS["neutral"]) -> NDArray[np.float32]:
    """Speak ``text``: float32 [n] at 16 kHz, silence trimmed from both ends, peak at most 0.95.

    Raises RuntimeError when the engine is not installed or gives no sound.
    """
    program = {"espeak": "espeak-ng", "flite": "flite", "festival": "text2wave"}[voice.engine]
    if shutil.which(program) is None:
        raise RuntimeError(
            f"{program} is not installed. Install it (Debian: apt-get install espeak-ng flite festival)."
        )
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        run = {"espeak": _espeak, "flite": _flite, "festival": _festival}[voice.engine]
        command, stdin = run(text, voice, prosody, wav)
        subprocess.run(command, input=stdin, check=True, capture_output=True, timeout=60)
        samples, rate = sf.read(wav, dtype="float32")
    if samples.size == 0:
        raise RuntimeError(f"{voice.key} gave no sound for {text!r}.")
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, rate, SAMPLE_RATE)
    return _level(_trim(samples), prosody.gain_db)


def _espeak(text: str, voice: Voice, prosody: Prosody, wav: Path) -> tuple[list[str], bytes]:
    spread = round(100 * prosody.spread)
    spoken = re.sub(r"[<>&]", " ", text)
    ssml = f'<speak><prosody range="{spread}%">{spoken}</prosody></speak>'
    pitch = int(np.clip(50 * voice.pitch * prosody.pitch, 5, 99))
    speed = int(np.clip(165 * voice.rate * prosody.rate, 90, 300))
    command = [
        "espeak-ng",
        "-m",
        "-v",
        f"{voice.accent}+{voice.name}",
        "-p",
        str(pitch),
        "-s",
        str(speed),
        "-w",
        str(wav),
    ]
    return [*command, "--stdin"], ssml.encode()


def flite_command(text: str, voice: Voice, prosody: Prosody, wav: Path) -> list[str]:
    """The command line that lets flite speak ``text`` into ``wav``."""
    base = {"slt": 170.0, "awb": 130.0, "kal": 105.0, "kal16": 105.0, "rms": 105.0}[voice.name]
    knobs = {
        "duration_stretch": 1.0 / (voice.rate * prosody.rate),
        "int_f0_target_mean": base * voice.pitch * prosody.pitch,
        "int_f0_target_stddev": base * 0.11 * prosody.spread,
    }
    settings = [part for name, value in knobs.items() for part in ("--setf", f"{name}={value:.3f}")]
    return ["flite", "-voice", voice.name, *settings, "-t", text, "-o", str(wav)]


def _flite(text: str, voice: Voice, prosody: Prosody, wav: Path) -> tuple[list[str], bytes]:
    return flite_command(text, voice, prosody, wav), b""


def _festival(text: str, voice: Voice, prosody: Prosody, wav: Path) -> tuple[list[str], bytes]:
    stretch = 1.0 / (voice.rate * prosody.rate)
    scheme = f"(begin (voice_{voice.name}) (Parameter.set 'Duration_Stretch {stretch:.3f}))"
    return ["text2wave", "-eval", scheme, "-o", str(wav)], text.encode()


def _trim(samples: NDArray[np.float32], floor_db: float = -45.0) -> NDArray[np.float32]:
    """Cut leading and trailing silence, leaving 20 ms."""
    frame = 160
    count = len(samples) // frame
    if count < 3:
        return samples
    rms = np.sqrt(np.mean(samples[: count * frame].reshape(count, frame) ** 2, axis=1))
    loud = np.flatnonzero(rms > rms.max() * 10 ** (floor_db / 20))
    return samples[max(loud[0] - 2, 0) * frame : min(loud[-1] + 3, count) * frame]


def _level(samples: NDArray[np.float32], gain_db: float, rms: float = 0.06) -> NDArray[np.float32]:
    """Bring speech to a common level, then apply the emotion's gain; the peak stays below 0.95."""
    now = float(np.sqrt(np.mean(samples**2))) + 1e-9
    scaled = samples * (rms * 10 ** (gain_db / 20) / now)
    peak = float(np.abs(scaled).max())
    return (scaled * min(1.0, 0.95 / (peak + 1e-9))).astype(np.float32)


def steady_seed(*parts: object) -> int:
    """A seed from names: the same on every machine and in every process."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=6).digest(), "little")
