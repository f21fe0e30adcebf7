"""Steps all replies of an engine together: words, units, sound, each as one batch.

Every call does one small piece of work, so that listening never waits for more than that. The speech decoder's
head is cut to units and the end of speech: nothing else can be sampled. Knows no sessions and no prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from model.opens2s.sampling import Sampling, sample
from model.serving.lanes import Lanes, Row
from model.serving.replies import Block, ReplyStream
from model.token2wav.stream import Token2Wav, WaveJob


@dataclass(frozen=True)
class Vocabulary:
    """The ids that matter: ends of a reply's words, the mark that closes its spoken span, units."""

    text_ends: tuple[int, ...]
    span_end: int
    forbidden: tuple[int, ...]  # control tokens a reply must not hold
    unit_bias: int
    unit_count: int
    unit_ends: tuple[int, ...]


SECONDS_AHEAD = 5.0  # of sound made and not yet taken, after which a reply rests


class Speaking:
    """All replies that are being made."""

    def __init__(
        self,
        model: Any,
        text: Lanes,
        units: Lanes,
        waves: Token2Wav,
        vocabulary: Vocabulary,
        sampling: tuple[Sampling, Sampling],
    ) -> None:
        self._model, self._text, self._units, self._waves = model, text, units, waves
        self._words, self._ahead = vocabulary, round(SECONDS_AHEAD * waves.unit_rate)
        self._text_sampling, self._unit_sampling = sampling
        self.streams: list[ReplyStream] = []
        weight = text.model.get_output_embeddings().weight
        self._forbidden = torch.tensor(vocabulary.forbidden, dtype=torch.long, device=weight.device)
        head = units.model.get_output_embeddings().weight
        first = vocabulary.unit_bias
        units_and_ends = [head[first : first + vocabulary.unit_count], head[list(vocabulary.unit_ends)]]
        self._head = torch.cat(units_and_ends).detach()

    def begin(self, stream: ReplyStream, state: Tensor) -> None:
        """Take up a reply whose prompt is in its lane; ``state`` [dim], the last, predicts the first word."""
        self.streams.append(stream)
        self._draw([stream], [state])

    def drop(self) -> None:
        """Let go of every reply that is over, was cancelled or has failed."""
        for stream in [s for s in self.streams if s.cancelled or s.error or s.closed]:
            self.streams.remove(stream)
            self._text.give(stream.text_lane)
            self._units.give(stream.unit_lane)
            stream.states.clear()
            stream.wave = None
            if stream.error is not None or stream.cancelled:
                stream.out.put(stream.error)

    def step_text(self) -> bool:
        """Sample one more word of every reply that wants one. False if none does."""
        busy = [s for s in self._live() if s.wants_text()]
        if not busy:
            return False
        rows = [Row(s.text_lane, s.text_seen, self._text.embed(s.text[-1:])) for s in busy]
        states = [found[-1] for found in self._text.run(rows)]
        for stream in busy:
            stream.text_seen += 1
        self._draw(busy, states)
        return True

    def _draw(self, streams: Sequence[ReplyStream], states: Sequence[Tensor]) -> None:
        logits = self._text.logits(torch.stack(list(states)))
        logits[:, self._forbidden] = -torch.inf
        uniforms = torch.tensor([s.text_uniform() for s in streams], device=logits.device)
        drawn = _drawn(logits, uniforms, self._text_sampling)
        for stream, state, token in zip(streams, states, drawn, strict=True):
            if stream.forced:
                token = stream.forced.popleft()
            elif stream.text and stream.text[-1] == self._words.span_end:
                token = self._words.text_ends[0]  # nothing is said after the spoken span
            stream.add_text(token, state, self._words.text_ends)

    def step_units(self) -> bool:
        """Sample one more unit of every reply that can have one. False if none can."""
        busy = [s for s in self._live() if s.wants_units()]
        if not busy:
            return False
        rows = [Row(s.unit_lane, s.unit_seen, self._unit_inputs(s)) for s in busy]
        states = torch.stack([found[-1] for found in self._units.run(rows)])
        logits = (states @ self._head.T).float()
        open_ends = torch.tensor([s.last_round for s in busy], device=logits.device)
        # Speech does not end before the words do.
        logits[:, self._words.unit_count :].masked_fill_(~open_ends[:, None], -torch.inf)
        uniforms = torch.tensor([s.unit_uniform() for s in busy], device=logits.device)
        for stream, row, drawn in zip(busy, rows, _drawn(logits, uniforms, self._unit_sampling), strict=True):
            stream.unit_seen += len(row.inputs)
            stream.add_unit(drawn if drawn < self._words.unit_count else None)
        return True

    def _unit_inputs(self, stream: ReplyStream) -> Tensor:
        parts = []
        if stream.unit_seen == 0:
            parts.append(self._model.speaker(stream.speaker).view(1, -1).to(self._head))
        else:
            parts.append(self._units.embed([self._words.unit_bias + stream.units[-1]]))
        fed = stream.begin_round()
        if fed:
            parts.append(self._model.bridge(torch.stack(fed).to(self._model.llm_ln.weight)).to(self._head))
        return torch.cat(parts)

    def step_sound(self) -> bool:
        """Make the next block of sound of every reply that has enough units. False if none has."""
        busy = [s for s in self._live() if s.has_block(s.wave.needs)]
        if not busy:
            return False
        jobs = []
        for stream in busy:
            stream.closed = stream.units_done and stream.text_done
            jobs.append(WaveJob(stream.wave, stream.units[stream.voiced :], stream.closed))
        for stream, job, pcm in zip(busy, jobs, self._waves.step(jobs), strict=True):
            stream.voiced += len(job.units)
            text, last = tuple(stream.text), stream.closed
            stream.out.put(Block(tuple(job.units), pcm, text, stream.text_done, last, stream.truncated))
        return True

    def _live(self) -> list[ReplyStream]:
        live = [s for s in self.streams if not s.cancelled and s.error is None]
        return [s for s in live if not s.rests(self._ahead)]


def _drawn(logits: Tensor, uniforms: Tensor, how: Sampling) -> list[int]:
    ids: list[int] = sample(logits, uniforms, how.temperature, how.top_k, how.top_p).tolist()
    return ids
