"""What remembered facts are good for in a reply: answering a question about them, and naming what is meant.

Knows facts as short sentences in the third person, as memory writes them; knows no bank and no model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from model.nano.wording import content, sentence, to_second_person, words

_ASKS = re.compile(
    r"\b(?:what(?:'s| is| was| are| were)?|who(?:'s| is| was)?|when(?:'s| is| was)?|where(?:'s| is| was| are| do| did)?"
    r"|which|how)\b.*\b(?:my|i|i'm|me)\b"
    r"|\b(?:do|don't|can) you (?:still )?(?:remember|know|recall)\b.*\b(?:my|i|i'm|me|what|who|when|where)\b"
    r"|\bdid i (?:tell|say|mention)\b|\bhave i (?:told|said)\b|\bremind me (?:what|who|when|where|of)\b"
)
_ADVICE = re.compile(
    r"\b(?:should|shall|can|could|would|do) i\b(?! (?:tell|say|like|call|live|work))|\bhow (?:do|can|could) i\b"
)
_SURELY = re.compile(
    r"\bwhat(?:'s| is| was) my (?:\w+ )?(?:name|birthday|address|number|\w+ called|\w+'s name)\b"
    r"|\b(?:do|don't) you (?:still )?(?:remember|recall) (?:my|what i|where i|who i|when i|me)\b|\bdid i tell you\b"
)
_NAMED = re.compile(r"^(?:[Tt]he user|[A-Z][a-z]+)'s ((?:\w+ )??\w+) (?:is |was )?(?:called|named) ([A-Z]\w+)")
_NAME_IS = re.compile(r"^(?:[Tt]he user|[A-Z][a-z]+)'s ((?:\w+ )??\w+)'s name is ([A-Z]\w+)")
_BINDING = re.compile(r"\b(?:promised|swore|allergic|asked|must|has to|may not|wants no)\b")
_ABOUT_NAME = re.compile(r"\b(?:name|called)\b")


def asks_memory(heard: str) -> bool:
    """True where the words ask for something the agent was told ("what's my dog called")."""
    return bool(_ASKS.search(heard)) and not _ADVICE.search(heard)


def surely_asks_memory(heard: str) -> bool:
    """True where nothing but a remembered fact would be an answer."""
    return bool(_SURELY.search(heard))


def answer(heard: str, facts: Sequence[str]) -> str:
    """The facts that answer the question, said to the user; "" where none does. Nearest facts come first."""
    asked = content(heard) - {"rememb", "remember", "call", "nam", "know", "tell", "remind", "told"}
    best, found = 0.0, ""
    for rank, fact in enumerate(facts):
        shared = len(asked & (content(fact) - {"user"}))
        bonus = 0.5 if _ABOUT_NAME.search(heard) and re.search(r"\b(?:called|named?)\b", fact) else 0.0
        score = shared + (bonus if shared or not asked else 0.0) - 0.1 * rank
        if score > best:
            best, found = score, fact
    if not found and not asked and facts:
        found = facts[0]
    return to_second_person(found) if found else ""


def names(facts: Sequence[str]) -> dict[str, str]:
    """Whom the user has, by what they are to him: {"dog": "Benno"}."""
    known = {}
    for fact in facts:
        match = _NAMED.match(fact) or _NAME_IS.match(fact)
        if match:
            known[match[1].lower().split()[-1]] = match[2]
    return known


def meant(heard: str, facts: Sequence[str]) -> str:
    """The name of whoever the user speaks of without naming him ("my dog" -> "Benno"); "" where unknown."""
    said = words(heard)
    for relation, name in names(facts).items():
        if relation in said and name.lower() not in said:
            return name
    return ""


def reminder(heard: str, facts: Sequence[str], shared: int = 2, own: bool = True) -> str:
    """A fact that has at least ``shared`` words of meaning in common with what was heard, said to the user.

    ``own``: only facts told about the user himself; else a promise, an allergy or a wish needs only one word.
    """
    said = content(heard)
    for fact in facts:
        if own and not fact.startswith("The user"):
            continue
        need = 1 if not own and _BINDING.search(fact) else shared
        if len(said & (content(fact) - {"user"})) >= need and content(fact) - said - {"user"}:
            return to_second_person(fact)
    return ""


def as_clause(text: str) -> str:
    """A sentence as part of another: "You have an exam." -> "you have an exam"."""
    head = text.rstrip(".")
    plain = head.split()[0] in {"You", "Your", "The", "A", "An", "There", "It", "He", "She", "They", "This", "Since"}
    return head[:1].lower() + head[1:] if plain else head


def of_self(heard: str, stance: str, persona: str) -> str:
    """An answer to "who are you" from the persona; "" where something else is asked."""
    if re.search(r"\b(?:what's|what is) your name\b|\bwho are you\b|\bwhat are you called\b", heard):
        about = stance.split(",")[0].split(".")[0].strip()
        return sentence(f"I am {persona}" + (f", {_article(about)}" if about else ""))
    return ""


def _article(noun: str) -> str:
    if re.match(r"(?:a|an|the|your|my|i|you|who|teaches|speaks|former|old friend)\b", noun, re.I):
        return noun[:1].lower() + noun[1:]
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun[:1].lower() + noun[1:]}"
