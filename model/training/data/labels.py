"""Task tags and label tags of OSUM-EChat, and the words that the house uses for them.

Knows spellings only. What is not in a table passes as it is, so that labels of one's own survive.
"""

from __future__ import annotations

import re

from model.training.data.item import Agent, Item, Labels, User

TRANSCRIBE, TEXT_CHAT, SPEAK = "<TRANSCRIBE>", "<TEXT2TEXT>", "<TEXT2TOKEN>"
LISTEN_CHAT, SPEECH_CHAT = "<S2TCHAT>", "<S2TCHAT> <TEXT2TOKEN>"
HISTORY, STREAMING, THINK, THINK_TEXT = "<HISTORY>", "<STREAMING>", "<THINK>", "<THINKER>"
ALIASES = {
    "TEXT2TOKEN": SPEAK,
    "<Speech2TEXTandTOKEN>": SPEECH_CHAT,
    "<S2TCHAT> <TEXT2TOKEN> <EMOTION>": SPEECH_CHAT,
}
FIELDS = {"<EMOTION>": "emotion", "<AGE>": "age", "<GENDER>": "gender", "<CAPTION>": "event", "<STYLE>": "style"}
_MISSING = {"", "none", "null", "&&"}
_WORDS = {
    "emotion": {"ANGRY": "angry", "ANGER": "angry", "FEAR": "afraid", "SURPRISE": "surprised", "DISGUST": "disgusted"},
    "age": {"YOUTH": "adult", "MIDDLE_AGE": "adult", "MIDDLE": "adult"},
}
_TAGS = {
    "emotion": {"angry": "ANGRY", "afraid": "FEAR", "surprised": "SURPRISE", "disgusted": "DISGUST"},
}
# Reply emotions of tag thinking; the English words are ours.
REPLY_TAGS = {
    "joyful": "愉悦",
    "sorry": "抱歉",
    "happy": "开心",
    "angry": "愤怒",
    "surprised": "惊讶",
    "disgusted": "厌恶",
    "sad": "悲伤",
    "afraid": "害怕",
    "tearful": "哭腔",
    "comforting": "安慰鼓励",
    "neutral": "中立",
}
_REPLY_WORDS = {tag: word for word, tag in REPLY_TAGS.items()} | {
    "ANGER": "angry",
    "FEAR": "afraid",
    "SURPRISE": "surprised",
    "DISGUST": "disgusted",
}
_LEADING = re.compile(r"<([^<>|/]{1,24})>")
_TRAILING = re.compile(r"<([^<>]{0,24})>\s*$")


def task(tag: str) -> str:
    """The task's one spelling."""
    plain = " ".join(tag.split())
    return ALIASES.get(plain, plain)


def is_reply(tag: str) -> bool:
    """True where the text is something said to somebody, which may begin with the emotion it is said in."""
    return any(part in tag for part in ("<S2TCHAT", "<TEXT2TOKEN>", "<TEXT2TEXT>"))


def is_spoken(tag: str) -> bool:
    """True where the reply is speech: every task with ``<TEXT2TOKEN>``, streamed, with history or not."""
    return "<TEXT2TOKEN>" in tag


def thinks(tag: str) -> bool:
    """True where the reply is thought over first."""
    return THINK in tag.split() or THINK_TEXT in tag.split()


def hears(tag: str) -> bool:
    """True where there must be audio of the user."""
    return tag not in (TEXT_CHAT, SPEAK, f"{SPEAK} {STREAMING}")


def task_of(user: User, agent: Agent, has_history: bool) -> str:
    """The task that an exchange of unknown task is for."""
    if not user.clips:
        return SPEAK if agent.units and user.is_empty else TEXT_CHAT
    if not agent.units:
        return f"{LISTEN_CHAT} {THINK_TEXT}" if agent.thought else LISTEN_CHAT
    tail = f" {HISTORY}" if has_history else f" {THINK}" if agent.thought else ""
    return SPEECH_CHAT + tail


def for_history(item: Item) -> str:
    """The task of an item according to whether it has a history (upstream sets ``<HISTORY>`` by itself)."""
    parts = [part for part in item.task.split() if part != HISTORY]
    wanted = item.history and " ".join(parts) == SPEECH_CHAT
    return " ".join([*parts, HISTORY] if wanted else parts)


def word(kind: str, tag: object) -> str | None:
    """A label tag (``<FEAR>``) as our word (``afraid``); None where it says that nothing is known."""
    inner = str(tag).strip().removeprefix("<").removesuffix(">").strip() if tag is not None else ""
    if inner.lower() in _MISSING:
        return None
    return _WORDS.get(kind, {}).get(inner.upper(), inner.lower())


def tag_of(kind: str, label: str) -> str:
    """Our word as a label tag."""
    if kind == "event":
        return f"<{label}>"
    return f"<{_TAGS.get(kind, {}).get(label, label.upper())}>"


def split_reply(text: str) -> tuple[str | None, str]:
    """The emotion that opens a reply, and the rest: ``<抱歉>Oh no.`` is (sorry, ``Oh no.``)."""
    found = _LEADING.match(text)
    if not found or found[1].lower() in (*_MISSING, "think", "think end"):
        return None, text
    inner = found[1]
    return _REPLY_WORDS.get(inner, inner.lower()), text[found.end() :]


def join_reply(emotion: str | None, text: str) -> str:
    """The reply with its emotion in front."""
    return f"<{REPLY_TAGS.get(emotion, emotion)}>{text}" if emotion else text


def of_target(tag: str, text: str) -> tuple[str, Labels]:
    """Words and labels that the target of a task of understanding holds: ``hello<SAD><CHILD>``."""
    wanted = [FIELDS[part] for part in tag.split() if part in FIELDS]
    if is_reply(tag) or "<ALIGN>" in tag:
        return "", Labels()
    found: list[str] = []
    rest = text
    while len(found) < len(wanted) and (match := _TRAILING.search(rest)):
        found.insert(0, match[1])
        rest = rest[: match.start()]
    if len(found) != len(wanted):
        return (text if TRANSCRIBE in tag else ""), Labels()
    values = {kind: word(kind, value) for kind, value in zip(wanted, found, strict=True)}
    return (rest.strip() if TRANSCRIBE in tag else ""), Labels(**values)
