"""Renders speech with libflite in this process, with phone times and the tracks its vocoder speaks from.

Knows flite's C structures, its phone names and its tracks; not what is said or what for. It needs
Debian's `libflite1`; only training uses it, so nothing at run time depends on it.
"""

from __future__ import annotations

import ctypes as c
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.nano.phones import PHONES
from model.training.voices import Prosody

SAMPLE_RATE = 16_000
PAUSE = "pau"
TRACK_STEP = 80  # samples between frames of flite's tracks
_SLT_F0, _SLT_SPREAD = 170.0, 0.2
_RENAMED = {"ax": "AH", "axr": "ER", "el": "L", "em": "M", "en": "N", "ix": "IH", "nx": "N", "dx": "D", "hv": "HH"}
# Flite keeps the address of a feature's name, so these must stay alive.
_KNOBS = tuple(c.c_char_p(name) for name in (b"duration_stretch", b"int_f0_target_mean", b"int_f0_target_stddev"))
_SPEED = c.c_char_p(b"mlsa_speed_param")  # coefficients its filter leaves out
_WORD = b"R:SylStructure.parent.parent"


@dataclass(frozen=True)
class Segment:
    """One phone (of `PHONES`, or ``pau``): the sample at which it ends, and the number of its word (-1: none)."""

    phone: str
    end: int
    word: int


@dataclass(frozen=True)
class Utterance:
    """What flite said: float32 samples [n] at 16 kHz, and segments.

    ``frames`` float32 [m, 31], 200 a second, are what its vocoder spoke from: pitch in Hz (0: unvoiced), 25
    mel-cepstral coefficients, and the strengths of pulses in five bands (0..1).
    """

    samples: NDArray[np.float32]
    segments: tuple[Segment, ...]
    words: tuple[str, ...]  # as written
    after: tuple[str, ...]  # punctuation that follows each word
    frames: NDArray[np.float32]


class _VoiceStruct(c.Structure):
    _fields_ = (("name", c.c_char_p), ("features", c.c_void_p))


class _WaveStruct(c.Structure):
    _fields_ = (
        ("type", c.c_char_p),
        ("rate", c.c_int),
        ("count", c.c_int),
        ("channels", c.c_int),
        ("samples", c.POINTER(c.c_short)),
    )


class _TrackStruct(c.Structure):
    _fields_ = (
        ("type", c.c_char_p),
        ("count", c.c_int),
        ("channels", c.c_int),
        ("times", c.POINTER(c.c_float)),
        ("frames", c.POINTER(c.POINTER(c.c_float))),
    )


class _UtteranceStruct(c.Structure):
    _fields_ = (("features", c.c_void_p),)


_SIGNATURES: dict[str, tuple[object, ...]] = {  # result, then arguments
    "flite_init": (c.c_int,),
    "flite_synth_text": (c.c_void_p, c.c_char_p, c.c_void_p),
    "delete_utterance": (None, c.c_void_p),
    "utt_wave": (c.c_void_p, c.c_void_p),
    "utt_relation": (c.c_void_p, c.c_void_p, c.c_char_p),
    "relation_head": (c.c_void_p, c.c_void_p),
    "item_next": (c.c_void_p, c.c_void_p),
    "item_feat_string": (c.c_char_p, c.c_void_p, c.c_char_p),
    "item_feat_float": (c.c_float, c.c_void_p, c.c_char_p),
    "ffeature_string": (c.c_char_p, c.c_void_p, c.c_char_p),
    "path_to_item": (c.c_void_p, c.c_void_p, c.c_char_p),
    "feat_set_float": (None, c.c_void_p, c.c_char_p, c.c_float),
    "feat_set_int": (None, c.c_void_p, c.c_char_p, c.c_int),
    "feat_val": (c.c_void_p, c.c_void_p, c.c_char_p),
    "val_track": (c.c_void_p, c.c_void_p),
    "val_cg_db": (c.c_void_p, c.c_void_p),
    "mlpg": (c.c_void_p, c.c_void_p, c.c_void_p),  # means and variances -> smooth track
    "delete_track": (None, c.c_void_p),
}


