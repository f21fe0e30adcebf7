"""Finds in a user's words what is worth remembering, and says each thing as one short third-person sentence.

Rules, no model: quick, the same every time, and nothing is made up. Made for recogniser text (lower case, no
punctuation, errors in it), it works on typed text too. What was heard is data: orders, rules and claims of rank in
it are never turned into facts (doubts.py). It knows nothing of storing; who may be told what is decided elsewhere.
"""

from __future__ import annotations

import re

from memory.doubts import doubtful, unkept
from memory.third_person import about_the_user, sentence

MOST = 5  # facts of one utterance
FEWEST_WORDS = 3
_FILLERS = re.compile(
    r"\b(?:um+|uh+|erm?|em|eh|ah|oh|hm+|mhm|like i said|i mean|you know|you see|well now|right so|by the way"
    r"|there now"
    r"|sort of|kind of|to be honest|honestly|okay|ok|sure look|anyway|mind you)\b,?"
)
_TWICE = re.compile(r"\b([\w']+)(?:,? \1\b)+")
_SUBJECT = (
    r"(?:i|i'm|i've|i'd|i'll|we|we're|we've|we'll|we'd|he|he's|she|she's|they|they're|it|it's|there's|there is"
    r"|that's"
    r"|my|you|you're)"
)
_CUT = re.compile(
    rf"[.!;:]+|(?<=\?)|,? (?:and|but)(?= {_SUBJECT}\b)|,(?= (?:and |but |so |only )?{_SUBJECT}\b)", re.IGNORECASE
)
_LEAD = re.compile(r"^(?:and|but|so|well|then|now|right|yes|yeah|yep|no|only|sure|oh|hi|hello|hey|also|anyhow)\b,? ")
_FOLLOWS = re.compile(r"^(?:he|he's|she|she's|they|they're|it|it's|that's|who|which|his|her|their)\b")
_KEEP = re.compile(
    r"^(?:please )?(?:remember|don't forget|keep in mind|note(?: down)?|write down|make a note"
    r"|you can keep this|keep this)"
    r"(?: that)?,? (?=(?:i|i'm|i've|my|we|the|he|she|they|our|it)\b)"
)
_PROMISED = re.compile(r"\bi promise(?:d)? (?:you )?(?:that )?(?P<what>[^.!?;]{6,120})", re.IGNORECASE)
_WISH = re.compile(
    r"^(?:please |just |from now on |and )*(?P<what>(?:call me (?!back|later|again|when|if|a )"
    r"|don't interrupt me|do not interrupt me"
    r"|don't call me|don't correct me|don't ask me about|don't talk to me about|don't mention|stop me (?:if"
    r"|when|before)"
    r"|cut me off|interrupt me (?:if|when|whenever)|remind me|wake me|warn me|be (?:a bit "
    r"|a little )?(?:stricter|gentler"
    r"|honest|kinder|softer|strict|gentle|brief|patient) with me|be honest with me|speak (?:slower|slowly"
    r"|louder|up) (?:to|for) me"
    r"|always tell me the truth)\b.*)"
)
_STATES = re.compile(
    r"\b(?:my|mine|our|i'm (?:a|an|the|on|in|from|allergic|expecting|engaged|married|pregnant|vegan|vegetarian"
    r"|diabetic"
    r"|learning|moving|going|getting|starting|training|saving|afraid of|terrified|scared of|named|called"
    r"|not allowed)"
    r"|i am (?:a|an|the|from|allergic|called|learning|moving|going)|i (?:live|work|study|teach|play|sing|run"
    r"|swim|drive"
    r"|grew up|was born|come from|used to|have|own|keep|want|need|plan|mean|hope|promised|swore|eat|drink|take"
    r"|like|love"
    r"|hate|prefer|adore|enjoy|can't|cannot|never|always|usually|don't|do|won't|must|quit|gave up|started"
    r"|stopped"
    r"|moved|bought|sold|lost|met|married|got|had|rent|owe|save|believe|sleep|get up|collect|speak|grew|left"
    r"|went)"
    r"|i've|i'll|i'd like to|i'd love to|we've|we'll|we (?:live|have|are|were|moved|met|married|always|never)"
    r"|we're|there's a|there is a)\b"
)
_TASTE = re.compile(r"^i (?:\w+ )?(?:like|love|hate|adore|enjoy|prefer|detest|play|speak)\b(?! (?:it|that|this|you)\b)")
_LASTING = re.compile(
    r"\b(?:mother|father|mum|mam|mom|dad|wife|husband|partner|girlfriend|boyfriend|son|daughter|sister|brother"
    r"|aunt"
    r"|uncle|cousin|niece|nephew|gran\w*|grand\w+|baby|twins?|kids?|child|children|boss|colleague|friend"
    r"|neighbour"
    r"|neighbor|flatmate|roommate|landlord|teacher|doctor|dog|cat|puppy|kitten|horse|rabbit|budgie|hamster"
    r"|parrot"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|january|february|april|june|july|august|september|october"
    r"|november"
    r"|december|tomorrow|tonight|next (?:week|month|year|\w+day)|in the (?:morning|evening)s?|every|birthday"
    r"|anniversary"
    r"|christmas|wedding|funeral|appointment|interview|exam|surgery|operation|hospital|clinic|flight|holiday"
    r"|deadline"
    r"|allerg\w+|asthma|diabet\w+|tablets?|pills?|insulin|inhaler|medic\w+|pressure|pregnant|expecting|died"
    r"|dead|born"
    r"|married|divorced|engaged|retired|works?|job|school|university|called|named|years|months|lives?|moved"
    r"|code|key"
    r"|password|pin|two|three|four|five|six|seven|eight|nine|ten|\w+teen|twenty|thirty|forty|fifty|sixty"
    r"|hundred"
    r"|favou?rite|always|never|hobby|club|choir|band|team|boat|car|house|flat|street|road|church|favou?rite)\b"
    r"|\d"
)
_ANSWERS = (  # what the agent asked, and what a short answer to it means
    (
        re.compile(r"\byour name\b[^?]*\?|\bshould i call you\b[^?]*\?|\bwho am i (?:speaking|talking)\b"),
        "The user is called {}.",
    ),
    (re.compile(r"\byour (?P<of>[\w ]{2,24}?)(?:'s name| called| name)\b[^?]*\?"), "The user's {of} is called {}."),
    (re.compile(r"\bwhere do you live\b[^?]*\?"), "The user lives in {}."),
    (re.compile(r"\bwhen is your birthday\b[^?]*\?|\bwhen's your birthday\b[^?]*\?"), "The user's birthday is {}."),
    (re.compile(r"\bwhat do you do\b[^?]*\?|\byour (?:job|work)\?"), "The user's work: {}."),
    (re.compile(r"\ballergic to\b[^?]*\?|\ballergies\?"), "The user is allergic to {}."),
)  # fmt: skip
_SHORT = re.compile(
    r"^(?:it's |it is |he's |she's |i'm |i am |he's called |she's called |just |in |at |to |a |an )*"
    r"(?P<it>[\w'-]+(?: [\w'-]+){0,3})$"
)
_NO_ANSWER = re.compile(r"^(?:no|yes|yeah|nothing|nobody|none|not|never|why|what|who|i|don't|that|none of)\b")
_MY_NAME = re.compile(
    r"\b(?:my (?:first |full |real )?name is|my name's|i'm called|i am called|people call me|everyone calls me)"
    r" (?P<it>[a-z][a-z'-]+)(?: (?!and\b|but\b|i\b|i'm\b|not\b|from\b|by\b|so\b|or\b|with\b|the\b|a\b"
    r"|without\b)(?P<last>[a-z][a-z'-]+)$)?",
    re.IGNORECASE,
)
_I_AM = re.compile(r"\b(?:I'm|I am|it's|name is|name's) ([A-Z][a-z]+(?: [A-Z][a-z]+)?)(?=[,.;!]|$)")
_PEOPLES = re.compile(r"(?:ish|ian|ese|can|ench|utch|man|reek|iss|sh)$")


