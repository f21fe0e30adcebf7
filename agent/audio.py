"""Sound on its way in and out: files, sample rates, wire codings, chunks.

Data in, data out, no state but that of the streams. It does not know sessions, speech or sockets.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from model.interface import CHUNK_SAMPLES, SAMPLE_RATE, PoiseError

MAX_HOURS = 10
Samples = NDArray[np.float32]


class BadAudioError(PoiseError):
    """Sound that cannot be used: unreadable, empty, too long, or not made of finite numbers."""

    code = "bad_audio"


def decode(path: Path | str) -> Samples:
    """Read WAV, FLAC, OGG or MP3 as float32 [n], mono, 16 kHz. Raises BadAudioError."""
    path = Path(path)
    if not path.is_file():
        raise BadAudioError(f"{path} is not there.", "Check the path of the recording.")
    try:
        with soundfile.SoundFile(str(path)) as file:
            if file.frames > MAX_HOURS * 3600 * file.samplerate:
                raise BadAudioError(f"{path} is longer than {MAX_HOURS} hours.", "Cut it into shorter recordings.")
            pcm, rate = file.read(dtype="float32", always_2d=True), file.samplerate
    except (soundfile.SoundFileError, OSError, MemoryError) as error:
        raise BadAudioError(
            f"{path} cannot be read as audio: {_first(error)}.", "Give a WAV, FLAC, OGG or MP3."
        ) from None
    mono = pcm.mean(axis=1, dtype=np.float32)
    if not len(mono):
        raise BadAudioError(f"{path} holds no samples.", "Record it again.")
    return resample(check(mono), rate, SAMPLE_RATE)


def resample(pcm: Samples, rate: int, to: int) -> Samples:
    """All of a sound at another rate (soxr, high quality; for files, not for streams)."""
    return pcm if rate == to else np.ascontiguousarray(soxr.resample(pcm, rate, to, "HQ"), dtype=np.float32)


def check(pcm: NDArray[np.generic]) -> Samples:
    """The same samples as float32 [n]. Raises BadAudioError if they are not one row of finite numbers."""
    pcm = np.asarray(pcm)
    if pcm.ndim != 1 or not np.issubdtype(pcm.dtype, np.floating):
        raise BadAudioError(f"Audio came as {pcm.dtype} of shape {pcm.shape}.", "Send one row of floats from -1 to 1.")
    if not np.isfinite(pcm).all():
        raise BadAudioError("Audio holds samples that are not finite numbers.", "Send floats from -1 to 1.")
    return pcm.astype(np.float32, copy=False)


def _first(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


class Chunker:
    """Cuts a stream of any portions into chunks of 2,560 samples."""

    def __init__(self) -> None:
        self._kept: list[Samples] = []
        self._count = 0

    @property
    def waiting(self) -> int:
        """Samples that do not yet fill a chunk."""
        return self._count

    def feed(self, pcm: Samples) -> list[Samples]:
        """The chunks that are complete now, in order."""
        self._kept.append(pcm)
        self._count += len(pcm)
        if self._count < CHUNK_SAMPLES:
            return []
        whole, full = np.concatenate(self._kept), self._count // CHUNK_SAMPLES * CHUNK_SAMPLES
        self._kept, self._count = [whole[full:].copy()], self._count - full
        return [whole[i : i + CHUNK_SAMPLES].copy() for i in range(0, full, CHUNK_SAMPLES)]

    def flush(self) -> Samples | None:
        """What waits, filled up with silence to a chunk; None if nothing waits."""
        if not self._count:
            return None
        (chunk,) = self.feed(np.zeros(CHUNK_SAMPLES - self._count, dtype=np.float32))
        return chunk

    def clear(self) -> None:
        """Forget what waits."""
        self._kept, self._count = [], 0


class RateConverter:
    """A stream at ``up / down`` times its rate, without lumps: polyphase FIR, delay 1.5 ms.

    soxr's streams hold back 37 ms at this quality; this one gives every output sample as soon as its input is
    there. Kaiser window, about 80 dB; flat to 6.4 kHz between 16 and 24 kHz.
    """

    DELAY_S = 0.0015

    def __init__(self, up: int, down: int, rate: int) -> None:
        """``rate`` is that of the input in Hz."""
        self._up, self._down = up, down
        high = rate * up  # the rate at which the filter runs
        half = round(self.DELAY_S * high)
        stop = min(rate, high // down) / 2
        at = np.arange(-half, half + 1) / high
        cut = 2 * (stop - 800.0)  # centre of the transition, so that the stop band begins at Nyquist
        kernel = cut / high * np.sinc(cut * at) * np.kaiser(2 * half + 1, 8.0)
        kernel *= up / kernel.sum()
        per_phase = -(-len(kernel) // up)
        padded = np.zeros(per_phase * up)
        padded[: len(kernel)] = kernel
        # row r holds the taps an output of phase r applies to the newest, second newest, ... input
        self._phases = padded.reshape(per_phase, up).T[:, ::-1].copy()
        self._past = np.zeros(per_phase - 1)
        self._taken = 0  # input samples already in the past
        self._given = 0  # output samples made

    def feed(self, pcm: Samples) -> Samples:
        """Every output sample that ``pcm`` makes possible: float32, about ``len(pcm) * up / down``."""
        line = np.concatenate([self._past, pcm])
        last = (self._taken + len(pcm)) * self._up  # outputs lie below this position at the high rate
        places = np.arange(self._given, -(-last // self._down), dtype=np.int64) * self._down
        newest, phase = places // self._up - self._taken, places % self._up
        taps = self._phases.shape[1]
        made = np.zeros(len(places))
        if len(places):
            windows = np.lib.stride_tricks.sliding_window_view(line, taps)
            made = np.einsum("nt,nt->n", windows[newest], self._phases[phase])
        keep = len(self._past)
        self._past = line[len(line) - keep :]
        self._taken += len(pcm)
        self._given += len(places)
        return made.astype(np.float32)

    def flush(self) -> Samples:
        """The end of the sound, which the delay has kept back."""
        return self.feed(np.zeros(len(self._past), dtype=np.float32))


def to_16k() -> RateConverter:
    """24 kHz in, 16 kHz out."""
    return RateConverter(2, 3, 24_000)


def to_24k() -> RateConverter:
    """16 kHz in, 24 kHz out."""
    return RateConverter(3, 2, 16_000)


def from_pcm16(data: bytes) -> Samples:
    """Little-endian 16-bit samples to float32 -1..1. Raises BadAudioError for half a sample."""
    if len(data) % 2:
        raise BadAudioError(f"PCM16 came as {len(data)} bytes, which is an odd number.", "Send whole 16-bit samples.")
    return np.frombuffer(data, dtype="<i2").astype(np.float32) / 32768.0


def to_pcm16(pcm: Samples) -> bytes:
    """Float32 -1..1 to little-endian 16-bit samples, clipped."""
    data: bytes = np.clip(np.rint(pcm * 32768.0), -32768, 32767).astype("<i2").tobytes()
    return data


def _ulaw_table() -> Samples:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return (np.where(code & 0x80, -magnitude, magnitude) / 32768.0).astype(np.float32)


def _alaw_table() -> Samples:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent, mantissa = (code & 0x70) >> 4, code & 0x0F
    magnitude = np.where(exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0))
    return (np.where(code & 0x80, magnitude, -magnitude) / 32768.0).astype(np.float32)


_ULAW, _ALAW = _ulaw_table(), _alaw_table()  # ITU-T G.711: value of each of the 256 codes


def from_ulaw(data: bytes) -> Samples:
    """G.711 mu-law bytes to float32."""
    return _ULAW[np.frombuffer(data, dtype=np.uint8)]


def from_alaw(data: bytes) -> Samples:
    """G.711 A-law bytes to float32."""
    return _ALAW[np.frombuffer(data, dtype=np.uint8)]


def to_ulaw(pcm: Samples) -> bytes:
    """Float32 to G.711 mu-law bytes: the nearest code."""
    return _nearest(pcm, _ULAW)


def to_alaw(pcm: Samples) -> bytes:
    """Float32 to G.711 A-law bytes: the nearest code."""
    return _nearest(pcm, _ALAW)


def _nearest(pcm: Samples, table: Samples) -> bytes:
    order = np.argsort(table, kind="stable")
    levels = table[order]
    codes: NDArray[np.uint8] = order[np.searchsorted((levels[1:] + levels[:-1]) / 2, pcm)].astype(np.uint8)
    return codes.tobytes()