class Flite:
    """The voice `slt`. Not thread-safe: flite keeps state in the voice."""

    def __init__(self) -> None:
        """Load the libraries; raises RuntimeError where they are not installed."""
        try:
            self._lib = c.CDLL("libflite.so.1", mode=c.RTLD_GLOBAL)
            for part in ("usenglish", "cmulex"):
                c.CDLL(f"libflite_{part}.so.1", mode=c.RTLD_GLOBAL)
            voices = c.CDLL("libflite_cmu_us_slt.so.1", mode=c.RTLD_GLOBAL)
        except OSError as error:
            raise RuntimeError("libflite is not installed. Install it (Debian: apt-get install libflite1).") from error
        for name, (result, *arguments) in _SIGNATURES.items():
            function = getattr(self._lib, name)
            function.restype, function.argtypes = result, arguments
        self._lib.flite_init()
        register = voices.register_cmu_us_slt
        register.restype, register.argtypes = c.c_void_p, [c.c_char_p]
        self._voice = register(None)
        self._features = c.cast(self._voice, c.POINTER(_VoiceStruct)).contents.features

    def speak(self, text: str, prosody: Prosody, draft: bool = False) -> Utterance:
        """Say ``text``; gain is left to the caller. A ``draft`` is quicker: its tracks are right, its wave is not.

        Raises ValueError if flite found nothing to say.
        """
        self._lib.feat_set_int(self._features, _SPEED, 20 if draft else 0)
        values = (1.0 / prosody.rate, _SLT_F0 * prosody.pitch, _SLT_F0 * _SLT_SPREAD * prosody.spread)
        for name, value in zip(_KNOBS, values, strict=True):
            self._lib.feat_set_float(self._features, name, value)
        utterance = self._lib.flite_synth_text(text.encode("ascii", "ignore"), self._voice)
        try:
            wave = c.cast(self._lib.utt_wave(utterance), c.POINTER(_WaveStruct)).contents
            pcm = np.ctypeslib.as_array(wave.samples, (wave.count,)).astype(np.float32) / 32768.0
            segments, words, after = self._segments(utterance)
            if not words:
                raise ValueError(f"Nothing to say in {text!r}.")
            return Utterance(pcm, segments, words, after, self._tracks(utterance))
        finally:
            self._lib.delete_utterance(utterance)

    def _segments(self, utterance: int) -> tuple[tuple[Segment, ...], tuple[str, ...], tuple[str, ...]]:
        lib = self._lib
        found: list[Segment] = []
        words: list[str] = []
        after: list[str] = []
        last_token = None
        item = lib.relation_head(lib.utt_relation(utterance, b"Segment"))
        while item:
            name = lib.item_feat_string(item, b"name").decode()
            end = round(lib.item_feat_float(item, b"end") * SAMPLE_RATE)
            token = None if name == PAUSE else lib.path_to_item(item, _WORD + b".R:Token.parent")
            if name != PAUSE and token != last_token:
                words.append(lib.ffeature_string(item, _WORD + b".R:Token.parent.name").decode())
                after.append(lib.ffeature_string(item, _WORD + b".R:Token.parent.punc").decode())
                last_token = token
            found.append(Segment(_phone(name), end, -1 if name == PAUSE else len(words) - 1))
            item = lib.item_next(item)
        return tuple(found), tuple(words), tuple(after)

    def _tracks(self, utterance: int) -> NDArray[np.float32]:
        lib, features = self._lib, c.cast(utterance, c.POINTER(_UtteranceStruct)).contents.features
        database = lib.val_cg_db(lib.feat_val(self._features, b"cg_db"))
        smooth = lib.mlpg(lib.val_track(lib.feat_val(features, b"param_track")), database)
        try:
            strengths = lib.val_track(lib.feat_val(features, b"str_track"))
            return np.concatenate((_array(smooth), _array(strengths)), 1)
        finally:
            lib.delete_track(smooth)


def _array(track: int) -> NDArray[np.float32]:
    """A copy of a track, [frames, channels]."""
    contents = c.cast(track, c.POINTER(_TrackStruct)).contents
    size = c.sizeof(c.c_float) * contents.channels
    rows = b"".join(c.string_at(contents.frames[n], size) for n in range(contents.count))
    return np.frombuffer(rows, dtype=np.float32).reshape(contents.count, contents.channels)


def _phone(name: str) -> str:
    """Flite's lower-case radio phone as one of `PHONES`, or ``pau``."""
    if name == PAUSE:
        return PAUSE
    phone = _RENAMED.get(name, name.upper())
    if phone not in PHONES:
        raise ValueError(f"Unknown phone {name!r} from flite.")
    return phone