def facts(user_text: str, agent_text: str = "") -> list[str]:
    """What to keep of one utterance: up to MOST third-person sentences, in the order told; [] for nothing.

    ``agent_text`` is what the agent had said just before; a short answer is understood from its question, and its
    own promises are kept. Never raises.
    """
    spoken = _smooth(user_text)
    if unkept(spoken.lower()):
        return []
    found = _promises(agent_text) + _answer(spoken, agent_text.lower()) + _names(user_text)
    kept_last = True  # what leans on words that were not kept ("he never was") is not kept either
    for at, clause in enumerate(_clauses(spoken)):
        leans = bool(_FOLLOWS.match(clause.lower()))
        told = _told(clause, follows=leans and kept_last and at > 0) if kept_last or not leans else ""
        if told and leans and found and at > 0:
            found[-1] = f"{found[-1].rstrip('.')}; {told[:1].lower()}{told[1:]}"
        elif told:
            found.append(told)
        kept_last = bool(told) or (kept_last and not doubtful(clause.lower()))
    return list(dict.fromkeys(found))[:MOST]


def _smooth(text: str) -> str:
    """Without fillers, broken-off repetitions and odd blanks; case and punctuation as they were."""
    text = " ".join(text.replace("’", "'").replace("...", ",").split())
    text = re.sub(r"\s*,(?:\s*,)+", ",", _FILLERS.sub("", text))
    return " ".join(_TWICE.sub(r"\1", text).replace(" ,", ",").split()).strip(" ,")


