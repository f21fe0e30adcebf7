"""How well replies can be understood, and how quickly they come: nano's voice beside the voice it learnt from.

    python -m benchmarks.voice --data DATA [--count 50] [--pictures FOLDER]

Says agent turns of the development exchanges of DATA in four ways: by flite `slt` itself, by the vocoder from
flite's frames, from units of flite's frames, and by nano from the written text. pocketsphinx writes down what it
hears. Prints a Markdown table and, as its last line, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model.evaluation.recogniser import Sphinx
from model.interface import DELIVERIES
from model.nano import vocoder, weights
from model.nano.config import UnitsConfig
from model.nano.frames import HOP, SAMPLE_RATE
from model.nano.token2wav import Token2Wav
from model.nano.units import UNIT_SAMPLES, UnitEncoder
from model.nano.voice import ENCODER, Voice, spoken_words
from model.training import exchanges
from model.training.edits import edit_distance
from model.training.flite import Flite
from model.training.prepare import spoken
from model.training.voice_data import LEVEL, Line, frames_of, lines_of, speakable
from model.training.voices import DELIVERIES as PROSODY

Sound = NDArray[np.float32]
WAYS = ("source voice", "vocoder", "units", "nano")


@dataclass
class Tally:
    """What one way of speaking came to."""

    errors: int = 0
    words: int = 0
    seconds: float = 0.0
    levels: list[float] = field(default_factory=list)
    peak: float = 0.0

    def add(self, truth: str, heard: str, sound: Sound) -> None:
        """Count one reply."""
        self.errors += edit_distance(truth.split(), heard.split())
        self.words += len(truth.split())
        self.seconds += len(sound) / SAMPLE_RATE
        self.levels.append(float(20 * np.log10(np.sqrt(np.mean(sound**2)) + 1e-9)))
        self.peak = max(self.peak, float(np.abs(sound).max()))


@dataclass
class Pace:
    """How quickly nano speaks."""

    processor_s: float = 0.0
    firsts: list[float] = field(default_factory=list)  # wall seconds


class Bench:
    """The four ways of saying a line."""

    def __init__(self) -> None:
        self.voice, self.flite, self.synth = Voice.load(), Flite(), vocoder.Vocoder()
        self.encoder = UnitEncoder(UnitsConfig())
        weights.load(self.encoder, ENCODER)
        self.pace = Pace()

    @torch.inference_mode()
    def say(self, line: Line) -> dict[str, Sound]:
        """One sound for each of WAYS."""
        prosody, number = PROSODY[line.delivery], DELIVERIES.index(line.delivery)
        said = self.flite.speak(speakable(line.text), prosody)
        count = len(said.samples) // UNIT_SAMPLES * UNIT_SAMPLES // HOP
        frames = torch.from_numpy(frames_of(said, prosody.gain_db, 0, count))[None]
        noise = torch.randn(1, HOP * (count + vocoder.LATE), generator=torch.Generator().manual_seed(0))
        units = self.voice.codebook.indices(self.encoder(frames, torch.tensor([number])))[0].tolist()
        rest = Token2Wav(self.voice.decoder, self.voice.codebook, self.synth, number, torch.Generator().manual_seed(0))
        gain = LEVEL * 10 ** (prosody.gain_db / 20)
        sounds = (
            (said.samples * gain).astype(np.float32),
            self.synth.at_once(frames, noise)[0].numpy(),
            np.concatenate((rest.push(units), rest.flush())),
            self._nano(line),
        )
        return dict(zip(WAYS, sounds, strict=True))

    def _nano(self, line: Line) -> Sound:
        words = spoken_words((word, None) for word in speakable(line.text).split())
        parts: list[Sound] = []
        began, worked = time.perf_counter(), time.process_time()
        for piece in self.voice.speak(words, line.delivery, torch.Generator().manual_seed(1)):
            if not parts:
                self.pace.firsts.append(time.perf_counter() - began)
            parts.append(piece.pcm)
        self.pace.processor_s += time.process_time() - worked
        return np.concatenate(parts)


def pictured(sounds: dict[str, Sound], path: Path) -> None:
    """Spectrograms of all ways below each other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(sounds), 1, figsize=(12, 2.6 * len(sounds)))
    for axis, (way, sound) in zip(axes, sounds.items(), strict=True):
        axis.specgram(sound + 1e-6, NFFT=512, Fs=SAMPLE_RATE, noverlap=384, vmin=-130, vmax=-40)
        axis.set_ylabel(way)
    figure.tight_layout()
    figure.savefig(path, dpi=70)
    pyplot.close(figure)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = [one for path in sorted(options.data.glob("exchanges/*.exchanges")) for one in exchanges.read(path)]
    lines = [line for line in lines_of(found, [], []) if line.split == "dev"][: options.count]
    bench, ear, tallies = Bench(), Sphinx(), {way: Tally() for way in WAYS}
    for number, line in enumerate(lines):
        sounds = bench.say(line)
        for way, sound in sounds.items():
            tallies[way].add(spoken(line.text), spoken(ear.hear(sound)), sound)
        if options.pictures is not None and number < 3:
            options.pictures.mkdir(parents=True, exist_ok=True)
            pictured(sounds, options.pictures / f"voice-{number}.png")
    report(tallies, bench.pace)


def report(tallies: dict[str, Tally], pace: Pace) -> None:
    """Table and JSON."""
    base = tallies[WAYS[0]].errors / tallies[WAYS[0]].words
    print("| voice | WER | above source | level dBFS | peak | length |\n|---|---|---|---|---|---|")
    for way, tally in tallies.items():
        wer = tally.errors / tally.words
        level, length = np.mean(tally.levels), tally.seconds / tallies[WAYS[0]].seconds
        print(f"| {way} | {wer:.3f} | {wer - base:+.3f} | {level:.1f} | {tally.peak:.2f} | {length:.2f} |")
    speed, first = tallies["nano"].seconds / pace.processor_s, 1000 * float(np.median(pace.firsts))
    print(f"\nnano makes {speed:.1f} s of sound in one second of one core; first piece after {first:.0f} ms (median).")
    figures = {way: round(tally.errors / tally.words, 4) for way, tally in tallies.items()}
    print(json.dumps({"wer": figures, "speed": round(speed, 2), "first_piece_ms": round(first, 1)}))


if __name__ == "__main__":
    main()
