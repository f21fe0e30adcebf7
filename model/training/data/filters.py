"""Which samples a training run takes: every rule has a name, and every sample it refuses is counted under it.

A rule says nothing about how a sample is read or used; the numbers are a run's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import yaml
from pydantic import ValidationError

from model.interface import Record
from model.training.corpora import is_permissive
from model.training.data import labels, sounds
from model.training.data.counts import Counts
from model.training.data.item import DataError, FieldError, Item

FRAMES_PER_S = 12.5  # adapter frames of the user's audio
FIXED = 58  # positions for prompts and marks
_TOKENS = re.compile(r"\w+|[^\w\s]")
Tokens = Callable[[str], int]


class Rules(Record):
    """What is asked of a sample; None or empty asks nothing. The numbers are OSUM-EChat's where it has any."""

    min_seconds: float | None = 0.2  # of the user's clips together
    max_seconds: float | None = 200.0
    min_tokens: int | None = 1  # of what is to be learnt
    max_tokens: int | None = 1200
    max_length: int | None = 2000  # of everything, in positions of the model
    min_units_per_token: float | None = 0.8  # of a spoken reply; also asks for units at all
    needed: tuple[str, ...] = ()  # labels that must be known: emotion, age, gender, event, style
    names: tuple[str, ...] = ()  # whole words that a reply must not hold, such as names of other assistants
    permissive: bool = False  # only licences under which weights may be shipped
    downgrade: bool = True  # a spoken reply without units becomes a written one, a thinking task without thought plain


def read_rules(path: Path) -> Rules:
    """Rules from a YAML file. Raises DataError."""
    try:
        return Rules.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (OSError, yaml.YAMLError, ValidationError) as error:
        what = " ".join(str(error).split())[:160]
        raise DataError(f"{path} holds no rules ({what}).", f"Give some of {', '.join(Rules.model_fields)}.") from error


def count_tokens(text: str) -> int:
    """Words and marks: a measure where no tokenizer is at hand."""
    return len(_TOKENS.findall(text))


def fitting(items: Iterable[Item], rules: Rules, counts: Counts, tokens: Tokens = count_tokens) -> Iterator[Item]:
    """Samples that follow the rules; the others are counted with the rule they break. Reads the audio's headers."""
    for item in items:
        with counts.losing(item.key):
            item = _possible(item, rules, counts)
            _check(item, rules, tokens)
            yield item


def _possible(item: Item, rules: Rules, counts: Counts) -> Item:
    """The item as it is, or for the task that it can serve. Raises FieldError."""
    task = item.task
    if labels.hears(task) and not item.user.clips:
        raise FieldError("task needs audio, there is none", task)
    if labels.thinks(task) and not item.agent.thought:
        task = _without(item, task, (labels.THINK, labels.THINK_TEXT), "thinking task without thought", rules, counts)
    if labels.is_spoken(task) and not item.agent.units and rules.min_units_per_token is not None:
        if task.startswith(labels.SPEAK):
            raise FieldError("task is to speak, there are no units", task)
        spoken = (labels.SPEAK, labels.STREAMING, labels.HISTORY)
        task = _without(item, task, spoken, "spoken reply without units", rules, counts)
    return item.model_copy(update={"task": task})


def _without(item: Item, task: str, parts: tuple[str, ...], reason: str, rules: Rules, counts: Counts) -> str:
    if not rules.downgrade:
        raise FieldError(reason, task)
    plain = " ".join(part for part in task.split() if part not in parts)
    counts.note(f"{reason}: taken as {plain}", item.key)
    return plain


def _check(item: Item, rules: Rules, tokens: Tokens) -> None:
    heard = sum(sounds.seconds(clip) for clip in item.user.clips)
    learnt = tokens(item.agent.text)
    _between("audio is too short", "audio is too long", heard, rules.min_seconds if item.user.clips else None,
             rules.max_seconds, "s")  # fmt: skip
    _between("text is too short", "text is too long", learnt, rules.min_tokens, rules.max_tokens, "tokens")
    _between("", "sample is too long", length(item, tokens), None, rules.max_length, "positions")
    if rules.min_units_per_token is not None and item.agent.units:
        _between("fewer units than the text needs", "", len(item.agent.units), rules.min_units_per_token * learnt,
                 None, "units")  # fmt: skip
    for kind in rules.needed:
        if getattr(item.user.labels, kind) is None:
            raise FieldError(f"label {kind} is not known")
    for name in rules.names:
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", item.agent.text, re.IGNORECASE):
            raise FieldError("reply holds a name that is ruled out", name)
    if rules.permissive and not is_permissive(item.licence):
        raise FieldError("licence does not permit shipping", item.licence or "none given")


def _between(below: str, above: str, value: float, least: float | None, most: float | None, unit: str) -> None:
    if least is not None and value < least:
        raise FieldError(below, f"{value:.4g} of {least:.4g} {unit}")
    if most is not None and value > most:
        raise FieldError(above, f"{value:.4g} of {most:.4g} {unit}")


def length(item: Item, tokens: Tokens = count_tokens) -> int:
    """Positions that a sample takes in the model: words, clips and units of all exchanges, and what is fixed.

    Clips count at the rate the model hears them, those of the history as well.
    """
    total = FIXED + tokens(item.system) + tokens(item.agent.thought)
    for one in item.exchanges:
        clips = sum(round(sounds.seconds(clip) * FRAMES_PER_S) for clip in one.user.clips)
        words = 0 if one.user.clips else tokens(one.user.text)
        total += clips + words + tokens(one.user.prompt) + tokens(one.agent.text) + len(one.agent.units)
    return total
