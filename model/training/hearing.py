"""Trains the ear: phone CTC over recorded and synthetic turns, with heads for the manner of speech.

A training turn is one or several clips with pauses between them, sometimes with a cough or a laugh in a
pause and somebody turned away from the microphone, in noise and rooms. Knows caches and labels; words and
beam search are not its business (see `benchmarks/transcript.py` for word error rates).
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from model.interface import EMOTIONS, EVENTS
from model.nano import phones, weights
from model.nano.features import FLOOR, MELS
from model.nano.hearing import Encoder
from model.training import mels
from model.training.cache import Clip
from model.training.edits import edit_distance
from model.training.loop import Plan, run
from model.training.mels import Mels

EVENT_OF = {
    "laughing": "laugh",
    "coughing": "cough",
    "sneezing": "cough",
    "breathing": "sigh",
    "crying baby": "cry",
}
FRAMES = {512: 0.2, 1024: 0.35, 1536: 0.25, 2048: 0.2}  # mel frames of a turn (5.12 to 20.48 s): share of batches
START_FRAMES = 512
SHARES = (0.8, 0.15, 0.05)  # of turns: recorded, synthetic, synthetic with known phone times
WORTH = {"libri": 3.0, "wakeword": 0.3, "precise": 0.3, "keywords": 0.3}  # of a second of a corpus, others 1
UNKNOWN = -100
TAIL = 4  # chunks at the end of a phrase that tell whether it is finished and who is addressed
MASKED, NOISY, BANDED = 0.15, 0.2, 0.05  # of turns
AWAY, ROOMS = 0.07, 0.1  # of clips: turned away, in a room
BUDGET = 8 * 1024  # mel frames of a batch: small, for more updates in the time box


class Pool:
    """Clips to draw from, by seconds: else the thousands of single words would crowd out whole sentences."""

    def __init__(self, sources: Sequence[Mels]) -> None:
        self._clips = [(m, c) for m in sources for c in m.clips if c.split == "train" and c.text and c.length > 6400]
        self._weights = list(accumulate(c.length * WORTH.get(c.corpus, 1.0) for _, c in self._clips))

    def __bool__(self) -> bool:
        return bool(self._clips)

    def draw(self, chance: random.Random) -> tuple[Mels, Clip]:
        """One clip and the cache that holds it."""
        return chance.choices(self._clips, cum_weights=self._weights)[0]


@dataclass
class Segment:
    """A labelled stretch of a turn, in chunks of 160 ms."""

    start: int
    end: int
    emotion: int | None = None
    complete: bool | None = None
    facing: bool = True


@dataclass
class Example:
    """One training turn: log-mel [n, MELS], phones in order (and in time), labelled stretches, an event per 160 ms."""

    mel: NDArray[np.float32]
    phones: list[int]
    segments: list[Segment] = field(default_factory=list)
    events: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    frames: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # phone per 40 ms or UNKNOWN


class Turns:
    """Composes training turns from caches.

    ``pronounce`` gives a word's phones; ``finished`` says for a clip id whether its phrase sounds finished
    (None where unknown). ``timed`` is speech whose phones are known per 10 ms (see `aligned`).
    """

    def __init__(
        self,
        recorded: Mels,
        rendered: Sequence[Mels],
        noise: Mels,
        pronounce: Callable[[str], Sequence[str]],
        finished: Callable[[str], bool | None],
        timed: tuple[Mels, Mapping[str, NDArray[np.int64]]] | None = None,
    ) -> None:
        self._pronounce, self._finished = pronounce, finished
        self._times = timed[1] if timed else {}
        self._timed = Pool([timed[0]] if timed else [])
        self._real, self._synthetic = Pool([recorded]), Pool(rendered)
        self._noise = [(noise, clip) for clip in noise.clips if clip.split == "train"]
        self._events = [(m, c) for m, c in self._noise if c.event in EVENT_OF]

    def example(self, frames: int, chance: random.Random, pool: Pool) -> Example:
        """One turn of ``frames`` mel frames (a multiple of 16), of clips of ``pool``."""
        mel = np.full((frames, MELS), np.log(FLOOR), np.float32)
        done = Example(mel, [], [], np.zeros(frames // 16, np.int64), np.full(frames // 4, UNKNOWN))
        at = chance.randint(0, min(80, frames // 16))
        level = chance.uniform(-12, 10)
        for _ in range(8):
            source, clip = pool.draw(chance)
            speech = mels.warp(source[clip], chance)
            if len(speech) + at > frames:
                continue
            self._place(done, mels.gain(speech, level), clip, at, chance)
            at += len(speech) + chance.choice((chance.randint(10, 60), chance.randint(40, 220)))
            if at > frames - 60:
                break
        self._surround(done, chance)
        return done

    def _place(self, turn: Example, speech: NDArray[np.float32], clip: Clip, at: int, chance: random.Random) -> None:
        away = chance.random() < AWAY
        if away:
            speech = mels.gain(mels.band(mels.room(speech, chance, 2.0), 50, 3500), -chance.uniform(8, 13))
        elif chance.random() < ROOMS:
            speech = mels.room(speech, chance)
        end = at + len(speech)
        turn.mel[at:end] = np.logaddexp(turn.mel[at:end], speech)
        assert clip.text is not None  # by the choice of clips
        turn.phones += [i for word in clip.text.split() for i in phones.indices(list(self._pronounce(word)))]
        emotion = EMOTIONS.index(clip.emotion) if clip.emotion in EMOTIONS and not clip.real else None
        last = max(end // 16, at // 16 + 1)
        turn.segments.append(Segment(at // 16, last, emotion, self._finished(clip.id), not away))
        if clip.id in self._times:
            times = self._times[clip.id]
            slow = times[np.linspace(0, len(times) - 1, len(speech)).round().astype(int)]
            first = -(-at // 4)
            turn.frames[first : end // 4] = slow[4 * first - at + 2 :: 4][: end // 4 - first]
        gap = (end, min(end + 150, len(turn.mel)))
        if self._events and gap[1] - gap[0] > 64 and chance.random() < 0.25:
            self._sound(turn, gap, chance)

    def _sound(self, turn: Example, gap: tuple[int, int], chance: random.Random) -> None:
        source, clip = chance.choice(self._events if chance.random() < 0.7 else self._noise)
        sound = source[clip]
        start = chance.randint(0, max(len(sound) - 100, 0))
        sound = mels.gain(sound[start : start + gap[1] - gap[0]], chance.uniform(-8, 6))
        end = gap[0] + len(sound)
        turn.mel[gap[0] : end] = np.logaddexp(turn.mel[gap[0] : end], sound)
        name = EVENT_OF.get(clip.event or "", "noise")
        turn.events[(gap[0] + 8) // 16 : end // 16] = EVENTS.index(name)

    def _surround(self, turn: Example, chance: random.Random) -> None:
        mel = turn.mel
        if chance.random() < NOISY:
            source, clip = chance.choice(self._noise)
            mel = mels.mix(mel, source[clip], chance.uniform(6, 32))
        if chance.random() < BANDED:
            mel = mels.band(mel, 300, 3400)
        mel = np.logaddexp(mel, mels.hiss(len(mel), chance.uniform(-85, -50), chance)).astype(np.float32)
        if chance.random() < MASKED:
            mels.mask(mel, chance)
        turn.mel = mel

    def batches(self, chance: random.Random) -> Iterator[list[Example]]:
        """An endless stream of batches of one length each."""
        while True:
            frames = chance.choices(list(FRAMES), list(FRAMES.values()))[0]
            pools = chance.choices(
                (self._real, self._synthetic, self._timed or self._synthetic), SHARES, k=BUDGET // frames
            )
            yield [self.example(frames, chance, pool) for pool in pools]

    def ahead(self, chance: random.Random) -> Iterator[list[Example]]:
        """`batches`, composed by another process while the net learns."""
        ahead: dict[str, Any] = {"num_workers": 1, "prefetch_factor": 4, "multiprocessing_context": "fork"}
        if sys.platform != "linux":  # elsewhere a process would begin with a copy of all data
            ahead = {}
        return iter(DataLoader(_Ahead(self, chance.getrandbits(64)), batch_size=None, **ahead))

    def timed_batches(self, chance: random.Random) -> Iterator[list[Example]]:
        """An endless stream of short turns whose phones are known in time."""
        while True:
            yield [self.example(START_FRAMES, chance, self._timed) for _ in range(BUDGET // START_FRAMES)]


class _Ahead(IterableDataset[list[Example]]):
    def __init__(self, turns: Turns, seed: int) -> None:
        super().__init__()
        self._turns, self._seed = turns, seed

    def __iter__(self) -> Iterator[list[Example]]:
        return self._turns.batches(random.Random(self._seed))


def loss_of(module: nn.Module, batch: list[Example]) -> tuple[torch.Tensor, dict[str, float]]:
    """Phone CTC plus the heads' cross-entropies, in float32."""
    assert isinstance(module, Encoder)
    heard = module(torch.from_numpy(np.stack([turn.mel for turn in batch])))
    target = [torch.tensor(turn.phones) for turn in batch]
    lengths = torch.tensor([len(t) for t in target])
    frames = torch.full((len(batch),), heard.logp.shape[1])
    ctc = F.ctc_loss(heard.logp.transpose(0, 1), torch.cat(target), frames, lengths, phones.BLANK, zero_infinity=True)
    manner = heard.manner.float()
    with torch.autocast("cpu", enabled=False):
        event = _event_loss(module, manner, batch)
        emotion, facing, complete = _segment_losses(module, manner, batch)
    labels = torch.from_numpy(np.stack([turn.frames for turn in batch])).flatten()
    timed = F.nll_loss(heard.logp.flatten(0, 1), labels, ignore_index=UNKNOWN, reduction="sum") / len(labels)
    loss = ctc + 2.0 * timed + 0.15 * emotion + 0.1 * event + 0.1 * facing + 0.1 * complete
    parts = {"ctc": ctc, "timed": timed, "emotion": emotion, "event": event, "facing": facing, "complete": complete}
    return loss, {name: float(value.detach()) for name, value in parts.items()}


