"""What the speech decoder is told: one state per phone or pause, with the LLM's thoughts on its word.

Knows words as they are written and pronounced, and the symbols of states; nothing of units or sound.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from model.interface import PoiseError
from model.nano.phones import COUNT, INDEX

COMMA, STOP, QUESTION, END = range(COUNT, COUNT + 4)
SYMBOLS = COUNT + 4
_PAUSES = {",": COMMA, ".": STOP, "!": STOP, "?": QUESTION}


class SpeechError(PoiseError):
    """Something was to be spoken that cannot be."""

    code = "not_speakable"


@dataclass(frozen=True, eq=False)
class SpokenWord:
    """One word to be spoken: phones of `phones`, the LLM's hidden state of its last token, the pause behind it."""

    text: str
    phones: tuple[str, ...]
    hidden: torch.Tensor | None = None  # [256]
    pause_after: str = ""  # "", ",", ".", "!" or "?"


@dataclass(frozen=True, eq=False)
class SpeechState:
    """One phone, pause or the end; ``word`` is the number of its word (of the word before, for a pause)."""

    symbol: int
    starts: bool  # a word
    word: int
    hidden: torch.Tensor | None


def states_of(words: Iterable[SpokenWord]) -> Iterator[SpeechState]:
    """States of a reply, as its words become known; closed by a pause and END.

    Raises SpeechError for an unknown phone or mark.
    """
    number, closed, rest = -1, True, None
    for number, word in enumerate(words):
        for place, phone in enumerate(word.phones):
            if phone not in INDEX:
                raise SpeechError(f"The word {word.text!r} has an unknown phone {phone!r}.", f"Use {' '.join(INDEX)}.")
            yield SpeechState(INDEX[phone], place == 0, number, word.hidden)
        rest, closed = word.hidden, bool(word.pause_after)
        if word.pause_after:
            if word.pause_after not in _PAUSES:
                wrong = f"The word {word.text!r} has an unknown mark {word.pause_after!r}."
                raise SpeechError(wrong, "Use one of , . ! ? or nothing.")
            yield SpeechState(_PAUSES[word.pause_after], False, number, word.hidden)
    if number < 0:
        return
    if not closed:
        yield SpeechState(STOP, False, number, rest)
    yield SpeechState(END, False, number, None)


def pause_after(written: str) -> str:
    """The pause that the punctuation at the end of a written word asks for."""
    for mark in reversed(written.rstrip("\"')”’")):
        if mark in _PAUSES:
            return mark
        if mark in ";:—–…":
            return "." if mark == "…" else ","
        break
    return ""
