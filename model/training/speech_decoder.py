"""Trains the speech decoder on the tokenizer's units, with phone times as the pointer's way.

Knows how a clip becomes one interleaved sequence, and losses and figures of this stage. Units that go in
are now and then wrong ones, so that a slip at run time is mended and not followed. Thoughts of the LLM are
left out of half the clips and noise in some: pronunciation must carry the voice alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from model.interface import DELIVERIES
from model.nano.config import SpeechDecoderConfig
from model.nano.speech_decoder import WINDOW, SpeechDecoder, states_needed
from model.nano.states import END
from model.nano.units import Tokenizer
from model.training.loop import Plan, run
from model.training.sounding import pointers_of, symbols_of
from model.training.units import features
from model.training.voice_data import VoiceClip, VoiceData

BATCH = 8
WRONG = 0.12  # share of units that go in wrong
NOISY = 0.2  # share of clips with noise for thoughts


@dataclass(frozen=True)
class Lesson:
    """One clip: symbols and word starts of its states, units, and for each unit the state it sounds."""

    symbols: torch.Tensor  # long [S], END last
    starts: torch.Tensor  # long [S]
    units: torch.Tensor  # long [U]
    pointers: torch.Tensor  # long [U + 1], the last is END
    order: torch.Tensor  # long [S' + U]: state s as s, unit u as -1 - u
    delivery: int


@dataclass(frozen=True)
class Batch:
    """Lessons padded to one length; ``slots`` [B, U] are the positions of units in ``order`` [B, T]."""

    symbols: torch.Tensor
    starts: torch.Tensor
    units: torch.Tensor
    pointers: torch.Tensor
    slots: torch.Tensor
    places: torch.Tensor  # [B, T]: index into states followed by units
    real: torch.Tensor  # [B, U]
    delivery: torch.Tensor
    seed: int


def lesson(clip: VoiceClip, units: torch.Tensor, config: SpeechDecoderConfig) -> Lesson | None:
    """A clip as it is taught; None where the pointer would have to leap too far."""
    symbols, starts = symbols_of(clip)
    pointers = np.append(pointers_of(clip, len(units)), len(symbols) - 1)
    if np.diff(pointers).max() >= config.advances:
        return None
    order: list[int] = []
    given = 0
    for step, pointer in enumerate(pointers[:-1]):
        count = min(states_needed(config, step, int(pointer)), len(symbols))
        order += list(range(given, count))
        given = max(given, count)
        order.append(-1 - step)
    return Lesson(
        symbols=torch.tensor(symbols),
        starts=torch.tensor(starts),
        units=units.long(),
        pointers=torch.from_numpy(pointers).long(),
        order=torch.tensor(order),
        delivery=DELIVERIES.index(clip.delivery),
    )


@torch.inference_mode()
def lessons(data: VoiceData, split: str, tokenizer: Tokenizer, config: SpeechDecoderConfig) -> list[Lesson]:
    """All clips of a split."""
    found = []
    for clip, spoken in zip(data.split(split), features(data, split), strict=True):
        units = tokenizer.encode(spoken.channels[None].float(), torch.tensor([spoken.delivery]))[0]
        taught = lesson(clip, units, config)
        found += [taught] if taught is not None else []
    return found


def batches(taught: list[Lesson]) -> Callable[[random.Random], Iterator[Batch]]:
    """Endless random batches of lessons of like length."""

    def stream(chance: random.Random) -> Iterator[Batch]:
        while True:
            some = sorted(chance.sample(taught, min(8 * BATCH, len(taught))), key=lambda one: len(one.order))
            groups = [some[n : n + BATCH] for n in range(0, len(some), BATCH)]
            chance.shuffle(groups)
            for group in groups:
                yield collate(group, chance.getrandbits(32))

    return stream


def collate(group: list[Lesson], seed: int) -> Batch:
    """Pad to the longest."""

    def padded(rows: list[torch.Tensor], value: int) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)

    symbols = padded([one.symbols for one in group], END)
    places = padded([torch.where(one.order >= 0, one.order, symbols.shape[1] - 1 - one.order) for one in group], 0)
    slots = padded([(one.order < 0).nonzero()[:, 0] for one in group], 0)
    return Batch(
        symbols=symbols,
        starts=padded([one.starts for one in group], 0),
        units=padded([one.units for one in group], 0),
        pointers=padded([one.pointers for one in group], 0),
        slots=slots,
        places=places,
        real=padded([torch.ones(len(one.units), dtype=torch.long) for one in group], 0).bool(),
        delivery=torch.tensor([one.delivery for one in group]),
        seed=seed,
    )


def outputs(net: SpeechDecoder, batch: Batch, noisy: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of units [B, U, 1024] and moves [B, U, 5]."""
    generator = torch.Generator().manual_seed(batch.seed)
    rows, states = batch.symbols.shape
    width = net.config.llm_width
    known = (torch.rand(rows, states, generator=generator) < 0.7).float() * float(noisy)
    known = known * (torch.rand(rows, 1, generator=generator) < NOISY).float()
    bridged = net.thoughts(torch.randn(rows, states, width, generator=generator), known)
    given = torch.cat((torch.zeros_like(batch.units[:, :1]), batch.units[:, :-1]), 1)
    if noisy:
        other = torch.randint(net.config.codes, given.shape, generator=generator)
        given = torch.where(torch.rand(given.shape, generator=generator) < WRONG, other, given)
    vectors = net.table[given]
    vectors = torch.cat((torch.zeros_like(vectors[:, :1]), vectors[:, 1:]), 1)
    pointers = batch.pointers[:, :-1]
    offsets = pointers[..., None] + torch.tensor(WINDOW)
    around = torch.gather(batch.symbols[:, None].expand(-1, offsets.shape[1], -1), 2, offsets.clamp(0, states - 1))
    around = torch.where((offsets >= 0) & (offsets < states), around, torch.full_like(around, END))
    at_pointer = torch.gather(bridged, 1, pointers[..., None].expand(-1, -1, bridged.shape[2]))
    unit_rows = net.unit_inputs(vectors, around, at_pointer, _elapsed(pointers), batch.delivery)
    state_rows = net.state_inputs(batch.symbols, batch.starts, bridged, batch.delivery)
    both = torch.cat((state_rows, unit_rows), 1)
    x = torch.gather(both, 1, batch.places[..., None].expand(-1, -1, both.shape[2]))
    y, _ = net(x)
    return net.heads(torch.gather(y, 1, batch.slots[..., None].expand(-1, -1, y.shape[2])))


