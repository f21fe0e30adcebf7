"""How well replies are spoken: understood by an independent recogniser, pitched as planned, told apart by delivery.

The source is the voice that the engine's voice was learnt from, where it is installed; without it only the engine is
measured. Knows lines of text and sounds, no exchanges and no models.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import soxr

from model.evaluation.deliveries import measures, recognised
from model.evaluation.prosody import PitchErrors, Sound, track
from model.evaluation.rates import Rate, difference
from model.evaluation.recogniser import Sphinx
from model.inference.tasks import Request, Surface
from model.interface import DELIVERIES, SAMPLE_RATE, PoiseError
from model.training.voices import DELIVERIES as PROSODY
from model.training.wording import spoken

CONTROL_LINES = 12  # each said in all deliveries
Say = Callable[[str, str], Sound]  # text and delivery -> float32 [n] at 16 kHz
Line = tuple[str, str]  # text, delivery


def flite() -> Say | None:
    """The voice that nano's was learnt from, with the prosody planned for each delivery; None where not installed."""
    from model.training.flite import Flite
    from model.training.voice_data import LEVEL, speakable

    try:
        voice = Flite()
    except RuntimeError:
        return None

    def say(text: str, delivery: str) -> Sound:
        prosody = PROSODY[delivery]
        return voice.speak(speakable(text), prosody).samples * np.float32(LEVEL * 10 ** (prosody.gain_db / 20))

    return say


class Speaker:
    """The engine's voice as `Say`, with a count of what speaking cost."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self.wall = self.processor = self.seconds = 0.0

    def __call__(self, text: str, delivery: str) -> Sound:
        """Speak; raises PoiseError where the engine cannot."""
        wall, processor = time.perf_counter(), time.process_time()
        (answer,) = self._surface.do(["speak"], Request(text=text, delivery=delivery))
        self.wall += time.perf_counter() - wall
        self.processor += time.process_time() - processor
        rate = answer.rate or SAMPLE_RATE
        self.seconds += len(answer.pcm) / rate
        pcm = answer.pcm if rate == SAMPLE_RATE else soxr.resample(answer.pcm, rate, SAMPLE_RATE)
        return np.asarray(pcm, np.float32)

    def figures(self) -> dict[str, float | None]:
        """Real-time factors: seconds of work by seconds of speech."""
        return {
            "wall": round(self.wall / self.seconds, 4) if self.seconds else None,
            "processor": round(self.processor / self.seconds, 4) if self.seconds else None,
        }


def evaluate(
    surface: Surface, lines: Sequence[Line], sphinx: Sphinx, source: Say | None, control: int = CONTROL_LINES
) -> dict[str, Any]:
    """Figures over ``lines``; the first ``control`` texts of them are also said in every delivery."""
    speaker = Speaker(surface)
    ways: dict[str, Say] = {surface.name: speaker} | ({"source": source} if source is not None else {})
    rates, pitch, failed = {way: Rate() for way in ways}, PitchErrors(), dict[str, str]()
    for text, delivery in lines:
        try:
            sounds = {way: say(text, delivery) for way, say in ways.items()}
        except (PoiseError, ValueError) as error:
            failed[text] = str(error)
            continue
        for way, sound in sounds.items():
            rates[way].add(spoken(text), spoken(sphinx.hear(sound)))
        if source is not None:
            pitch.add(track(sounds["source"]), track(sounds[surface.name]))
    said = [text for text in dict.fromkeys(text for text, _ in lines) if text not in failed][:control]
    return {
        "lines": len(lines) - len(failed),
        "failed": failed,
        "wer": {way: rate.figures() for way, rate in rates.items()},
        "wer_above_source": difference(rates[surface.name], rates["source"]) if source is not None else None,
        "against_source": pitch.figures() if source is not None else None,
        "delivery_control": {way: told(say, said) for way, say in ways.items()} if len(said) > 1 else None,
        "real_time_factor": speaker.figures(),
    }


def told(say: Say, texts: Iterable[str]) -> dict[str, Any]:
    """How well the delivery can be told when each of two or more texts is said in all of them."""
    spoken_so = [(text, delivery) for text in texts for delivery in DELIVERIES]
    rows = np.stack([measures(say(text, delivery), len(text.replace(" ", ""))) for text, delivery in spoken_so])
    return recognised(rows, [delivery for _, delivery in spoken_so], [text for text, _ in spoken_so])
