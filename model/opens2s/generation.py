"""Text and speech units of one reply, round by round: M text tokens, N units, and again (OpenS2S).

A plain loop for one stream, to read and to compare with. Both caches live through all rounds; every token is given
out as soon as it is drawn; closing the iterator stops within one step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import DynamicCache

from model.opens2s.compat import Compat
from model.opens2s.errors import RequestError, SequenceError
from model.opens2s.omnispeech import OmniSpeech
from model.opens2s.sampling import Sampling, sample
from model.opens2s.splice import Batch, splice

UPSTREAM_BUDGET = 512


@dataclass(frozen=True)
class Limits:
    """When one of the two streams ends, and how its ids are drawn."""

    budget: int  # most ids
    eos: tuple[int, ...]
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        if isinstance(self.budget, bool) or not isinstance(self.budget, int) or self.budget < 0:
            raise RequestError(f"The limit of new tokens is {self.budget!r}.", "Give a whole number from 0 up.")
        if not self.eos or min(self.eos) < 0:
            raise RequestError(f"The end-of-stream ids are {self.eos}.", "Name at least one id of the tokenizer.")

    @classmethod
    def from_config(cls, data: Mapping[str, Any], sampling: Sampling, *, compat: Compat = None) -> Limits:
        """From the content of a ``generation_config.json``, whose eos may be one id or a list.

        A file without ``max_new_tokens`` is an error; upstream silently takes 512.
        """
        budget = data.get("max_new_tokens")
        if budget is None and compat == "upstream":
            budget = UPSTREAM_BUDGET
        eos = data.get("eos_token_id")
        if budget is None or eos is None:
            raise RequestError(
                "The generation settings lack max_new_tokens or eos_token_id.",
                "Write both into generation_config.json.",
            )
        return cls(budget, tuple(eos) if isinstance(eos, list | tuple) else (eos,), sampling)


@dataclass(frozen=True)
class Token:
    """One id of one stream, or (``id`` None) the end of that stream."""

    stream: Literal["text", "units"]
    round: int
    id: int | None = None
    truncated: bool = False  # at the end: by a limit, not by the model


@dataclass(frozen=True)
class Generation:
    """A whole reply. ``text_ids`` include the EOS if the model gave it; ``unit_token_ids`` only upstream's do."""

    text_ids: tuple[int, ...]
    unit_token_ids: tuple[int, ...]
    rounds: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]  # text and unit ids of each
    text_truncated: bool
    units_truncated: bool


def generate(
    model: OmniSpeech, batch: Batch, *, text: Limits, units: Limits, unit_ids: range | None = None,
    speaker: Tensor | None = None, generator: torch.Generator | None = None,
) -> Generation:  # fmt: skip
    """Run ``stream`` to its end."""
    tokens = list(stream(model, batch, text, units, unit_ids, speaker, generator))
    ends = {token.stream: token.truncated for token in tokens if token.id is None}

    def ids(stream: str, turn: int | None = None) -> tuple[int, ...]:
        chosen = (token for token in tokens if token.stream == stream and turn in (None, token.round))
        return tuple(token.id for token in chosen if token.id is not None)

    rounds = tuple((ids("text", turn), ids("units", turn)) for turn in range(tokens[-1].round + 1))
    return Generation(ids("text"), ids("units"), rounds, ends["text"], ends["units"])