def _elapsed(pointers: torch.Tensor) -> torch.Tensor:
    """For each unit, how many before it sounded the same state."""
    steps = torch.arange(pointers.shape[1]).expand_as(pointers)
    moved = torch.cat((torch.ones_like(pointers[:, :1]), (pointers.diff(dim=1) != 0).long()), 1)
    return steps - torch.where(moved > 0, steps, torch.zeros_like(steps)).cummax(1).values


def loss_of(module: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross-entropy of units and of pointer moves, nats per unit."""
    assert isinstance(module, SpeechDecoder)
    units, moves = outputs(module, batch, noisy=module.training)
    wanted = batch.pointers.diff(dim=1)[batch.real]
    unit = F.cross_entropy(units[batch.real], batch.units[batch.real])
    move = F.cross_entropy(moves[batch.real], wanted)
    hit = (units[batch.real].argmax(-1) == batch.units[batch.real]).float().mean()
    return unit + move, {"unit": unit.item(), "move": move.item(), "hit": hit.item()}


def evaluator(taught: list[Lesson]) -> Callable[[torch.nn.Module], dict[str, float]]:
    """The same figures on kept-back clips."""

    def evaluate(module: torch.nn.Module) -> dict[str, float]:
        found = [loss_of(module, collate(taught[n : n + 8], 0))[1] for n in range(0, min(len(taught), 48), 8)]
        return {f"dev_{name}": float(np.mean([f[name] for f in found])) for name in found[0]}

    return evaluate


def train(data: VoiceData, tokenizer: Tokenizer, folder: Path, minutes: float) -> SpeechDecoder:
    """Train the speech decoder for ``minutes`` into ``folder``; continues where it stopped."""
    config = SpeechDecoderConfig()
    net = SpeechDecoder(config)
    net.table.copy_(tokenizer.codebook.table)
    taught, kept = (lessons(data, split, tokenizer, config) for split in ("train", "dev"))
    plan = Plan(minutes=minutes, rate=2e-3)
    run(net, batches(taught), loss_of, folder, plan, evaluator(kept) if kept else None, 900.0)
    return net.eval()