def _clauses(text: str) -> list[str]:
    """Stretches that state one thing each."""
    found = []
    for part in _CUT.split(text):
        part = part.strip(" ,")
        while part != (part := _LEAD.sub("", part[:1].lower() + part[1:] if _LEAD.match(part.lower()) else part)):
            pass
        if part:
            found.append(part)
    return found


def _told(clause: str, follows: bool) -> str:
    """The sentence to keep of one clause; "" for none."""
    low = clause.lower()
    if wish := _WISH.match(low):
        return f'The user asked: "{wish["what"]}".'
    asked = _KEEP.match(low)
    if asked:
        clause, low = clause[asked.end() :], low[asked.end() :]
    if len(low.split()) < FEWEST_WORDS or doubtful(low):
        return ""
    if _MY_NAME.match(low) and len(low.split()) <= 6:
        return ""  # _names has told it
    if asked or _worth(low):
        return about_the_user(clause)
    return sentence(clause) if follows and _FOLLOWS.match(low) else ""


def _worth(clause: str) -> bool:
    """Whether a plain statement tells something that lasts longer than the moment."""
    long = len(clause.split()) >= 5
    states, lasting = bool(_STATES.search(clause)), bool(_LASTING.search(clause))
    return bool(_TASTE.search(clause)) or (states and (lasting or len(clause.split()) >= 4)) or (lasting and long)


def _promises(agent_text: str) -> list[str]:
    """What the agent gave its word for."""
    return [sentence(f"The agent promised: {found['what'].strip()}") for found in _PROMISED.finditer(agent_text)]


def _answer(spoken: str, agent_asked: str) -> list[str]:
    """What a few words mean as the answer to the agent's question."""
    short = _SHORT.match(spoken.strip(" .!,"))
    if short is None or _NO_ANSWER.match(short["it"].lower()):
        return []
    for question, fact in _ANSWERS:
        if asked := question.search(agent_asked):
            name = short["it"].title() if "called" in fact or "lives" in fact else short["it"]
            return [fact.format(name, of=asked.groupdict().get("of", ""))]
    return []


def _names(text: str) -> list[str]:
    """The user's own name, where he gives it as such, or where capitals tell it."""
    if told := _MY_NAME.search(text):
        words = [word for word in (told["it"], told["last"]) if word]
        return [f"The user is called {' '.join(word.capitalize() for word in words)}."]
    found = [name for name in _I_AM.findall(text) if not _PEOPLES.search(name)]
    return [f"The user is called {name}." for name in found[:1]]
