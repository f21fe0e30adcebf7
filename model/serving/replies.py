"""One reply being made: what was said so far in words and units, and what waits for which step.

The interleaving of OpenS2S as a state machine: M states of the language model, then N units, and when the
words are used up, units to the end. Words may run ahead of units. Nothing here computes.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Limits:
    """Where a reply ends at the latest, in tokens of words and in units."""

    text: int
    units: int


@dataclass(frozen=True)
class Block:
    """A stretch of sound: its units, float32 samples, and all text ids sampled so far."""

    units: tuple[int, ...]
    pcm: NDArray[np.float32]
    text: tuple[int, ...]
    text_done: bool
    final: bool
    truncated: bool  # the limit of units ended the sound before its end


class ReplyStream:
    """The state of one reply. It belongs to the engine's thread, but for ``blocks``."""

    def __init__(self, ratio: tuple[int, int], seed: int, wake: Callable[[], None] = lambda: None) -> None:
        """``ratio`` is M states : N units; ``wake`` is called when a block was taken, or the reply cancelled."""
        self.ratio, self.seed, self._wake = ratio, seed, wake
        self.out: queue.SimpleQueue[Block | Exception | None] = queue.SimpleQueue()
        self.cancelled = False
        self.error: Exception | None = None
        self.closed = False  # the last block was made
        self.done = False  # and taken
        self.thought: dict[str, dict[str, float]] = {}  # what was thought before, per slot
        self._text_chance = torch.Generator().manual_seed(2 * seed)
        self._unit_chance = torch.Generator().manual_seed(2 * seed + 1)

        self.text: list[int] = []
        self.text_done = False
        self.states: deque[Tensor] = deque()  # not yet given to the speech decoder
        self.units: list[int] = []
        self.units_done = False
        self.truncated = False
        self.round_left = 0  # units still to come in this round
        self.last_round = False
        self.voiced = 0  # units made into sound
        self.taken = 0  # units whose sound was taken by whoever plays it

    def start(
        self,
        lanes: tuple[int, int],
        text_seen: int,
        wave: Any,
        limits: Limits,
        opening: Sequence[int] = (),
        speaker: Tensor | None = None,
    ) -> None:
        """Its prompt of ``text_seen`` inputs stands in the first of ``lanes``; ``opening`` are words to begin with."""
        self.text_lane, self.unit_lane = lanes
        self.text_seen, self.unit_seen = text_seen, 0
        self.wave, self.limits, self.speaker = wave, limits, speaker
        self.forced = deque(opening)
        self.units_done = self.truncated = limits.units < 1

    # -- words ----------------------------------------------------------------------------------------------

    def wants_text(self) -> bool:
        """A word is to be sampled now: units wait for it, or sound is there and it can be made in passing."""
        needed = self.units_done or len(self.states) < self.ratio[0]
        return not self.text_done and needed and (self.voiced > 0 or self.round_left < 1)

    def text_uniform(self) -> float:
        """The next random number of this reply's words, in 0..1."""
        return float(torch.rand((), generator=self._text_chance))

    def add_text(self, token: int, state: Tensor, ends: Sequence[int]) -> None:
        """``token`` was sampled from ``state``."""
        self.text.append(token)
        self.states.append(state)
        self.text_done = token in ends or len(self.text) >= self.limits.text

    # -- units ----------------------------------------------------------------------------------------------

    def wants_units(self) -> bool:
        """A unit can be sampled now."""
        return not self.units_done and (self.round_left > 0 or self._round_ready())

    def _round_ready(self) -> bool:
        return len(self.states) >= self.ratio[0] or self.text_done

    def begin_round(self) -> list[Tensor]:
        """The states to feed before the next unit: none inside a round."""
        if self.round_left > 0:
            return []
        fed = [self.states.popleft() for _ in range(min(self.ratio[0], len(self.states)))]
        self.last_round = self.text_done and not self.states
        self.round_left = self.limits.units if self.last_round else self.ratio[1]
        return fed

    def unit_uniform(self) -> float:
        """The next random number of this reply's units, in 0..1."""
        return float(torch.rand((), generator=self._unit_chance))

    def add_unit(self, unit: int | None) -> None:
        """A unit was sampled; None is the end of speech."""
        if unit is None:
            self.units_done = True
            return
        self.units.append(unit)
        self.round_left -= 1
        if len(self.units) >= self.limits.units:
            self.units_done = self.truncated = True

    # -- sound ----------------------------------------------------------------------------------------------

    def waiting(self) -> int:
        """Units sampled and not yet made into sound."""
        return len(self.units) - self.voiced

    def rests(self, ahead: int) -> bool:
        """So much sound is ready that the next can wait until some was taken."""
        return self.voiced - self.taken > ahead and self.out.qsize() > 0

    def has_block(self, wanted: int) -> bool:
        """A block of ``wanted`` units can be made, or the last one."""
        if self.units_done:
            return not self.closed and (self.waiting() > 0 or self.text_done)
        return self.waiting() >= wanted

    def blocks(self) -> Blocks:
        """The sound as it is made."""
        return Blocks(self, self._wake)


class Blocks(Iterator[Block]):
    """The blocks of one reply. Closing it, or letting go of it, cancels the reply."""

    def __init__(self, stream: ReplyStream, wake: Callable[[], None]) -> None:
        self._stream, self._wake = stream, wake

    def __next__(self) -> Block:
        """Wait for the next block; raises what the engine failed with."""
        stream = self._stream
        if stream.cancelled or stream.done:
            raise StopIteration
        block = stream.out.get()
        if isinstance(block, Exception):
            self.close()
            raise block
        if block is None:
            raise StopIteration
        stream.taken += len(block.units)
        stream.done = block.final
        self._wake()
        return block

    def close(self) -> None:
        """Stop; the engine frees what the reply holds within one step."""
        if not self._stream.done:
            self._stream.cancelled = True
            self._wake()

    def __del__(self) -> None:
        self.close()
