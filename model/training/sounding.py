"""Which state of a clip each of its units sounds: what the speech decoder learns and the token decoder is told.

Knows clips with phone times; nothing of nets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.nano.phones import INDEX
from model.nano.states import COMMA, END, QUESTION, STOP
from model.nano.units import UNIT_SAMPLES
from model.training.flite import PAUSE
from model.training.voice_data import VoiceClip


def symbols_of(clip: VoiceClip) -> tuple[list[int], list[int]]:
    """Symbols of a clip's states and whether each starts a word; END last."""
    symbols: list[int] = []
    starts: list[int] = []
    word = -1
    for phone, owner in zip(clip.phones, clip.owners, strict=True):
        if phone == PAUSE:
            mark = clip.after[word] if word >= 0 else ""
            last = len(symbols) == len(clip.phones) - 1
            kind = QUESTION if "?" in mark else STOP if last or any(m in mark for m in ".!") else COMMA
            symbols.append(kind)
            starts.append(0)
        else:
            symbols.append(INDEX[phone])
            starts.append(int(owner != word))
            word = owner
    return [*symbols, END], [*starts, 0]


def pointers_of(clip: VoiceClip, units: int) -> NDArray[np.int64]:
    """Number of the state that sounds in the middle of each of ``units`` units [units]; never that of END."""
    middles = np.arange(units) * UNIT_SAMPLES + UNIT_SAMPLES // 2
    pointers = np.searchsorted(np.array(clip.ends), middles, side="right")
    return np.minimum(pointers, len(clip.phones) - 1).astype(np.int64)
