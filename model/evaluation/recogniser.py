"""An independent recogniser for comparison: pocketsphinx with the acoustic and language model it comes with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pocketsphinx import Decoder

from model.interface import SAMPLE_RATE


class Sphinx:
    """Decodes one clip at a time, as a whole."""

    def __init__(self) -> None:
        self._decoder: Any = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")

    def hear(self, samples: NDArray[np.float32]) -> str:
        """What it writes down of float32 samples [n] at 16 kHz; "" for nothing."""
        self._decoder.start_utt()
        self._decoder.process_raw((samples * 32767).astype("<i2").tobytes(), full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return str(found.hypstr) if found is not None else ""
