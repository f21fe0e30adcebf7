"""Small surgery on English sentences: persons, boundaries, names, length.

Knows grammar of the handful of forms our texts have (facts in the third person, boundaries as verb phrases), not
replies and not models. Everything is pure: text in, text out.
"""

from __future__ import annotations

import re
from collections.abc import Collection

WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
STOP = frozenset(
    """a about after again all also am an and any anybody anyone anything are as at away back be because been before
    being but by can cannot come could day did do does doing done don't down each else even ever every for from get
    go going gone good got had has have having he her here hers him his how i i'd i'll i'm i've if in into is isn't it
    it's its just keep kind know let let's like little lot made make many may maybe me might mine more most much must
    my near need never next no nobody none not nothing now of off oh okay on one only or other our out over own part
    perhaps please put quite really right said say see she should so some somebody someone something sound sounds
    still such sure take tell than that that's the their them then there there's these they thing things think this
    those though thought through time to today together told too took two under until up upon us use very want was
    way we well went were what what's when where which while who who's whole whose why will with without won't word
    words would yes yet you you'd you'll you're you've your yours um uh er mm well yeah hey dear hear heard""".split()  # noqa: SIM905
)
_IRREGULAR = {"has": "have", "does": "do", "is": "am", "goes": "go", "was": "was", "doesn't": "don't"}
_SELF = {"his": "my", "her": "my", "their": "my", "him": "me", "himself": "myself", "herself": "myself", "she": "I"}

_QUESTION = re.compile(
    r"^(?:(?:so|and|but|um|uh|well|okay|hey|er|like) )*(?:what|who|when|where|why|how|which|whose|do|does|did|is|are"
    r"|was|were|can|could|will|would|should|shall|have|has|am|isn't|aren't|don't|doesn't|didn't|won't|can't)"
    r"(?:'s|'re|'d|'ll)?\b"
)


_ASKED = re.compile(
    r"\b(?:what|who|where|when|why|how|which)"
    r"(?:'s|'re|'d| is| are| was| do| does| did| can| should| would| much| many| far| long)\b"
    r"|\b(?:do|did|does|is|are|was|were|can|could|will|would|should|shall|have|has|am) "
    r"(?:you|i|we|he|she|it|they|there|that|this)\b"
)
_OPINION = re.compile(
    r"\b(?:do you think|what do you (?:think|say)|don't you think|am i|was i|were we|did i do|how do i look|aren't i"
    r"|isn't it|is it true|do you believe)\b"
)
_REQUEST = re.compile(
    r"\b(?:(?:could|can|would|will) (?:you|we)\b(?! believe| imagine| hear)"
    r"|may i|please|help me|let's|i need you to|i want you to)\b"
)


def words(text: str) -> list[str]:
    """Lower-case words of a text, apostrophes kept."""
    return WORD.findall(text.lower().replace("’", "'"))


def stem(word: str) -> str:
    """A word without its commonest endings, good enough to compare two texts."""
    word = word.removesuffix("'s")
    for ending, shortest in (("ing", 6), ("ies", 5), ("ed", 5), ("es", 5), ("s", 4), ("y", 5), ("e", 4)):
        if word.endswith(ending) and len(word) >= shortest:
            return word[: -len(ending)]
    return word


def content(text: str) -> set[str]:
    """Stems of the words that carry meaning."""
    return {stem(word) for word in words(text) if word not in STOP and len(word) > 1}


def bare(verb: str) -> str:
    """The plain form of a verb in the third person: lends -> lend, carries -> carry."""
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    if verb.endswith(("sses", "shes", "ches", "xes", "zzes")):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else verb


def to_second_person(fact: str, owner: str = "") -> str:
    """A remembered fact said to the one it is about: "The user's dog is called Benno." -> "Your dog is ...".

    ``owner`` is the user's name, where facts are told of him by name.
    """
    text = fact.strip().rstrip(".")
    who = "|".join(filter(None, ["[Tt]he user", re.escape(owner)]))
    text = re.sub(rf"\b(?:{who})'s\b", "your", text)
    text = re.sub(rf"\b(?:{who}) (?:is|was)\b", lambda m: "you were" if m[0].endswith("was") else "you are", text)
    text = re.sub(rf"\b(?:{who}) (\w+)", lambda m: f"you {_second(m[1])}", text)
    text = re.sub(rf"\b(?:{who})\b", "you", text)
    text = re.sub(r"\b(?:his|her|their) own\b", "your own", text)
    return sentence(text)


def _second(verb: str) -> str:
    known = {"has": "have", "does": "do", "doesn't": "don't", "isn't": "are not", "hasn't": "have not"}
    past = verb.endswith("ed") or verb in {"was", "will", "would", "can", "said", "told", "never", "had"}
    return known.get(verb) or (verb if past else bare(verb))


_TURNS = re.compile(r"[;,]? (?:and |he |she )?(?:changes|talks|leads|turns|jumps|returns) (?!no)")


