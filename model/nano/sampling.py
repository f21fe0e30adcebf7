"""One reply of the speech decoder, unit by unit, drawn from a private generator.

Knows how logits become units and pointer moves, and when a word is over; the net is `speech_decoder`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

import torch

from model.nano.config import Settings
from model.nano.speech_decoder import DecoderState, SpeechDecoder, states_needed
from model.nano.states import COMMA, END, SpeechState

# Units after which the pointer leaves a state, in the order of PHONES, then for pauses: 99.8 % of the voice's phones
# are shorter. A phone that has run past all it was taught would otherwise be held.
LONGEST = dict(enumerate(map(int, "775999374368965558758756795677464854564"), 1))
LONGEST_PAUSE = 7


class SamplingSettings(Settings):
    """How boldly units and pointer moves are drawn; temperature 0 takes the likeliest."""

    temperature: float = 0.3
    top_k: int = 12
    move_temperature: float = 0.3


@dataclass(frozen=True)
class Step:
    """One unit, the symbol of the state that it sounds, and the words that ended with it."""

    unit: int
    symbol: int
    ended: tuple[int, ...]


class Speaking:
    """A reply in progress: ``for step in speaking`` gives one Step per pass through the net."""

    def __init__(
        self, net: SpeechDecoder, states: Iterator[SpeechState], delivery: int, generator: torch.Generator,
        settings: SamplingSettings,
    ) -> None:  # fmt: skip
        self._net, self._source, self._settings = net, states, settings
        self._delivery = torch.tensor([delivery])
        self._generator = generator
        self._states: list[SpeechState] = []
        self._now: DecoderState = net.begin()
        self._ended = -1  # the last word that is over

    @torch.inference_mode()
    def step(self) -> Step | None:
        """The next unit; None when the reply is over."""
        now = self._now
        fresh = self._take(states_needed(self._net.config, now.step, now.pointer) - len(self._states))
        if now.pointer >= len(self._states) or self._states[now.pointer].symbol == END:
            return None
        x = torch.cat((*fresh, self._unit_input()), 1)
        y, now.cache = self._net(x, now.position, now.cache)
        now.position += x.shape[1]
        units, moves = self._net.heads(y[0, -1])
        now.unit = draw(units, self._settings.temperature, self._settings.top_k, self._generator)
        move = draw(moves, self._settings.move_temperature, len(moves), self._generator)
        now.step += 1
        symbol = now.symbols[now.pointer]
        longest = LONGEST.get(symbol, LONGEST_PAUSE)
        return Step(now.unit, symbol, self._move(max(move, 1) if now.elapsed + 1 >= longest else move))

    def _take(self, count: int) -> list[torch.Tensor]:
        """Inputs of up to ``count`` more states, as far as there are any."""
        fresh = list(islice(self._source, max(count, 0)))
        if not fresh:
            return []
        self._states += fresh
        bridged = torch.stack([self._thought(state) for state in fresh])[None]
        symbols = torch.tensor([[state.symbol for state in fresh]])
        starts = torch.tensor([[int(state.starts) for state in fresh]])
        self._now.symbols += [state.symbol for state in fresh]
        self._now.bridged += list(bridged[0])
        return [self._net.state_inputs(symbols, starts, bridged, self._delivery)]

    def _thought(self, state: SpeechState) -> torch.Tensor:
        if state.hidden is None:
            return torch.zeros(self._net.config.width)
        return self._net.thoughts(state.hidden.float(), torch.ones(()))

    def _unit_input(self) -> torch.Tensor:
        now, net = self._now, self._net
        before = net.table[now.unit] if now.unit >= 0 else torch.zeros(net.config.code_width)
        around = torch.tensor([[net.window(now.symbols, now.pointer)]])
        elapsed = torch.tensor([[now.elapsed]])
        bridged = now.bridged[now.pointer][None, None]
        return net.unit_inputs(before[None, None], around, bridged, elapsed, self._delivery)

    def _move(self, count: int) -> tuple[int, ...]:
        """Move the pointer on; returns the words whose last phone it left, words without a sound before them too."""
        now = self._now
        start = now.pointer
        now.pointer = min(start + count, len(self._states) - 1)
        now.elapsed = now.elapsed + 1 if now.pointer == start else 0
        last = self._ended
        for here, after in pairwise(self._states[start : now.pointer + 1]):
            over = is_phone(here) and (after.word != here.word or not is_phone(after))
            last = after.word if after.symbol == END else here.word if over else last
        ended = tuple(range(self._ended + 1, last + 1))
        self._ended = last
        return ended


def is_phone(state: SpeechState) -> bool:
    """True for a state that sounds."""
    return state.symbol < COMMA


def draw(logits: torch.Tensor, temperature: float, top_k: int, generator: torch.Generator) -> int:
    """One index from logits [n]: the likeliest at temperature 0, else one of the ``top_k`` likeliest."""
    if temperature == 0.0:
        return int(logits.argmax())
    best, places = logits.topk(min(top_k, len(logits)))
    chances = torch.softmax(best.float() / temperature, 0)
    return int(places[torch.multinomial(chances, 1, generator=generator)])
