"""Audio between the wire's formats and the house: base64 in, bytes out, at whatever rate each side has.

One object per stream, so that rate conversion has no seams. It knows formats and rates, not who speaks.
"""

from __future__ import annotations

import base64
import binascii
from fractions import Fraction
from typing import Any

from agent.audio import RateConverter, Samples, from_alaw, from_pcm16, from_ulaw, to_alaw, to_pcm16, to_ulaw
from model.interface import SAMPLE_RATE

from .wire_error import WireError

RATES = {"audio/pcm": 24_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}  # Hz
MAX_BYTES = 15 * 2**20  # of one append, decoded
_READ = {"audio/pcm": from_pcm16, "audio/pcmu": from_ulaw, "audio/pcma": from_alaw}
_WRITE = {"audio/pcm": to_pcm16, "audio/pcmu": to_ulaw, "audio/pcma": to_alaw}


def converter(rate: int, to: int) -> RateConverter | None:
    """A stream converter between two rates in Hz; None when they are equal."""
    ratio = Fraction(to, rate)
    return None if ratio == 1 else RateConverter(ratio.numerator, ratio.denominator, rate)


class WireInput:
    """The user's audio on its way in: base64 of one format to float32 [n] at 16 kHz."""

    def __init__(self, kind: str) -> None:
        self._read = _READ[kind]
        self._rate = converter(RATES[kind], SAMPLE_RATE)

    def decode(self, data: Any) -> Samples:
        """The samples of one append. Raises WireError for what is no audio of this format."""
        if not isinstance(data, str):
            raise WireError("invalid_type", "audio must be a base64 text.", "Send base64.", "audio")
        try:
            raw = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise WireError("invalid_base64", "audio is not base64.", "Send standard base64.", "audio") from error
        if len(raw) > MAX_BYTES:
            raise WireError("audio_too_long", "One append holds at most 15 MiB.", "Send smaller pieces.", "audio")
        if self._read is from_pcm16 and len(raw) % 2:
            wrong = f"audio holds {len(raw)} bytes, which is an odd number."
            raise WireError("invalid_audio", wrong, "Send whole 16-bit samples.", "audio")
        pcm = self._read(raw)
        return self._rate.feed(pcm) if self._rate else pcm


class WireOutput:
    """A reply's audio on its way out: float32 [n] at the engine's rate to bytes of one format."""

    def __init__(self, kind: str, rate: int) -> None:
        self._write = _WRITE[kind]
        self._rate = converter(rate, RATES[kind])

    def encode(self, pcm: Samples) -> bytes:
        """The bytes of the next samples."""
        return self._write(self._rate.feed(pcm) if self._rate else pcm)

    def flush(self) -> bytes:
        """What rate conversion has kept back."""
        return self._write(self._rate.flush()) if self._rate else b""