def to_first_person(boundary: str) -> str:
    """A boundary as the one who keeps it says it: "never lends money" -> "I don't lend money"."""
    text = _TURNS.split(boundary.strip().rstrip("."))[0].rstrip(",")
    text = _as_self(re.sub(r"^when [^,]*, ", "", text or boundary))
    text = _VERBS.sub(_bare_list, text)
    first, _, rest = text.partition(" ")
    verb, _, tail = rest.partition(" ")
    match first.lower():
        case "never":
            return f"I don't {bare(verb)} {tail}".strip()
        case "will" | "won't" | "cannot" | "can't" | "would":
            return f"I {first.lower()} {rest}"
        case "does" | "doesn't":
            return f"I don't {rest.removeprefix('not ')}"
        case "nobody":
            return sentence(text).rstrip(".")
        case "no" | "not" | "nothing":
            return f"{sentence(text).rstrip('.')}, not from me"
        case lowered if not lowered.rstrip(",").endswith("s"):
            return f"I am {text}"
        case lowered if verb == "no" and not tail.startswith("one "):
            return f"I don't {bare(lowered)} any {tail}"
        case lowered:
            comma = "," if lowered.endswith(",") else ""
            return f"I {bare(lowered.rstrip(','))}{comma} {rest}"


_VERBS = re.compile(r"^(never )?((?:\w+s, )*\w+s) (and|or) (\w+s) ")


def _bare_list(match: re.Match[str]) -> str:
    """All but the first verb of "calls, writes or orders " in the plain form; the first too after "never"."""
    first, *others = match[2].split(", ")
    head = bare(first) if match[1] else first
    plain = ", ".join([head, *map(bare, others)])
    return f"{match[1] or ''}{plain} {match[3]} {bare(match[4])} "


def _as_self(text: str) -> str:
    text = re.sub(r"\b(?:she|he) (\w+s)\b", lambda m: f"I {bare(m[1])}", text)
    text = re.sub(r"\bher(?=$| (?:in|to|by|at|on|about|before|after)\b)", "me", text)
    return " ".join(_SELF.get(word, word) for word in text.split())


def subject_of(boundary: str) -> str:
    """What a boundary is about: "steers away from politics" -> "politics"; "" where it cannot be told."""
    match = re.search(r"(?:away from|clear of|round|speaks? of|talks? about|gossip about|from) (.+)$", boundary.strip())
    if match is None:
        return ""
    topic = re.split(r"[,;]| and | while | after ", match[1].rstrip("."))[0]
    return _as_self(topic)


def sentence(text: str) -> str:
    """The text with a capital in front and a stop at the end."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def sentences(text: str) -> list[str]:
    """The sentences of a text, their stops kept."""
    return [part.strip() for part in re.findall(r"[^.!?]+[.!?…]*", text) if part.strip()]


def trim(text: str, limit: int) -> str:
    """At most ``limit`` words: whole sentences where possible, else cut at a comma or a word."""
    kept: list[str] = []
    for part in sentences(text):
        if len(" ".join([*kept, part]).split()) > limit:
            break
        kept.append(part)
    if kept:
        return " ".join(kept)
    cut = " ".join(text.split()[: max(limit, 1)])
    head, comma, _ = cut.rpartition(",")
    return sentence((head if comma and len(head.split()) >= 3 else cut).rstrip(",;:- "))


def join(opening: str, rest: str) -> str:
    """An opening and what follows, without saying the same first word twice."""
    opening, rest = opening.strip(), rest.strip()
    if not opening or not rest:
        return opening or rest
    if words(rest)[: len(words(opening))] == words(opening):
        return opening + rest[len(opening) :] if rest.lower().startswith(opening.lower()) else rest
    if opening[-1] in ",-":
        keep = rest.split()[0].rstrip(".,!?") in {"I", "I'm", "I'll", "I've", "I'd"}
        return f"{opening} {rest if keep else rest[0].lower() + rest[1:]}"
    return f"{opening if opening[-1] in '.!?…' else opening + '.'} {rest}"


def drop_vocatives(text: str, names: Collection[str]) -> str:
    """The text without the names of people it speaks to ("Hold on, Paul." -> "Hold on.")."""
    for name in names:
        escaped = re.escape(name)
        text = re.sub(rf",\s*{escaped}(?=[.,!?;]|$)", "", text)
        text = re.sub(rf"(^|[.!?]\s+){escaped},\s*(\w)", lambda m: m[1] + m[2].upper(), text)
        text = re.sub(rf"(^|[.!?]\s+){escaped}[.!]\s*", r"\1", text)
    return text.strip()


def names_in(text: str, ordinary: Collection[str]) -> set[str]:
    """Capitalised words that are not ``ordinary`` (lower-case words known to be no names)."""
    return {
        word
        for word in re.findall(r"\b[A-Z][a-z]+\b", text)
        if word.lower() not in ordinary and word.lower() not in STOP
    }


def loops(text: str) -> bool:
    """True where three words in a row come again, or a word stands three times running."""
    found = words(text)
    triples = list(zip(found, found[1:], found[2:], strict=False))
    return len(triples) != len(set(triples)) or any(len(set(triple)) == 1 for triple in triples)


def form(heard: str) -> str:
    """What the last words, without punctuation, are: "request", "opinion" (asked for), "question" or "statement"."""
    tail = " ".join(heard.split()[-10:])
    if _OPINION.search(tail):
        return "opinion"
    if _REQUEST.search(tail):
        return "request"
    short = len(heard.split()) <= 14 and _QUESTION.match(heard)
    return "question" if short or _ASKED.search(tail) else "statement"
