"""What nano's voice is trained on: our own replies said by flite `slt`, as frames with phone times.

Knows which texts belong to which split and how clips are stored (frames.f16 and clips.jsonl); nothing of
models. Clips begin 40 ms before the first phone and end 120 ms after the last. Waves are not kept: the
vocoder has no weights.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model.nano.frames import CEPSTRUM, CHANNELS, HOP, LEVEL_SHIFT, scaled_pitch
from model.training.flite import PAUSE, TRACK_STEP, Flite, Utterance
from model.training.voices import DELIVERIES, steady_seed

UNIT_SAMPLES = 640  # samples a speech unit stands for
LEAD, TAIL = 640, 1_920  # samples kept before the first and after the last phone
LEVEL = 0.41  # brings the voice to about -24 dBFS RMS
_PLAIN = str.maketrans({"’": "'", "‘": "'", "“": " ", "”": " ", "—": ",", "–": ",", "…": ".", '"': " "})


@dataclass(frozen=True)
class Line:
    """One text to be said, in one delivery."""

    id: str
    text: str
    delivery: str
    split: str


@dataclass(frozen=True)
class VoiceClip:
    """One line as it was said: where its frames lie, when each phone ends (samples), whose word it is (-1: pause)."""

    id: str
    text: str
    delivery: str
    split: str
    start: int  # first frame in the file
    length: int  # frames, a multiple of 4
    phones: tuple[str, ...]
    ends: tuple[int, ...]
    owners: tuple[int, ...]
    words: tuple[str, ...]
    after: tuple[str, ...]  # punctuation after each word


def lines_of(
    exchanges: Iterable[dict[str, Any]], scenes: Iterable[dict[str, Any]], read: Iterable[tuple[str, str]]
) -> list[Line]:
    """Agent turns, scene replies and read texts (id, text) as lines in random order; half keep their own delivery."""
    found: list[Line] = []
    for exchange in exchanges:
        for number, turn in enumerate(exchange["turns"]):
            identity = f"{exchange['id']}.{number}"
            found.append(Line(identity, turn["agent"], _delivery(identity, turn["delivery"]), exchange["split"]))
    for scene in scenes:
        if scene.get("reply"):
            delivery = _delivery(scene["id"], scene["reply"]["emotion"])
            found.append(Line(scene["id"], scene["reply"]["text"], delivery, "train"))
    found += [Line(identity, text, _delivery(identity, ""), "train") for identity, text in read]
    random.Random(0).shuffle(found)
    return found


def _delivery(identity: str, own: str) -> str:
    chance = random.Random(steady_seed("delivery", identity))
    return own if own in DELIVERIES and chance.random() < 0.5 else chance.choice(sorted(DELIVERIES))


def speakable(text: str) -> str:
    """Typographic marks as flite knows them."""
    return text.translate(_PLAIN)


def render(lines: Iterable[Line], out: Path) -> int:
    """Say what is not yet in ``out``; returns the number of new clips. Continues where it stopped."""
    out.mkdir(parents=True, exist_ok=True)
    table = out / "clips.jsonl"
    known = read_clips(table) if table.exists() else []
    done, end = {clip.id for clip in known}, max((clip.start + clip.length for clip in known), default=0)
    voice = Flite()
    with (out / "frames.f16").open("r+b" if known else "w+b") as frames, table.open("a", encoding="utf-8") as index:
        frames.seek(2 * CHANNELS * end)
        for line in lines:
            if line.id in done:
                continue
            try:
                said = voice.speak(speakable(line.text), DELIVERIES[line.delivery], draft=True)
            except ValueError:  # no word in it, or a phone that is not ours
                continue
            channels, clip = _trimmed(line, said, end)
            frames.write(channels.astype("<f2").tobytes())
            frames.flush()
            index.write(json.dumps(asdict(clip)) + "\n")
            index.flush()
            end += clip.length
    return len(read_clips(table)) - len(known)


def _trimmed(line: Line, said: Utterance, start_frame: int) -> tuple[NDArray[np.float32], VoiceClip]:
    spoken = [n for n, s in enumerate(said.segments) if s.phone != PAUSE]
    first, last = spoken[0], spoken[-1]
    start = max((said.segments[first - 1].end if first else 0) - LEAD, 0)
    stop = start + -(-(said.segments[last].end + TAIL - start) // UNIT_SAMPLES) * UNIT_SAMPLES
    kept = [s for s in said.segments[first:] if s.end <= said.segments[last].end]
    kept += [said.segments[last + 1]] if last + 1 < len(said.segments) else []
    clip = VoiceClip(
        **asdict(line),
        start=start_frame,
        length=(stop - start) // HOP,
        phones=tuple(s.phone for s in kept),
        ends=tuple(min(s.end, stop) - start for s in kept),
        owners=tuple(s.word for s in kept),
        words=said.words,
        after=said.after,
    )
    return frames_of(said, DELIVERIES[line.delivery].gain_db, start, clip.length), clip


def frames_of(said: Utterance, gain_db: float, start: int, count: int) -> NDArray[np.float32]:
    """``count`` frames [count, 32] of an utterance from sample ``start`` on, at the voice's level."""
    places = np.minimum((start + np.arange(count) * HOP) // TRACK_STEP, len(said.frames) - 1)
    tracks = said.frames[places]
    f0 = torch.from_numpy(tracks[:, 0])
    channels = np.zeros((count, CHANNELS), dtype=np.float32)
    channels[:, :CEPSTRUM] = tracks[:, 1 : 1 + CEPSTRUM]
    channels[:, 0] += LEVEL_SHIFT + math.log(LEVEL * 10 ** (gain_db / 20) / 32_768)  # flite counts in int16
    channels[:, CEPSTRUM] = scaled_pitch(f0).numpy()
    channels[:, CEPSTRUM + 1] = tracks[:, 0] > 0
    channels[:, CEPSTRUM + 2 :] = tracks[:, 1 + CEPSTRUM :].clip(0.0, 1.0)
    return channels


def read_clips(table: Path) -> list[VoiceClip]:
    """All clips of clips.jsonl."""
    rows = (json.loads(line) for line in table.read_text(encoding="utf-8").splitlines())
    found: list[dict[str, Any]] = [{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows]
    return [VoiceClip(**row) for row in found]


class VoiceData:
    """Clips and their frames."""

    def __init__(self, folder: Path) -> None:
        self.clips = read_clips(folder / "clips.jsonl")
        self._frames = np.memmap(folder / "frames.f16", dtype="<f2", mode="r")

    def split(self, name: str) -> Iterator[VoiceClip]:
        """Every clip of a split."""
        return (clip for clip in self.clips if clip.split == name)

    def frames(self, clip: VoiceClip) -> torch.Tensor:
        """Float16 [clip.length, 32]."""
        flat = self._frames[CHANNELS * clip.start : CHANNELS * (clip.start + clip.length)]
        return torch.from_numpy(flat.reshape(-1, CHANNELS).copy())