def _event_loss(module: Encoder, manner: torch.Tensor, batch: list[Example]) -> torch.Tensor:
    truth = torch.from_numpy(np.stack([turn.events for turn in batch]))
    weight = torch.tensor([0.3] + [1.0] * (len(EVENTS) - 1))
    return F.cross_entropy(module.event(manner).flatten(0, 1), truth.flatten(), weight)


def _segment_losses(
    module: Encoder, manner: torch.Tensor, batch: list[Example]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    emotion: list[torch.Tensor] = [manner.sum() * 0.0]
    facing, complete = list(emotion), list(emotion)
    for row, turn in zip(manner, batch, strict=True):
        for segment in turn.segments:
            states = row[segment.start : segment.end]
            if segment.emotion is not None:
                emotion.append(F.cross_entropy(module.emotion_of(states), torch.tensor(segment.emotion)))
            truth = torch.tensor([float(segment.facing)])
            facing.append(F.binary_cross_entropy_with_logits(module.facing(states[-TAIL:].mean(0)), truth))
            if segment.complete is not None:
                done = torch.tensor([float(segment.complete)])
                complete.append(F.binary_cross_entropy_with_logits(module.complete(states[-TAIL:].mean(0)), done))
    return tuple(torch.stack(part).mean() for part in (emotion, facing, complete))  # type: ignore[return-value]


def greedy(logp: torch.Tensor) -> list[int]:
    """Best path of CTC log-probabilities [T, phones], repeats and blanks removed."""
    best = torch.unique_consecutive(logp.argmax(dim=-1)).tolist()
    return [i for i in best if i != phones.BLANK]


def evaluate(
    encoder: nn.Module, sets: dict[str, tuple[Mels, list[Clip]]], pronounce: Callable[[str], Sequence[str]]
) -> dict[str, float]:
    """Phone error rate of greedy decoding per set; emotion accuracy where the clips carry emotions."""
    assert isinstance(encoder, Encoder)
    figures: dict[str, float] = {}
    for name, (source, clips) in sets.items():
        wrong = total = right = labelled = 0
        for clip in clips:
            mel = source[clip]
            heard = encoder(torch.from_numpy(mels.padded(mel, 32))[None])
            truth = [i for word in (clip.text or "").split() for i in phones.indices(list(pronounce(word)))]
            wrong += edit_distance(truth, greedy(heard.logp[0]))
            total += len(truth)
            if clip.emotion in EMOTIONS:
                labelled += 1
                guess = int(encoder.emotion_of(heard.manner[0, : max(len(mel) // 16, 1)].float()).argmax())
                right += EMOTIONS[guess] == clip.emotion
        figures[f"per_{name}"] = wrong / max(total, 1)
        if labelled:
            figures[f"emotion_{name}"] = right / labelled
    return figures


def train(
    turns: Turns,
    dev: dict[str, tuple[Mels, list[Clip]]],
    pronounce: Callable[[str], Sequence[str]],
    work: Path,
    out: Path,
    minutes: float,
    rate: float = 8e-4,
) -> dict[str, float]:
    """Train for ``minutes`` (continuing an earlier run in ``work``) and write ``out/hearing.safetensors``.

    A tenth of the time goes to speech with known phone times: from random weights, CTC alone stays for very
    long where it says the commonest phones only.
    """
    encoder = Encoder()
    start = Plan(minutes=0.1 * minutes, rate=rate, floor=0.7)
    run(encoder, turns.timed_batches, loss_of, work / "hearing-start", start)
    plan = Plan(minutes=0.9 * minutes, rate=rate)
    figures = run(
        encoder, turns.ahead, loss_of, work / "hearing", plan,
        evaluate=lambda module: evaluate(module, dev, pronounce),
    )  # fmt: skip
    encoder.priors.copy_(priors(encoder, turns.batches(random.Random(0))))
    weights.save(encoder, "hearing", out)
    return figures


@torch.inference_mode()
def priors(encoder: Encoder, batches: Iterator[list[Example]], count: int = 24) -> torch.Tensor:
    """ln mean posterior of each phone [phones] over ``count`` batches."""
    encoder.eval()
    heard = (encoder(torch.from_numpy(np.stack([turn.mel for turn in next(batches)]))).logp for _ in range(count))
    return torch.cat([logp.flatten(0, 1) for logp in heard]).exp().mean(0).clamp_min(1e-6).log()
