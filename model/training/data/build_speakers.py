"""Speech engines behind one protocol: the offline ones with prosody and formants, any command, models that clone.

Knows how speech is made; not what is said or whether it is good enough. Packages and models are loaded on first use.
"""

from __future__ import annotations

import functools
import importlib
import math
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

from model.training import voices
from model.training.data.build_config import BuildError, VoiceSeed
from model.training.data.item import FieldError
from model.training.voices import DELIVERIES, EMOTIONS, SAMPLE_RATE, Prosody

Samples = NDArray[np.float32]
Clone = Callable[[str, str, str], tuple[Any, int]]  # (text, path of the reference, emotion) -> samples, rate
_PROGRAMS = {"espeak": "espeak-ng", "flite": "flite", "festival": "text2wave"}
_TIMEOUT_S = 120.0
# Formants of women lie about 15 %, of children about 25 to 30 % above men's (Peterson & Barney 1952); pitch an
# octave at most. Old voices: slower, flatter, lower formants by a little. Sizes short of the means: beyond, the
# engines' own artefacts are heard.
_AGES = {"child": (Prosody(1.25, 1.15, 0.95), 1.18), "adult": (Prosody(), 1.0), "old": (Prosody(0.9, 0.85, 0.82), 0.97)}
_OTHER_GENDER = {"female": (Prosody(pitch=1.45), 1.13), "male": (Prosody(pitch=0.7), 0.89)}
_EXAGGERATION = {"neutral": 0.4, "calm": 0.35, "gentle": 0.4, "sad": 0.6, "warm": 0.5}  # others 0.75


class EngineError(BuildError):
    """A speech engine is not installed."""

    code = "no_speech_engine"


class Speaker(Protocol):
    """What makes speech. Raises FieldError where a text fails; that the engine is there was seen to by `require`."""

    def __call__(self, text: str, voice: VoiceSeed, emotion: str) -> Samples:
        """Speak ``text``: float32 [n] at 16 kHz."""


def speak(text: str, voice: VoiceSeed, emotion: str) -> Samples:
    """Speak with the voice's own engine; ``emotion`` is an emotion or a delivery of the house."""
    samples = speaker(voice.engine)(text, voice, emotion)
    if not samples.size or not np.isfinite(samples).all():
        raise FieldError("engine gave no sound", voice.key)
    return samples


def speaker(engine: str) -> Speaker:
    """The speaker of an engine's name."""
    return {"command": by_command, "clone": by_clone}.get(engine, offline)


def require(voice: VoiceSeed) -> None:
    """Raises EngineError where a voice's engine is not there, before any work is done."""
    if voice.engine == "clone":
        adapter(voice.adapter, voice.model)
        return
    program = shlex.split(voice.command)[0] if voice.engine == "command" else _PROGRAMS[voice.engine]
    if shutil.which(program) is None:
        mend = f"Install it (Debian: apt-get install {' '.join(_PROGRAMS.values()).replace('text2wave', 'festival')})."
        raise EngineError(f"{program} is not installed.", mend if voice.engine != "command" else "Check the command.")


def offline(text: str, voice: VoiceSeed, emotion: str) -> Samples:
    """espeak-ng, flite or festival.

    Formants are shifted by speaking lower and slower by a factor and playing faster by it: pitch and length come out
    as asked for, and the spectral envelope is stretched. festival's pitch cannot be set and moves with the formants.
    """
    prosody, formant = character(voice, emotion)
    prosody = replace(prosody, pitch=prosody.pitch / formant, rate=prosody.rate / formant)
    try:
        samples = voices.render(text, voice.offline(), prosody)
    except (RuntimeError, subprocess.SubprocessError, sf.LibsndfileError) as error:
        raise FieldError("engine failed", f"{voice.key}: {str(error)[:80]}") from error
    if math.isclose(formant, 1.0):
        return samples
    return _peak(soxr.resample(samples, SAMPLE_RATE * formant, SAMPLE_RATE).astype(np.float32))


def character(voice: VoiceSeed, emotion: str) -> tuple[Prosody, float]:
    """Prosody and formant scale of a voice in an emotion: age, gender and emotion multiplied."""
    felt = EMOTIONS.get(emotion) or DELIVERIES.get(emotion) or Prosody()
    aged, formant = _AGES[voice.age]
    parts, formant = [felt, aged], formant * voice.formant
    if voice.gender != voice.natural_gender and voice.age != "child":  # a child is neither
        other, scale = _OTHER_GENDER[voice.gender]
        parts, formant = [*parts, other], formant * scale
    return Prosody(
        pitch=math.prod(part.pitch for part in parts),
        spread=math.prod(part.spread for part in parts),
        rate=math.prod(part.rate for part in parts),
        gain_db=sum(part.gain_db for part in parts),
    ), formant


