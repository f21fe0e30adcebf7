"""What is to be said: exchanges from files of ours, as scripts with emotion and delivery.

Knows the text forms; nothing of voices or sound. A script is a dialogue whose last exchange is the one to learn.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from model.interface import Record
from model.training import exchanges
from model.training.data.build_config import BuildConfig, BuildError, TextSource
from model.training.data.counts import Counts
from model.training.prepare import spoken
from model.training.voices import steady_seed

Scenes = Callable[[Path], list[dict[str, Any]]]
_AGES = {"child": "child", "children": "child", "kid": "child", "old": "old", "elderly": "old"}  # tags of exchanges


class Line(Record):
    """One exchange as it is to be said; a side that says nothing is empty."""

    user: str = ""
    emotion: str = ""  # of the user's voice; "": not known
    agent: str = ""
    delivery: str = ""
    thought: str = ""


class Script(Record):
    """A dialogue. ``voice`` is a number into the users' voices; ``lines`` are oldest first."""

    key: str
    lines: tuple[Line, ...]
    licence: str
    source: str
    voice: int
    system: str = ""  # who the agent is, where that decides what it answers
    tags: tuple[str, ...] = ()

    @property
    def heard(self) -> str:
        """All that the user says, as a recogniser would write it."""
        return spoken(" ".join(line.user for line in self.lines))

    @property
    def setting(self) -> tuple[str, ...]:
        """What else decides the answer: the agent, and how each line sounds."""
        return (self.system, *(line.emotion for line in self.lines if line.user))


def from_files(config: BuildConfig, read_scenes: Scenes, counts: Counts) -> Iterator[Script]:
    """Scripts of all files, in order. Raises BuildError for a file that does not follow its form."""
    for source in config.texts:
        if source.kind == "writer" or source.path is None:
            continue
        rows = _exchanges(source.path, source.split) if source.kind == "exchanges" else read_scenes(source.path)
        for row in rows[: source.limit]:
            lines = _of_exchange(row) if source.kind == "exchanges" else _of_scene(row, counts)
            if lines:
                yield _script(row, lines, source, config)


def _exchanges(path: Path, split: str | None) -> list[dict[str, Any]]:
    try:
        found = exchanges.read(path)
    except (OSError, ValueError) as error:
        raise BuildError(f"{path} is no file of exchanges: {error}", "Correct the line.") from error
    return [row for row in found if split in (None, row["split"])]


def _of_exchange(row: dict[str, Any]) -> tuple[Line, ...]:
    return tuple(
        Line(user=turn["user"], emotion=turn["emotion"], agent=turn.get("agent", ""), delivery=turn.get("delivery", ""))
        for turn in row["turns"]
    )


def _of_scene(row: dict[str, Any], counts: Counts) -> tuple[Line, ...]:
    """The user's phrases up to the one that is answered, and the reply; what was said before comes first."""
    if not row.get("reply") or row.get("agent_says"):
        counts.lose("scene without a reply of its own" if not row.get("reply") else "scene with overlap", row["id"])
        return ()
    phrases = row["phrases"]
    last = max(n for n, phrase in enumerate(phrases) if phrase["label"] != "silence")
    words = " ".join(phrase["text"].rstrip("-") for phrase in phrases[: last + 1])
    reply = row["reply"]
    line = Line(user=words, emotion=phrases[last]["emotion"], agent=reply["text"], delivery=reply["emotion"])
    return (*_before(row["history"]), line)


def _before(history: Iterable[dict[str, str]]) -> list[Line]:
    lines: list[Line] = []
    for said in history:
        if said["who"] == "user":
            lines.append(Line(user=said["text"]))
        elif lines and lines[-1].user and not lines[-1].agent:
            lines[-1] = lines[-1].model_copy(update={"agent": said["text"]})
        else:
            lines.append(Line(agent=said["text"]))
    return lines


def _script(row: dict[str, Any], lines: tuple[Line, ...], source: TextSource, config: BuildConfig) -> Script:
    tags = tuple(row["tags"])
    # members of a pair differ in what they differ in, not in the voice
    voice = choose(config, row.get("pair") or row["id"], next((_AGES[tag] for tag in tags if tag in _AGES), None))
    name = source.name or (source.path.name if source.path else source.kind)
    about: dict[str, Any] = {"licence": source.licence, "source": name, "voice": voice, "tags": tags}
    return Script(key=row["id"], lines=lines, system=_persona(row), **about)


def _persona(row: dict[str, Any]) -> str:
    """Who answers in a scene, and what is remembered: without it the answer could not be known."""
    if not (persona := row.get("persona")):
        return ""
    bounds = f" Boundaries: {'; '.join(persona['boundaries'])}." if persona["boundaries"] else ""
    memory = f" You remember: {'; '.join(row['memory'])}." if row["memory"] else ""
    return f"You are {persona['name']}: {persona['stance']}.{bounds}{memory}"


def choose(config: BuildConfig, key: str, age: str | None) -> int:
    """A user's voice by key; of the given age, if there is one."""
    everyone = range(len(config.users))
    fitting = [n for n in everyone if age is None or config.users[n].age == age] or list(everyone)
    return random.Random(steady_seed(config.seed, "voice", key)).choice(fitting)


def unique(scripts: Iterable[Script], near: float, counts: Counts) -> list[Script]:
    """Scripts without those whose user says (almost) the same in the same setting as in an earlier one.

    Same: equal after taking away case and marks. Almost: the share of words in common (Jaccard index) reaches
    ``near``. Only scripts that share one of their rarest words are compared: two sets whose index reaches t share a
    word among their first ceil((1 - t) n) + 1 ones in any fixed order (prefix filter; Chaudhuri et al. 2006).
    """
    every = list(scripts)
    bags = [frozenset(script.heard.split()) for script in every]
    frequency = Counter(word for bag in bags for word in bag)
    holders: dict[str, list[int]] = defaultdict(list)
    kept: list[Script] = []
    for number, (script, bag) in enumerate(zip(every, bags, strict=True)):
        if not any(line.user for line in script.lines):
            counts.lose("nobody says anything", script.key)
            continue
        rarest = sorted(bag, key=lambda word: (frequency[word], word))[: int((1 - near) * len(bag)) + 2]
        rivals = {other for word in rarest for other in holders[word]}
        like = [every[other] for other in sorted(rivals) if _overlap(bag, bags[other]) >= near]
        if twin := next((other for other in like if other.setting == script.setting), None):
            same = twin.heard == script.heard
            counts.lose("duplicate" if same else "near duplicate", script.key, f"of {twin.key}")
            continue
        for word in rarest:
            holders[word].append(number)
        kept.append(script)
    return kept


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)
