"""Lays out all that a reply is made from as one soft prompt for nano's LLM.

Knows the order of the parts and what is left out first when room is short; knows no weights. The form:
<persona> … <boundary> … <memory> … <history> … <example> said <agent> answer <user> heard words <voice>
<action=…> <delivery=…> <agent>.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from model.interface import EMOTIONS, ReplyPrompt
from model.nano.adapter import Soft
from model.nano.bank import Example
from model.nano.text import Vocabulary

ROOM = {"<persona>": 16, "<boundary>": 14, "<memory>": 28, "<history>": 44, "<example>": 64, "<user>": 64}


def soft_prompt(
    prompt: ReplyPrompt,
    vocabulary: Vocabulary,
    example: Example | None,
    sure: Sequence[float] | None = None,
    states: Tensor | None = None,
) -> Soft:
    """The prompt as tokens with weights, ready for `adapter.Adapter.read`.

    ``sure``: confidence of each heard word, 0..1 (default: the transcript's); ``states``: pooled ear state
    [ear_width]. Each part has room for so many tokens; of the history and the heard words the end is kept.
    """
    tokens: list[int] = []
    weights: list[float] = []

    def add(mark: str, ids: list[int], certain: list[float] | None = None, keep_end: bool = False) -> None:
        room = ROOM[mark]
        part = slice(-room, None) if keep_end else slice(room)
        tokens.extend([vocabulary.mark(mark), *ids[part]])
        weights.extend([1.0, *(certain or [1.0] * len(ids))[part]])

    add("<persona>", vocabulary.encode(prompt.stance))
    if prompt.boundary:
        add("<boundary>", vocabulary.encode(prompt.boundary))
    if prompt.memory:
        add("<memory>", vocabulary.encode(" ".join(prompt.memory[:2])))
    if prompt.history:
        add("<history>", _history(prompt, vocabulary), keep_end=True)
    if example is not None:
        answer = [vocabulary.mark("<agent>"), *vocabulary.encode(example.text)]
        add("<example>", vocabulary.encode(example.said)[-28:] + answer)
    ids, certain = _heard(prompt, vocabulary, sure)
    add("<user>", ids, certain, keep_end=True)
    ends = ["<voice>", f"<action={prompt.action}>", f"<delivery={prompt.delivery}>", "<agent>"]
    tokens.extend(vocabulary.mark(name) for name in ends)
    weights.extend([1.0] * len(ends))
    return Soft(tokens, weights, posterior(prompt.emotion), states)


def posterior(emotion: dict[str, float] | None) -> tuple[float, ...]:
    """Emotion probabilities in the order of EMOTIONS; even where nothing is known."""
    if emotion is None:
        return (1 / len(EMOTIONS),) * len(EMOTIONS)
    return tuple(float(emotion.get(name, 0.0)) for name in EMOTIONS)


def _history(prompt: ReplyPrompt, vocabulary: Vocabulary) -> list[int]:
    ids: list[int] = []
    for turn in prompt.history[-4:]:
        ids += [vocabulary.mark("<user>" if turn.who == "user" else "<agent>"), *vocabulary.encode(turn.text)]
    return ids


def _heard(prompt: ReplyPrompt, vocabulary: Vocabulary, sure: Sequence[float] | None) -> tuple[list[int], list[float]]:
    words = vocabulary.words(prompt.heard)
    whole = 1.0 if prompt.confidence is None else min(max(prompt.confidence, 0.0), 1.0)
    each = list(sure) if sure is not None and len(sure) == len(words) else [whole] * len(words)
    ids = [token for word in words for token in word]
    return ids, [weight for word, weight in zip(words, each, strict=True) for _ in word]
