"""Turns what a user said of himself into a sentence about "the user": "i've a dog" becomes "the user has a dog".

Grammar only, word by word, for recogniser text (lower case, no punctuation) as well as for typed text. It knows
nothing of what is worth keeping; what it cannot parse it leaves as it was said.
"""

from __future__ import annotations

import re

USER = "the user"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_PAST = _set(
    """was were had went got said told took came saw made gave found knew thought left felt kept let met ran sat stood
    lost bought brought caught taught fell grew drew flew threw wrote drove broke chose spoke woke ate drank sang swam
    began won heard held led paid sent slept spent put cut hurt hit quit read set shut beat became built did meant lent
    rode sold shook stole stuck swore wore hung bit dug fought forgot forgave hid laid lit rang rose sank slid spun
    spread struck swept tore understood bet dreamt learnt burnt spelt"""
)
_MODAL = _set("can can't cannot could couldn't will won't must mustn't should shouldn't may might would")
_ADVERBS = _set(
    """always never usually often really just also still only hardly already sometimes mostly actually nearly almost
    rarely normally generally finally recently simply definitely absolutely"""
)
_BE = {"am": "is", "was": "was", "were": "was"}
_AFTER_I = {
    "i'm": "is", "i've": "has", "i'll": "will", "i'd": "had", "we're": "are", "we've": "have", "we'll": "will",
    "we'd": "had",
}  # fmt: skip
_OTHERS = {
    "me": USER, "my": f"{USER}'s", "mine": f"{USER}'s", "myself": USER, "our": f"{USER}'s", "ours": f"{USER}'s",
    "us": USER, "ourselves": USER,
}  # fmt: skip
_WOULD = _set("like love rather prefer be hate")
_NEGATED = {"don't": "does not", "haven't": "has not", "didn't": "did not", "wasn't": "was not", "ain't": "is not"}
_NAMED = re.compile(r"\b(called|named|name is|name's)((?: [a-z][a-z'-]*){1,2})")
_NO_NAME = _set(
    """and but or so because who that which is was are were has had he she it they i the a an my her his for after at
    in on of from with to by since when as not"""
)
_CALENDAR = re.compile(
    r"\b((?:mon|tues|wednes|thurs|fri|satur|sun)days?|january|february|april|june|july|august|september|october|"
    r"november|december|christmas|easter)\b"
)


def about_the_user(clause: str) -> str:
    """``clause`` in the third person, with a capital at its head and a full stop."""
    words = re.sub(r"\bmy (\w+) and i\b", rf"{USER}'s \1 and {USER}", clause.replace("’", "'")).split()
    out: list[str] = []
    at = 0
    while at < len(words):
        said, taken = _phrase(words[at:])
        out += said
        at += taken
    return sentence(" ".join(out))


def as_told(fact: str) -> str:
    """``fact`` with "I" and "my" for the user, as he would ask for it: what is embedded in place of the fact.

    "The user" in every memory makes all of them look alike; without it a fifth more questions find theirs.
    """
    return re.sub(rf"\b{USER}\b", "I", re.sub(rf"\b{USER}'s\b", "my", fact, flags=re.I), flags=re.I)


def sentence(text: str) -> str:
    """``text`` with a capital at its head, capitals in the names it tells, and a full stop."""
    text = _CALENDAR.sub(lambda found: found[1].capitalize(), _NAMED.sub(_with_capitals, text.strip(" ,;.!?-")))
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _phrase(words: list[str]) -> tuple[list[str], int]:
    """The words at the head of ``words`` in the third person, and how many were read."""
    word = words[0].lower()
    bare = word.strip(",.;")
    tail = words[0][len(words[0].rstrip(",.;")) :]
    if bare in ("i", "we"):
        subject = USER if bare == "i" else f"{USER} and others"
        said, taken = _verb([other.lower() for other in words[1:4]], plural=bare == "we")
        return [subject + ("" if taken else tail), *said], 1 + taken
    if bare in _AFTER_I:
        return _contracted(bare, tail, words)
    if bare in _OTHERS:
        return [_OTHERS[bare] + tail], 1
    return [words[0]], 1


def _contracted(bare: str, tail: str, words: list[str]) -> tuple[list[str], int]:
    """I'm, we've, I'd and their like."""
    subject = USER if bare.startswith("i") else f"{USER} and others"
    verb = _AFTER_I[bare]
    following = words[1].lower() if len(words) > 1 else ""
    if bare.endswith("'d") and following in _WOULD:
        verb = "would"
    if bare.endswith("'ve") and following == "got":
        return [subject, verb], 2
    return [subject, verb + tail], 1


def _verb(words: list[str], plural: bool) -> tuple[list[str], int]:
    """The verb after "I" (adverbs before it kept), and how many words that took; nothing where there is none."""
    adverbs = [word for word in words[:2] if word in _ADVERBS]
    adverbs = adverbs if words[: len(adverbs)] == adverbs else []
    if len(words) <= len(adverbs) or plural:
        return adverbs, len(adverbs)
    word = words[len(adverbs)]
    bare = word.rstrip(",.;")
    if not re.fullmatch(r"[a-z']+", bare) or bare in _NO_NAME - {"was", "were", "had"}:
        return adverbs, len(adverbs)
    return [*adverbs, _conjugated(bare) + word[len(bare) :]], len(adverbs) + 1


def _conjugated(verb: str) -> str:
    """The form of ``verb`` that goes with "the user"."""
    if verb in _BE:
        return _BE[verb]
    if verb in _NEGATED:
        return _NEGATED[verb]
    if (
        verb in _PAST
        or verb in _MODAL
        or (verb.endswith("ed") and verb not in ("need", "feed", "breed"))
        or "'" in verb
    ):
        return verb
    if verb == "have":
        return "has"
    if verb.endswith("y") and verb[-2:-1] not in tuple("aeiou"):
        return f"{verb[:-1]}ies"
    return verb + ("es" if verb.endswith(("o", "s", "x", "ch", "sh", "z")) else "s")


def _with_capitals(found: re.Match[str]) -> str:
    """Capitals for the one or two words after "called"."""
    out = found[1]
    named = True
    for word in found[2].split():
        named = named and word not in _NO_NAME
        out += " " + (word.capitalize() if named else word)
    return out
