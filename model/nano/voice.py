"""Nano's voice: words in, units and sound out, piece by piece.

Puts speech decoder, token decoder and vocoder in a row and keeps count of samples, so that the end of every
word is known. It does not know who speaks, to whom or why.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model.interface import DELIVERIES
from model.nano import weights
from model.nano.config import SpeechDecoderConfig, UnitsConfig
from model.nano.lexicon import pronounce
from model.nano.sampling import SamplingSettings, Speaking
from model.nano.speech_decoder import SpeechDecoder
from model.nano.states import SpeechError, SpokenWord, pause_after, states_of
from model.nano.token2wav import Token2Wav
from model.nano.units import UNIT_SAMPLES, Codebook, TokenDecoder
from model.nano.vocoder import Vocoder

PIECES = (8, 8, 12, 16)  # units in the first pieces; the last number holds from there on
SPEECH_DECODER, TOKEN_DECODER, CODEBOOK = "voice-speech-decoder", "voice-token-decoder", "voice-codebook"
ENCODER = "voice-encoder"  # only to make units from recordings of the voice


@dataclass(frozen=True, eq=False)
class VoicePiece:
    """A part of a reply: units, sound float32 [n] at 16 kHz, and (word, end sample of the reply) of words that end."""

    units: tuple[int, ...]
    pcm: NDArray[np.float32]
    word_ends: tuple[tuple[int, int], ...]


def spoken_words(words: Iterable[tuple[str, torch.Tensor | None]]) -> Iterator[SpokenWord]:
    """Written words with their LLM states [256], pronounced by the lexicon, one by one as they come."""
    for text, hidden in words:
        yield SpokenWord(text, tuple(pronounce(text)), hidden, pause_after(text))


class Voice:
    """The default voice, loaded once; every reply has a state of its own."""

    def __init__(
        self, net: SpeechDecoder, decoder: TokenDecoder, codebook: Codebook, settings: SamplingSettings | None = None
    ) -> None:
        self.net, self.decoder, self.codebook = net.eval(), decoder.eval(), codebook.eval()
        self.settings = settings or SamplingSettings()
        self._vocoder = Vocoder()

    @staticmethod
    def load(folder: Path | None = None) -> Voice:
        """The shipped voice, or the one in ``folder``. Raises WeightsError."""
        units = UnitsConfig()
        net, decoder, codebook = SpeechDecoder(SpeechDecoderConfig()), TokenDecoder(units), Codebook(units)
        weights.load(net, SPEECH_DECODER, folder)
        weights.load(decoder, TOKEN_DECODER, folder)
        weights.load(codebook, CODEBOOK, folder)
        return Voice(net, decoder, codebook)

    def speak(
        self,
        words: Iterable[SpokenWord],
        delivery: str,
        generator: torch.Generator,
        cancelled: Callable[[], bool] | None = None,
    ) -> Generator[VoicePiece, None, None]:
        """Say ``words`` (read as they are needed) in one of DELIVERIES.

        All word ends come, the last at the last sound of the reply at the latest; every unit stands for 640
        samples. Ends within one unit when ``cancelled()`` says so, and then gives nothing more. Raises
        SpeechError for a delivery, phone or mark that is not known.
        """
        if delivery not in DELIVERIES:
            raise SpeechError(f"The delivery {delivery!r} is unknown.", f"Use one of {', '.join(DELIVERIES)}.")
        number = DELIVERIES.index(delivery)
        speaking = Speaking(self.net, states_of(words), number, generator, self.settings)
        # Noise has a generator of its own, so that units do not depend on how they are cut into pieces.
        seed = int(torch.randint(2**31, (), generator=generator))
        noise = torch.Generator().manual_seed(seed)
        sound = Token2Wav(self.decoder, self.codebook, self._vocoder, number, noise)
        return self._pieces(speaking, sound, cancelled or (lambda: False))

    def _pieces(
        self, speaking: Speaking, sound: Token2Wav, cancelled: Callable[[], bool]
    ) -> Generator[VoicePiece, None, None]:
        units: list[int] = []
        symbols: list[int] = []
        ends: list[tuple[int, int]] = []
        total = played = number = 0
        while not cancelled():
            step = speaking.step()
            if step is not None:
                total += 1
                units.append(step.unit)
                symbols.append(step.symbol)
                ends += [(word, total * UNIT_SAMPLES) for word in step.ended]
                if len(units) < PIECES[min(number, len(PIECES) - 1)]:
                    continue
            pcm = sound.push(units, symbols)
            if step is None:
                pcm = np.concatenate((pcm, sound.flush()))
            played += len(pcm)
            over = [end for end in ends if end[1] <= played or step is None]
            if units or len(pcm):
                yield VoicePiece(tuple(units), pcm, tuple(over))
            ends, units, symbols, number = ends[len(over) :], [], [], number + 1
            if step is None:
                return
