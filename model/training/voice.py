"""Makes nano's voice from texts alone: renders, fits units, trains both decoders, writes the weights.

Knows the order of the stages and which files they leave; what a stage does is its own file's business. Every
stage continues where an earlier run stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from model.nano import voice, weights
from model.nano.speech_decoder import SpeechDecoder
from model.nano.units import Tokenizer
from model.training import corpora, exchanges, speech_decoder, units
from model.training.voice_data import Line, VoiceData, lines_of, render

READ = ("libri", "lj", "cv1")  # read texts for coverage; only their words are used
READ_LIMIT = 700  # texts of each
READ_WORDS = (3, 25)


def texts(data: Path, scenes: list[Path]) -> list[Line]:
    """All lines to be said: agent turns of the exchanges, replies of scenes (JSON lines), read texts."""
    found = [one for path in sorted((data / "exchanges").glob("*.exchanges")) for one in exchanges.read(path)]
    replies = [json.loads(line) for path in scenes for line in path.read_text(encoding="utf-8").splitlines()]
    return lines_of(found, replies, _read(data / "speech"))


def _read(speech: Path) -> Iterator[tuple[str, str]]:
    for name in READ:
        if not (speech / name / "metadata.jsonl").is_file():
            continue
        rows = [row for row in corpora.rows(speech / name, split="train") if row["text"]]
        rows = [row for row in rows if READ_WORDS[0] <= len(row["text"].split()) <= READ_WORDS[1]]
        yield from ((row["id"], row["text"]) for row in rows[:READ_LIMIT])


def make(data: Path, scenes: list[Path], work: Path, out: Path, units_minutes: float, decoder_minutes: float) -> None:
    """Everything from texts to weights in ``out``; ``work`` keeps clips and checkpoints.

    Raises RuntimeError where flite is not installed.
    """
    render(texts(data, scenes), work / "clips")
    clips = VoiceData(work / "clips")
    tokenizer = units.train(clips, work / "units", units_minutes)
    net = speech_decoder.train(clips, tokenizer, work / "speech_decoder", decoder_minutes)
    save(tokenizer, net, out)


def save(tokenizer: Tokenizer, net: SpeechDecoder, out: Path) -> None:
    """Write the four weight files of the voice."""
    weights.save(net, voice.SPEECH_DECODER, out)
    weights.save(tokenizer.decoder, voice.TOKEN_DECODER, out)
    weights.save(tokenizer.codebook, voice.CODEBOOK, out)
    weights.save(tokenizer.encoder, voice.ENCODER, out)
