"""Units to PCM as they come: token decoder and vocoder in a row, for one reply.

Knows streams and their delays; sounds the same in whatever portions the units come. Sound follows its unit
by 110 ms (2 units and 3 frames), and ``flush`` gives the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from model.nano import vocoder
from model.nano.causal import State
from model.nano.frames import CEPSTRUM, CHANNELS, HOP, silence
from model.nano.states import END, SpeechError
from model.nano.units import UNIT_FRAMES, UNTOLD, Codebook, TokenDecoder

PEAK = 0.95


class Token2Wav:
    """One reply's way from units to sound; noise is drawn from ``generator``."""

    def __init__(
        self, decoder: TokenDecoder, codebook: Codebook, voice: vocoder.Vocoder, delivery: int,
        generator: torch.Generator,
    ) -> None:  # fmt: skip
        self._decoder, self._codebook, self._vocoder = decoder, codebook, voice
        self._delivery = torch.tensor([delivery])
        self._generator = generator
        self._net: tuple[State, State] | None = None
        self._skip = decoder.config.delay * UNIT_FRAMES
        self._waiting = torch.zeros(1, 0, CHANNELS)
        self._stream: vocoder.VocoderState | None = None
        self._units = 0

    @torch.inference_mode()
    def push(self, units: Sequence[int], symbols: Sequence[int] | None = None) -> NDArray[np.float32]:
        """Sound [n] that these units (0..1023) complete; may be empty.

        ``symbols``: for each unit the symbol of the state that it sounds, where known: speech is clearer with them.
        Raises SpeechError for an unknown unit.
        """
        codes = len(self._codebook.table)
        if any(not 0 <= unit < codes for unit in units):
            raise SpeechError(f"A unit is not in 0..{codes - 1}.", "Decode with the tokenizer that made the units.")
        if not units:
            return np.zeros(0, dtype=np.float32)
        self._units += len(units)
        told = torch.tensor([list(symbols) if symbols is not None else [UNTOLD] * len(units)])
        return self._sound(self._frames(self._codebook.vectors(torch.tensor([list(units)])), told))

    @torch.inference_mode()
    def flush(self) -> NDArray[np.float32]:
        """The rest, so that every unit has given 640 samples."""
        if not self._units:
            return np.zeros(0, dtype=np.float32)
        delay = self._decoder.config.delay
        end = self._frames(torch.zeros(1, delay, self._codebook.table.shape[1]), torch.full((1, delay), END))
        return self._sound(torch.cat((end, silence(1, vocoder.LATE)), 1))

    def _frames(self, vectors: torch.Tensor, symbols: torch.Tensor) -> torch.Tensor:
        late, self._net = self._decoder(vectors, symbols, self._delivery, self._net)
        drop, self._skip = min(self._skip, late.shape[1]), max(self._skip - late.shape[1], 0)
        frames: torch.Tensor = late[:, drop:].clone()
        frames[..., CEPSTRUM + 1] = frames[..., CEPSTRUM + 1].sigmoid()
        return frames

    def _sound(self, frames: torch.Tensor) -> NDArray[np.float32]:
        self._waiting = torch.cat((self._waiting, frames), 1)
        count = self._waiting.shape[1]
        if count == 0 or (self._stream is None and count <= vocoder.LATE):
            return np.zeros(0, dtype=np.float32)
        wanted = HOP * (count - 1 if self._stream is None else count)
        noise = torch.randn(1, wanted, generator=self._generator)
        wave, self._stream = self._vocoder(self._waiting, noise, self._stream or vocoder.begin())
        self._waiting = self._waiting[:, :0]
        sound: NDArray[np.float32] = wave[0].clamp(-PEAK, PEAK).numpy()
        return sound