@torch.inference_mode()
def stream(
    model: OmniSpeech, batch: Batch, text: Limits, units: Limits, unit_ids: range | None = None,
    speaker: Tensor | None = None, generator: torch.Generator | None = None,
) -> Iterator[Token]:  # fmt: skip
    """The tokens of a reply to one prompt (``batch`` of one row, without mask), as they are drawn.

    ``unit_ids`` are the ids of the unit vocabulary that sound (default: all but the EOS), ``speaker`` is
    [1, 1, 512], ``generator`` a private one on the CPU. No unit EOS is drawn while text remains, and text is finished
    when the units are cut off by their limit. Upstream draws from the whole vocabulary, takes the speaker for zeros,
    gives out EOS, goes on after it while text remains, and stops the text with the units.

    Raises SequenceError for a prompt that leaves no room in the context, RequestError for limits that do not fit.
    """
    if len(batch.ids) != 1:
        raise SequenceError(
            f"The prompt has {len(batch.ids)} rows.", "Give one row; the engine of sessions takes many."
        )
    upstream = model.compat == "upstream"
    generator = generator or torch.Generator()
    thinking = _Writer(model.llm_model, text.sampling, generator)
    speaking = _Writer(model.tts_lm_model, units.sampling, generator)
    thinking.read(splice(model, batch).embeddings)
    speaking.read(model.speaker(None if upstream else speaker))
    text_left, units_left = _room(model, thinking.waiting[0].shape[1], text.budget, units.budget)
    sounding, closing = (None, None) if upstream else _allowed(speaking, unit_ids, units.eos)
    states_per_round, units_per_round = model.config.interleave
    turn, word, text_over, units_over = -1, -1, False, False
    while not text_over:
        turn, unit = turn + 1, -1
        for _ in range(min(states_per_round, text_left)):
            word, state = thinking.step()
            speaking.read(model.bridge(state))
            text_left -= 1
            yield Token("text", turn, word)
            if word in text.eos:
                break
        text_over = word in text.eos or text_left < 1 or (upstream and units_left < 1)
        if text_over:
            yield Token("text", turn, truncated=word not in text.eos)
        for _ in range(units_left if text_over else min(units_per_round, units_left)):
            unit, _ = speaking.step(closing if text_over else sounding)
            units_left -= 1
            if upstream or unit not in units.eos:
                yield Token("units", turn, unit)
            if unit in units.eos:
                break
        if not units_over and (text_over or units_left < 1):
            units_over = True
            yield Token("units", turn, truncated=unit not in units.eos)


class _Writer:
    """A causal LM at work on one sequence: what it has read is cached, what it is to read next waits."""

    def __init__(self, lm: Any, sampling: Sampling, generator: torch.Generator) -> None:
        self._lm, self._sampling, self._generator = lm, sampling, generator
        self._cache = DynamicCache()
        self.embed = lm.get_input_embeddings()
        self.waiting: list[Tensor] = []

    def read(self, inputs: Tensor) -> None:
        """Put inputs [1, T, D] behind what waits."""
        self.waiting.append(inputs.to(self.embed.weight))

    def step(self, allowed: Tensor | None = None) -> tuple[int, Tensor]:
        """The next id, out of ``allowed`` [n] if that is given, and the final-norm state [1, 1, D] it came from."""
        inputs = torch.cat(self.waiting, 1)
        state = self._lm.base_model(inputs_embeds=inputs, past_key_values=self._cache, use_cache=True)[0][:, -1:]
        logits = self._lm.get_output_embeddings()(state)[:, 0]
        uniform = torch.rand(1, generator=self._generator).to(logits.device)
        settings = self._sampling
        if allowed is None:
            drawn = sample(logits, uniform, settings.temperature, settings.top_k, settings.top_p)
        else:
            drawn = allowed[sample(logits[:, allowed], uniform, settings.temperature, settings.top_k, settings.top_p)]
        self.waiting = [self.embed(drawn[None])]
        return int(drawn), state


def _room(model: OmniSpeech, prompt: int, text: int, units: int) -> tuple[int, int]:
    """Budgets of text and units, cut to what both contexts hold."""
    if text < 1:
        raise RequestError(f"The limit of new text tokens is {text}.", "Give at least 1.")
    if model.compat == "upstream":
        return text, units
    positions: int = model.config.llm_config.max_position_embeddings
    if prompt >= positions:
        raise SequenceError(
            f"The prompt takes {prompt} positions, the LLM has {positions}.", "Shorten the history or the clips."
        )
    text = min(text, positions - prompt)
    return text, max(min(units, model.config.tts_lm_config.max_position_embeddings - 1 - text), 0)


def _allowed(speaking: _Writer, unit_ids: range | None, eos: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Ids that may be drawn while text remains, and after it."""
    weight: Tensor = speaking.embed.weight
    ids = range(len(weight)) if unit_ids is None else unit_ids
    if not ids or ids[0] < 0 or max(ids[-1], *eos) >= len(weight):
        raise RequestError(
            f"The unit ids {ids} or the ends {eos} are not all among the speech decoder's {len(weight)}.",
            "Read both from the checkpoint's unit tokenizer.",
        )
    sounding = [unit for unit in ids if unit not in eos]
    return torch.tensor(sounding, device=weight.device), torch.tensor([*sounding, *eos], device=weight.device)
