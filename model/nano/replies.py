"""Plans nano's replies: retrieve an answer that fits, adapt it to persona, memory and length, let the LLM choose.

Knows the prompt, the bank, the LLM and the wording rules; knows no sound and no session. One `Replier` serves all
sessions: whatever belongs to a conversation is in the prompt, and choices are made by the generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.interface import DELIVERIES, ReplyPrompt, TextEncoder
from model.nano import actions, bank, minilm, phrasebook, remembered, text, weights
from model.nano.actions import Choice
from model.nano.adapter import Adapter, Soft
from model.nano.bank import Bank
from model.nano.config import LlmConfig
from model.nano.llm import Llm
from model.nano.prompting import soft_prompt
from model.nano.retrieval import Found, Query, blend, retrieve
from model.nano.text import Vocabulary
from model.nano.wording import form, join, loops, sentences, trim, words

UNSURE = 0.12  # transcript confidence below which it is asked for again
DOUBTFUL = 0.25  # below which it is asked for again unless an example fits
ENOUGH = 0.74  # score an example needs to be said
NEAR = 0.12  # as good as the best: the LLM may choose among these
CHOICES = 4
LIKELY = 0.02  # weight of the LLM's mean log-probability beside the score
TAIL = 14  # last words of a long turn, which say what it comes to
SHORT = 9  # words of an answer to a question that only carries on
OTHERS = {"refuse": actions.refusal, "deflect": actions.deflection, "interrupt": actions.interruption}


@dataclass(frozen=True)
class Plan:
    """What will be said."""

    text: str
    delivery: str
    source: str  # general, exchange, template, memory, repeat, fallback, unheard, crisis
    score: float  # what it was chosen by; 0 for templates
    hidden: Tensor | None = field(default=None, compare=False, repr=False)  # [words, width]


@dataclass(frozen=True)
class _Option:
    text: str
    delivery: str
    source: str
    score: float
    found: Found | None = None


class Talker(nn.Module):
    """LLM and adapter together: what is trained, stored and loaded as ``llm``."""

    def __init__(self, config: LlmConfig) -> None:
        super().__init__()
        self.llm = Llm(config)
        self.adapter = Adapter(config)


class Replier:
    """Plans replies and streams their words with the LLM's hidden states."""

    def __init__(self, llm: Llm, adapter: Adapter, vocabulary: Vocabulary, bank: Bank, encode: TextEncoder) -> None:
        self._llm, self._adapter, self._vocabulary = llm.eval(), adapter.eval(), vocabulary
        self._bank, self._encode = bank, encode

    @classmethod
    def load(cls, folder: Path | None = None, encode: TextEncoder | None = None) -> Replier:
        """Load from ``folder`` (default: the shipped weights); raises WeightsError.

        ``encode``: sentence embeddings of MiniLM; without it they are loaded from its package.
        """
        folder = folder or weights.FOLDER
        talker = Talker(LlmConfig())
        weights.load(talker, "llm", folder)
        return cls(talker.llm, talker.adapter, text.load(folder), bank.load(folder), encode or minilm.load())

    @torch.inference_mode()
    def plan(
        self,
        prompt: ReplyPrompt,
        generator: torch.Generator,
        manner: NDArray[np.float32] | None = None,
        sure: Sequence[float] | None = None,
    ) -> Plan:
        """The reply to ``prompt``: never empty, at most ``max_words`` words, beginning with ``opening``.

        ``manner``: how the user's turn was said, pooled states of the ear [ear_width]; ``sure``: confidence 0..1 of
        each heard word. Both may be unknown. An opening longer than ``max_words`` is said whole, and alone.
        """
        prompt = prompt.model_copy(update={"heard": " ".join(words(prompt.heard))})
        choice = Choice(prompt, generator)
        options = [self._fitted(option, prompt) for option in self._options(prompt, choice)]
        new = [o for o in options if o.text and choice.is_new(o.text) and not loops(o.text)]
        options = new or [o for o in options if o.text][:1]
        states = None if manner is None else torch.as_tensor(manner, dtype=torch.float32)
        return self._best(options, generator, self._soft(prompt, options[0], sure, states))

    def words(self, plan: Plan) -> Iterator[tuple[str, Tensor]]:
        """Each word of the plan, with case and punctuation, and its hidden state [width]."""
        spoken = plan.text.split()
        if plan.hidden is None or len(plan.hidden) != len(spoken):
            raise ValueError("The plan was not made by this replier.")
        yield from zip(spoken, plan.hidden, strict=True)

    def _options(self, prompt: ReplyPrompt, choice: Choice) -> list[_Option]:
        if prompt.action == "open":
            return [_Option(actions.opener(prompt, choice), prompt.delivery, "template", 0.0)]
        if text := actions.crisis(prompt, choice):
            return [_Option(text, "serious", "crisis", 0.0)]
        if prompt.action in OTHERS:
            return [_Option(OTHERS[prompt.action](prompt, choice), prompt.delivery, "template", 0.0)]
        if not prompt.heard or (prompt.confidence is not None and prompt.confidence < UNSURE):
            return [_Option(actions.not_caught(prompt, choice), prompt.delivery, "unheard", 0.0)]
        if text := actions.repetition(prompt):
            return [_Option(text, prompt.delivery, "repeat", 0.0)]
        if text := self._known(prompt, choice):
            return [_Option(text, prompt.delivery, "memory", 0.0)]
        return self._answers(prompt, choice)

    def _known(self, prompt: ReplyPrompt, choice: Choice) -> str:
        if text := remembered.of_self(prompt.heard, prompt.stance, prompt.persona):
            return text
        if phrasebook.TO_NOTE.search(prompt.heard):
            return choice.among(phrasebook.NOTED)
        if not remembered.asks_memory(prompt.heard):
            asked = form(prompt.heard) == "question"
            return remembered.reminder(prompt.heard, prompt.memory, own=False) if asked else ""
        found = remembered.answer(prompt.heard, prompt.memory)
        asked = remembered.surely_asks_memory(prompt.heard)
        return found or (choice.among(phrasebook.NO_MEMORY) if asked else "")

    def _answers(self, prompt: ReplyPrompt, choice: Choice) -> list[_Option]:
        found, feeling = self._retrieved(prompt)
        found = [f for f in found if choice.is_new(f.example.text)]
        enough = max(ENOUGH, found[0].score - NEAR) if found else ENOUGH
        good = [f for f in found if f.score >= enough][:CHOICES]
        if good:
            return [_Option(f.example.text, f.example.delivery, f.example.source, f.score, f) for f in good]
        unsure = prompt.confidence is not None and prompt.confidence < DOUBTFUL
        text = actions.not_caught(prompt, choice)
        if unsure and choice.is_new(text):
            return [_Option(text, prompt.delivery, "unheard", 0.0)]
        asked = bool(prompt.history) and prompt.history[-1].text.rstrip().endswith("?")
        if asked and len(prompt.heard.split()) <= SHORT and form(prompt.heard) == "statement":
            return [_Option(actions.continuer(feeling, choice), prompt.delivery, "fallback", 0.0)]
        return [_Option(actions.fallback(prompt.heard, feeling, choice), prompt.delivery, "fallback", 0.0)]

    def _retrieved(self, prompt: ReplyPrompt) -> tuple[list[Found], str]:
        before = prompt.history[-1].text if prompt.history and prompt.history[-1].who == "agent" else ""
        said = prompt.heard.split()
        texts = [prompt.heard, " ".join(said[-TAIL:])]
        texts += [f"{' '.join(words(before))} {prompt.heard}"] if before else []
        embedded = self._encode(texts)
        feelings = blend(prompt.emotion, self._bank.feelings(embedded[0]))
        query = Query(prompt.heard, embedded[0], embedded[1], embedded[2] if before else None)
        return retrieve(self._bank, query, feelings), max(feelings, key=lambda name: feelings[name])

    def _fitted(self, option: _Option, prompt: ReplyPrompt) -> _Option:
        """The option with memory spliced in, the opening in front, and no longer than it may be."""
        text = option.text
        if option.source in {"general", "fallback"}:
            name = remembered.meant(prompt.heard, prompt.memory)
            note = remembered.reminder(prompt.heard, prompt.memory)
            if name:
                text = f"Oh, {name}. {text}"
            elif note:
                text = f"I remember that {remembered.as_clause(note)}. {text}"
        room = max(prompt.max_words - len(prompt.opening.split()), 0)
        text = trim(without_echo(prompt.opening, text), room) if text and room >= 2 else ""
        whole = join(prompt.opening, text)
        delivery = option.delivery if option.delivery in DELIVERIES else "warm"
        return _Option(whole, delivery, option.source, option.score, option.found)

    def _soft(self, prompt: ReplyPrompt, first: _Option, sure: Sequence[float] | None, states: Tensor | None) -> Soft:
        example = first.found.example if first.found else None
        return soft_prompt(prompt, self._vocabulary, example, sure, states)

    def _best(self, options: list[_Option], generator: torch.Generator, soft: Soft) -> Plan:
        hidden, past = self._llm(self._adapter.read(self._llm.embedding, soft))
        spelled = [self._vocabulary.words(option.text) for option in options]
        tokens = [[token for word in parts for token in word] for parts in spelled]
        chances, states_of = self._llm.score(hidden[0, -1], past, tokens)
        noise = torch.rand(len(options), generator=generator) * 0.03
        worth = [o.score + LIKELY * float(c.mean()) for o, c in zip(options, chances, strict=True)]
        best = max(range(len(options)), key=lambda i: worth[i] + float(noise[i]))
        ends = torch.tensor([len(word) for word in spelled[best]]).cumsum(0) - 1
        chosen = options[best]
        return Plan(chosen.text, chosen.delivery, chosen.source, worth[best], states_of[best][ends].clone())


def without_echo(opening: str, text: str) -> str:
    """The text without a beginning that the opening has said already ("I'm sorry." + "I am sorry. ...")."""
    spoken = set(words(opening.replace("'m", " am").replace("'s", " is")))
    if not spoken:
        return text
    first, *rest = sentences(text) or [""]
    head = [word for word in words(first) if word not in {"so", "very", "oh"}]
    if rest and head and len(spoken & set(head)) >= 0.75 * len(head):
        return " ".join(rest)
    lead, comma, tail = text.partition(", ")
    if comma and tail and set(words(lead)) <= spoken | {"no", "oh"} and "oh" in words(lead):
        return tail[0].upper() + tail[1:]
    return text