def by_command(text: str, voice: VoiceSeed, emotion: str) -> Samples:
    """Any program that writes a sound file; the template is split into words first, so no text reaches a shell."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "speech.wav"
        values = {"text": text, "out": str(out), "name": voice.name, "emotion": emotion, "age": voice.age,
                  "gender": voice.gender, "rate": f"{voice.rate:g}", "pitch": f"{voice.pitch:g}"}  # fmt: skip
        command = [_filled(word, values) for word in shlex.split(voice.command)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL)
            samples, rate = sf.read(out, dtype="float32", always_2d=True)
        except (OSError, subprocess.SubprocessError, sf.LibsndfileError) as error:
            raise FieldError("engine failed", f"{command[0]}: {str(error)[-80:]}") from error
    return at_16k(samples.mean(1), rate)


def _filled(word: str, values: dict[str, str]) -> str:
    """Each name in braces once, so that braces in the text stay text."""
    parts = word.split("{")
    filled = [parts[0]]
    for part in parts[1:]:
        name, brace, rest = part.partition("}")
        filled.append(values[name] + rest if brace and name in values else "{" + part)
    return "".join(filled)


def by_clone(text: str, voice: VoiceSeed, emotion: str) -> Samples:
    """A model that clones the voice of a recording."""
    clone = adapter(voice.adapter, voice.model)
    try:
        samples, rate = clone(text, str(voice.reference), emotion)
    except (RuntimeError, ValueError) as error:
        raise FieldError("engine failed", f"{voice.adapter}: {str(error)[:80]}") from error
    return at_16k(np.asarray(samples, dtype=np.float32).reshape(-1), int(rate))


@functools.cache
def adapter(name: str, model: str) -> Clone:
    """The clone behind a name, loaded once a process: coqui, chatterbox, or ``package.module:function``.

    A function of one's own takes (text, path of the reference, emotion) and returns (samples [n], rate in Hz).
    """
    known: dict[str, Callable[[str], Clone]] = {"coqui": _coqui, "chatterbox": _chatterbox}
    try:
        if name in known:
            return known[name](model)
        module, _, function = name.partition(":")
        found: Clone = getattr(importlib.import_module(module), function)
        return found
    except ImportError as error:
        package = {"coqui": "coqui-tts", "chatterbox": "chatterbox-tts"}.get(name, name.partition(":")[0])
        raise EngineError(f"The voice adapter {name} needs {error.name}.", f"Install {package}.") from error
    except (AttributeError, ValueError) as error:
        raise EngineError(f"There is no voice adapter {name}.", "Give package.module:function.") from error


def _coqui(model: str) -> Clone:
    tts = importlib.import_module("TTS.api").TTS(model or "tts_models/multilingual/multi-dataset/xtts_v2")

    def clone(text: str, reference: str, _emotion: str) -> tuple[Any, int]:
        return tts.tts(text=text, speaker_wav=reference, language="en"), tts.synthesizer.output_sample_rate

    return clone


def _chatterbox(_model: str) -> Clone:
    package = importlib.import_module("chatterbox.tts")
    import torch

    tts = package.ChatterboxTTS.from_pretrained(device="cuda" if torch.cuda.is_available() else "cpu")

    def clone(text: str, reference: str, emotion: str) -> tuple[Any, int]:
        strength = _EXAGGERATION.get(emotion, 0.75)
        return tts.generate(text, audio_prompt_path=reference, exaggeration=strength).cpu().numpy(), tts.sr

    return clone


def at_16k(samples: NDArray[Any], rate: int) -> Samples:
    """Any sound as float32 at 16 kHz, its peak at most 0.95."""
    whole = np.asarray(samples, dtype=np.float32)
    return _peak(whole if rate == SAMPLE_RATE else soxr.resample(whole, rate, SAMPLE_RATE).astype(np.float32))


def _peak(samples: Samples) -> Samples:
    peak = float(np.abs(samples).max(initial=0.0))
    return samples * np.float32(0.95 / peak) if peak > 0.95 else samples
