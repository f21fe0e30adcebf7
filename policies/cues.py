"""Lexical cues of turn taking in English: small word lists and how to look for them.

Works on words as a recogniser gives them (lower case, no punctuation) and knows no audio, persona or
policy. The lists are short on purpose: they carry the baseline and the floor rules, not the judgement.
"""

from __future__ import annotations

import re


def _set(line: str) -> frozenset[str]:
    return frozenset(line.split())


BACK_CHANNELS = _set(
    "mhm mm mmm hm hmm uh-huh uhhuh uh huh yeah yes yep yup right okay ok sure true exactly really wow oh ah aha "
    "alright nice cool great good"
)
BACK_CHANNEL_PHRASES = ("i see", "got it", "go on", "of course", "no way", "makes sense", "that's right", "fair enough")
STOP_WORDS = _set("stop wait hold no enough quiet hush pause shush halt actually sorry but listen")
UNFINISHED = _set(
    "and or but because so if when while that which who the a an my your his her its our their to of for with at in on "
    "from by about into um uh er erm like well than as is are was were i'm it's he's she's they're we're i he she "
    "we they you'd i'd i'll we'll not very just really some any this these those maybe also until unless although "
    "though since before after where how what why whether would could should can will has have had"
)
QUESTION_STARTS = _set(
    "what when where who whom whose why which how is are was were do does did can could would will should shall may "
    "have has am isn't aren't don't doesn't didn't can't couldn't wouldn't won't shouldn't"
)
HESITATIONS = _set("um uh er erm hmm hm")
QUIET_REQUESTS = (
    "don't say anything", "do not say anything", "give me a moment", "give me a minute", "give me a second",
    "let me think", "let me finish", "just listen", "be quiet", "hang on", "hold on", "one moment", "not now",
    "wait a moment", "let me see", "don't talk", "don't answer",
)  # fmt: skip
URGENT = (
    "right now", "on fire", "smoke", "gas", "bleach", "ladder", "driving", "drunk", "bare hands", "live wire",
    "mains", "boiling", "burning", "the edge", "allergic", "swallow", "fell", "bleeding", "can't breathe", "choking",
    "electric", "without a helmet", "double the dose", "twice the dose", "all the pills", "train leaves", "petrol",
)  # fmt: skip
REQUESTS = (
    "can you", "could you", "would you", "will you", "please", "tell me", "give me", "let me", "i want", "i need",
    "can i", "could i", "may i", "just this once", "just once", "what about", "how about", "do you", "are you",
)  # fmt: skip
OPEN_REFUSALS = re.compile(r"^(never|no|not|nobody|won't|will not|does not|doesn't|refuses|keeps|sends)\b")
STEERING = re.compile(r"\b(steers?|changes? the subject|turns? the talk|jumps?|leads back|talks? of something else)\b")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
_FUNCTION_WORDS = (
    UNFINISHED
    | QUESTION_STARTS
    | BACK_CHANNELS
    | _set(
        "never no nobody it me him them us there here out up down away off all one other others another away "
        "else something anything nothing someone anyone talk talks about does keeps sends steers changes turns do "
        "subject been be being get gets got make makes made let lets says say said tells tell"
    )
)


def words(text: str) -> list[str]:
    """Words of a text as a recogniser gives them: lower case, no punctuation."""
    return _WORD.findall(text.lower().replace("’", "'"))


def has_phrase(heard: list[str], phrases: tuple[str, ...]) -> str | None:
    """The first of ``phrases`` that occurs in ``heard`` on word borders, or None."""
    line = f" {' '.join(heard)} "
    return next((phrase for phrase in phrases if f" {phrase} " in line), None)


def is_back_channel(heard: list[str]) -> bool:
    """True for a few words that all are a listener's noises; False for no words at all."""
    if not heard or len(heard) > 4:
        return False
    line = " ".join(heard)
    for phrase in BACK_CHANNEL_PHRASES:
        line = line.replace(phrase, "yeah")
    return all(word in BACK_CHANNELS for word in line.split())


def is_unfinished(heard: list[str]) -> bool:
    """True where the last word asks for another (conjunction, article, hesitation, ...)."""
    return bool(heard) and heard[-1] in UNFINISHED


def is_question(heard: list[str]) -> bool:
    """True where the last clause begins like a question."""
    tail = heard[-10:]
    starts = [i for i, word in enumerate(tail) if word in QUESTION_STARTS]
    return bool(starts) and len(tail) - starts[0] >= 3


def stem(word: str) -> str:
    """A crude stem: enough to match lend, lends, lending."""
    word = word.split("'")[0]
    for ending in ("ings", "ing", "ers", "ies", "ied", "es", "ed", "er", "ly", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def content(text: str) -> frozenset[str]:
    """Stems of the content words of a text."""
    return frozenset(stem(word) for word in words(text) if word not in _FUNCTION_WORDS and len(word) > 2)


def overlap(text: str, heard: list[str]) -> float:
    """Share (0..1) of the content words of ``text`` that were heard."""
    wanted = content(text)
    return len(wanted & content(" ".join(heard))) / len(wanted) if wanted else 0.0


def nearest_boundary(boundaries: tuple[str, ...], heard: list[str]) -> tuple[str, float]:
    """The boundary whose content words were heard most, and the share (0..1) of them; ("", 0) without any."""
    shares = [(overlap(boundary, heard), boundary) for boundary in boundaries]
    share, best = max(shares, default=(0.0, ""))
    return (best, share) if share > 0 else ("", 0.0)
