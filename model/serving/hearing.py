"""Hears turns while they grow: features once, the open window anew with each chunk, closed windows kept.

The published encoder looks both ways inside a window of 30 s, so what it makes of the open window changes with
every chunk. For judging, the window is cut after what was heard (``exact`` off: cheap, nearly the same states);
for the reply it is padded with silence to its full length, as the weights were trained. Batched over turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from model.opens2s.features import LogMel, LogMelStream

SHORTEST = 128  # mel frames of a cut window; doubled until the heard part fits


class TurnAudio:
    """The sound of one turn of the user, and what the encoder made of its closed windows."""

    def __init__(self, log_mel: LogMel, longest_s: float) -> None:
        self._log_mel = log_mel
        self._longest = max(int(longest_s * log_mel.rate), log_mel.chunk)
        self._samples: list[Tensor] = []
        self.dropped_s = 0.0  # seconds that were let go because the turn is too long to keep
        self.clear()

    def clear(self) -> None:
        """Forget the turn."""
        self._samples.clear()
        self.dropped_s = 0.0
        self._restart()

    def _restart(self) -> None:
        self.stream = LogMelStream(self._log_mel)
        self.closed: list[tuple[float, Tensor]] = []  # of each: the loudest value when it was encoded, the states

    def push(self, samples: Tensor) -> None:
        """Take in float32 samples [n]; of a turn too long the oldest part is let go, a window at least."""
        self._samples.append(samples)
        self.stream.push(samples)
        if self.stream.samples > self._longest:
            kept = max(self._longest - self._log_mel.chunk, self._log_mel.chunk)
            self.dropped_s += (self.stream.samples - kept) / self._log_mel.rate
            self.keep(kept)

    def keep(self, samples: int) -> None:
        """Let go of all but the last ``samples``."""
        kept = torch.cat(self._samples)[-samples:]
        self._samples = [kept]
        self._restart()
        self.stream.push(kept)

    @property
    def whole(self) -> int:
        """Mel frames of a full window."""
        return self._log_mel.chunk // self._log_mel.hop

    @property
    def seconds(self) -> float:
        """How much of the turn is kept."""
        return self.stream.samples / self._log_mel.rate


class Hearing:
    """The encoder and the adapter over many turns at once."""

    def __init__(self, model: Any) -> None:
        self._encoder, self._adapter = model.audio_encoder_model, model.audio_adapter
        weight = next(self._encoder.parameters())
        self._device, self._dtype = weight.device, weight.dtype
        self._adapted_on = self._adapter.fc2.weight.device

    def encode(self, turns: Sequence[TurnAudio], exact: bool) -> list[Tensor]:
        """Frames [n, hidden size of the language model] of each turn so far; none where too little was heard."""
        missing = [(turn, at) for turn in turns for at in self._stale(turn, exact)]
        groups: dict[int, list[tuple[TurnAudio, int]]] = {}
        for turn, at in missing:
            groups.setdefault(self._width(turn, at, exact), []).append((turn, at))
        found: dict[tuple[int, int], Tensor] = {}
        for width, group in groups.items():
            for (turn, at), states in zip(group, self._windows(group, width), strict=True):
                found[id(turn), at] = states
        for turn, at in missing:
            if at < turn.stream.windows - 1:
                turn.closed[at : at + 1] = [(turn.stream.loudest, found[id(turn), at])]
        return self._adapted([self._joined(turn, found) for turn in turns])

    @staticmethod
    def _stale(turn: TurnAudio, exact: bool) -> list[int]:
        """Windows to encode: the open one, and closed ones that are new or, if it must be exact, too quietly scaled."""
        stream, last = turn.stream, turn.stream.windows - 1
        if stream.frames == 0:
            return []
        old = [at for at in range(last) if at >= len(turn.closed) or (exact and turn.closed[at][0] != stream.loudest)]
        return [*old, last]

    def _width(self, turn: TurnAudio, at: int, exact: bool) -> int:
        whole = turn.whole
        if exact or at < turn.stream.windows - 1:
            return whole
        heard = turn.stream.frames - at * whole
        width = SHORTEST
        while width < heard:
            width *= 2
        return min(width, whole)

    def _windows(self, group: Sequence[tuple[TurnAudio, int]], width: int) -> list[Tensor]:
        """States of the valid part of windows cut to ``width`` mel frames."""
        views = [turn.stream.features(at) for turn, at in group]
        heard = [min(turn.stream.frames - at * turn.whole, width) for turn, at in group]
        stacked = torch.stack([view[:, :width] for view in views]).to(self._device, self._dtype)
        cut = width < views[0].shape[1]
        valid = torch.tensor(heard, device=self._device) if cut else None
        states = self._encoder.forward_windows(stacked, valid)
        counts = self._encoder.output_lengths(torch.tensor(heard)).tolist()
        return [row[:count] for row, count in zip(states, counts, strict=True)]

    @staticmethod
    def _joined(turn: TurnAudio, found: dict[tuple[int, int], Tensor]) -> Tensor | None:
        if not turn.stream.windows:
            return None
        last = found[id(turn), turn.stream.windows - 1]
        return torch.cat([states for _, states in turn.closed] + [last])

    def _adapted(self, states: Sequence[Tensor | None]) -> list[Tensor]:
        """Through the adapter; rows are padded, which it keeps from leaking."""
        heard = [row for row in states if row is not None and len(row)]
        if not heard:
            size = self._adapter.fc2.out_features
            return [torch.zeros(0, size, device=self._adapted_on, dtype=self._dtype) for _ in states]
        lengths = torch.tensor([len(row) for row in heard], device=self._adapted_on)
        padded = torch.nn.utils.rnn.pad_sequence(heard, batch_first=True).to(self._adapted_on)
        frames, counts = self._adapter(padded, lengths)
        rows = iter([row[:count] for row, count in zip(frames, counts.tolist(), strict=True)])
        empty = frames.new_zeros(0, frames.shape[-1])
        return [next(rows) if row is not None and len(row) else empty for row in states]
