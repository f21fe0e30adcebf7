"""Asks the store for what bears on the words just heard.

Builds the query: the words themselves and, where they lean on what went before ("and when is it"), the turn they
lean on. ("The user" for "I" was tried in the query: it makes all memories look alike and halves what is found.)
It knows nothing of how a store searches or of what a reply does with what is found. Blocking, as the store is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from memory.records import Memory

LEANS_BELOW = 3  # content words with which a turn stands on its own
_EMPTY = re.compile(
    r"(?:a|about|again|all|am|an|and|any|are|as|at|be|been|but|by|can|could|did|do|does|for|from|get|go|got"
    r"|had|has|have|he|her|him|his|how|i|if|in|is|it|it's|its|just|know|like|me|my|of|off|on|one|or|our|out"
    r"|she|so|some|tell|than|that|that's|the|their|them|then|there|they|this|to|too|up|us|was|we|were|what"
    r"|what's|when|where|which|who|who's|whom|whose|why|will|with|would|you|your|remember|please|well|yes"
    r"|no|okay)"
)


class Spoken(Protocol):
    """A turn of the conversation (model.interface.Said is one)."""

    @property
    def who(self) -> str:
        """ "user" or "agent"."""

    @property
    def text(self) -> str:
        """The words."""


class Searchable(Protocol):
    """What is asked of a store."""

    def recall(self, person: str, query: str, k: int = 3) -> list[Memory]:
        """The nearest memories, best first."""


def recall(store: Searchable, person: str, heard: str, history: Sequence[Spoken] = (), k: int = 3) -> list[str]:
    """Texts of the up to ``k`` memories that bear on ``heard``, nearest first; [] where nothing does.

    Raises the store's StoreError.
    """
    asked = query(heard, history)
    return [memory.text for memory in store.recall(person, asked, k)] if asked else []


def query(heard: str, history: Sequence[Spoken] = ()) -> str:
    """What to search for, given what was heard and said before; "" for nothing."""
    heard = " ".join(heard.split())
    if not heard:
        return ""
    before = ""
    if _content(heard) < LEANS_BELOW and history:
        before = " ".join(history[-1].text.split()[-30:])
    return f"{before} {heard}".strip()


def _content(text: str) -> int:
    """How many words of ``text`` name anything."""
    return sum(_EMPTY.fullmatch(word) is None for word in re.findall(r"[a-z0-9']+", text.lower()))
