"""Audio of samples: bytes and samples from a file or a tar, and back to the form the formats want.

Knows where bytes lie and how they are coded; not what was said.
"""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
from numpy.typing import NDArray

from model.training.data.item import FieldError, Sound

SAMPLE_RATE = 16_000
SUFFIXES = ("wav", "flac", "ogg", "opus", "mp3", "m4a", "wma")  # of audio members in tars
MISSING, DAMAGED = "audio is missing", "audio cannot be read"


def content(sound: Sound) -> bytes:
    """The coded bytes of a sound, without its cut. Raises FieldError where they are not there."""
    try:
        with Path(sound.path).open("rb") as file:
            file.seek(sound.offset)
            found = file.read(sound.size) if sound.size else file.read()
    except OSError as error:
        raise FieldError(MISSING, f"{sound.path}: {error.strerror}") from error
    if not found or len(found) < sound.size:
        raise FieldError(DAMAGED, f"{_label(sound)} is cut off" if found else f"{_label(sound)} is empty")
    return found


def existing(sound: Sound) -> str:
    """The path of a sound that is a whole file. Raises FieldError where it is not there."""
    if not Path(sound.path).is_file():
        raise FieldError(MISSING, sound.path)
    return sound.path


def load(sound: Sound) -> tuple[NDArray[np.float32], int]:
    """Samples (mono, float32 [n]) and their rate, cut as the sound says. Raises FieldError."""
    try:
        with sf.SoundFile(io.BytesIO(content(sound))) as file:
            rate = file.samplerate
            first = round((sound.start or 0.0) * rate)
            last = len(file) if sound.end is None else min(round(sound.end * rate), len(file))
            if not 0 <= first < last:
                raise FieldError("cut lies outside the audio", f"{_label(sound)} has {len(file) / rate:.2f} s")
            file.seek(first)
            samples = file.read(last - first, dtype="float32", always_2d=True)
    except (sf.LibsndfileError, RuntimeError) as error:
        raise FieldError(DAMAGED, f"{_label(sound)}: {str(error).strip()[:80]}") from error
    return samples.mean(1, dtype=np.float32), rate


def load_16k(sound: Sound) -> NDArray[np.float32]:
    """Samples at 16 kHz. Raises FieldError."""
    samples, rate = load(sound)
    return samples if rate == SAMPLE_RATE else soxr.resample(samples, rate, SAMPLE_RATE).astype(np.float32)


def seconds(sound: Sound) -> float:
    """Length from the header, cut as the sound says. Raises FieldError."""
    try:
        about = sf.info(io.BytesIO(content(sound)) if sound.size else existing(sound))
    except (sf.LibsndfileError, RuntimeError) as error:
        raise FieldError(DAMAGED, f"{_label(sound)}: {str(error).strip()[:80]}") from error
    end = about.duration if sound.end is None else min(sound.end, about.duration)
    return float(max(end - (sound.start or 0.0), 0.0))


def wav_16k(sound: Sound) -> bytes:
    """The sound as a 16 kHz mono 16-bit WAV; bytes that are one already are not touched. Raises FieldError."""
    raw = content(sound)
    if sound.start is None and sound.end is None and _is_wav_16k(raw):
        return raw
    return coded(load_16k(sound), SAMPLE_RATE, "WAV")


def coded(samples: NDArray[np.float32], rate: int, form: str) -> bytes:
    """Samples as a file of 16 bits a sample: ``form`` WAV or FLAC."""
    buffer = io.BytesIO()
    sf.write(buffer, np.clip(samples, -1.0, 1.0), rate, format=form, subtype="PCM_16")
    return buffer.getvalue()


def _is_wav_16k(raw: bytes) -> bool:
    try:
        about = sf.info(io.BytesIO(raw))
    except (sf.LibsndfileError, RuntimeError):
        return False
    wanted = ("WAV", "PCM_16", SAMPLE_RATE, 1)
    return (about.format, about.subtype, about.samplerate, about.channels) == wanted


def resolved(sound: Sound, folder: Path) -> Sound:
    """The sound with its real path: as written, else below ``folder`` (where the list lies)."""
    path = Path(sound.path).expanduser()
    below = folder / path
    real = path if path.is_absolute() or not below.exists() else below
    return sound.model_copy(update={"path": str(real)})


class Placer:
    """Gives every sound a path that a list file at ``home`` can name.

    A whole file stays where it is. What lies in a tar, or is a cut of a file, is written into ``folder``.
    """

    def __init__(self, home: Path, folder: Path) -> None:
        self._home, self._folder = home.resolve(), folder.resolve()
        self._taken: set[str] = set()

    def place(self, sound: Sound, name: str, cuts: bool = False) -> Sound:
        """The sound under a path beside the list. ``cuts``: the list can name a cut. Raises FieldError."""
        is_cut = sound.start is not None or sound.end is not None
        if not sound.size and (cuts or not is_cut):
            path = Path(existing(sound)).resolve()
            return sound.model_copy(update={"path": self._named(path)})
        if is_cut:
            samples, rate = load(sound)
            suffix, raw = "flac", coded(samples, rate, "FLAC")
        else:
            suffix, raw = _suffix(sound), content(sound)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._free(file_name(name))}.{suffix}"
        path.write_bytes(raw)
        return Sound(path=self._named(path))

    def _free(self, name: str) -> str:
        """A name of its own for every sound: KEY_2 may be the second clip of KEY or the first of KEY_2."""
        free, number = name, 2
        while free in self._taken:
            free, number = f"{name}~{number}", number + 1
        self._taken.add(free)
        return free

    def _named(self, path: Path) -> str:
        return path.relative_to(self._home).as_posix() if path.is_relative_to(self._home) else str(path)


def file_name(key: str) -> str:
    """A key as the name of a file: what could lead elsewhere is replaced, and then a hash keeps names apart."""
    plain = re.sub(r"[^\w.~-]", "_", key).strip(".")[:100]
    if plain == key:
        return plain
    return f"{plain}-{hashlib.blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=4).hexdigest()}"


def _suffix(sound: Sound) -> str:
    """``wav`` of ``KEY.wav`` and of ``KEY.wav_1``."""
    suffix = re.sub(r"_\d+$", "", (sound.name or sound.path).rpartition(".")[2].lower())
    return suffix if suffix in SUFFIXES else "wav"


def _label(sound: Sound) -> str:
    return f"{sound.path}:{sound.name}" if sound.name else sound.path
