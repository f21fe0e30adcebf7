"""Reads personas from YAML: the four that come along, or a file of one's own.

Knows the fields of a persona and how to say which one is wrong. It does not know what a persona's
stance or boundaries do to a decision; that is for the judge, the policy and the strategies.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from model.interface import PoiseError
from policies.situation import Persona

FOLDER = Path(__file__).parent / "personas"
MAX_BYTES = 100_000  # a persona is a page of text; more is a mistake or an attack


class PersonaError(PoiseError):
    """A persona is unknown, or its file has a wrong field."""

    code = "persona_invalid"


def names() -> list[str]:
    """Names under which the personas that come along can be loaded, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name_or_path: str | Path) -> Persona:
    """The persona of this name (case does not matter), or of the YAML file at this path.

    Raises PersonaError for an unknown name, an unreadable file, an unknown or wrong field.
    """
    text = str(name_or_path)
    if text.lower() in names():
        return parse((FOLDER / f"{text.lower()}.yaml").read_text(encoding="utf-8"), text)
    path = Path(text)
    if path.suffix not in (".yaml", ".yml"):
        raise PersonaError(f"There is no persona named {text!r}.", _offer(text, names(), "Take one of"))
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PersonaError(f"{text} is larger than a persona can be.", f"Keep it under {MAX_BYTES // 1000} kB.")
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise PersonaError(f"The persona file {text} cannot be read: {reason}.", "Check the path.") from None
    return parse(content, text)


def parse(content: str, source: str) -> Persona:
    """A persona from YAML text; ``source`` names it in errors. Raises PersonaError."""
    try:
        fields = yaml.safe_load(content)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise PersonaError(f"{source} is not valid YAML near line {line}.", "Compare it with maren.yaml.") from None
    if not isinstance(fields, dict):
        raise PersonaError(f"{source} does not hold the fields of a persona.", "Write `name: ...` and `stance: ...`.")
    for field in fields:
        if field not in Persona.model_fields:
            mend = _offer(str(field), list(Persona.model_fields), "Allowed fields are")
            raise PersonaError(f"{source} has the unknown field {field!r}.", mend)
    return _checked(fields, source)


def _checked(fields: dict[str, Any], source: str) -> Persona:
    try:
        persona = Persona(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        raise PersonaError(f"{source}: the field {field!r} {_what(first)}.", _allowed(field)) from None
    for field in ("name", "stance"):
        if not getattr(persona, field).strip():
            raise PersonaError(f"{source}: the field {field!r} is empty.", _allowed(field))
    wait = persona.opens_after_s
    if wait is not None and not 0 < wait < 3600:
        raise PersonaError(f"{source}: the field 'opens_after_s' is {wait:g}.", _allowed("opens_after_s"))
    return persona


def _what(fault: Any) -> str:
    if fault["type"] == "missing":
        return "is missing"
    shown = str(fault["input"])
    return f"cannot be {shown if len(shown) < 60 else shown[:57] + '...'!r}"


def _allowed(field: str) -> str:
    kind = Persona.model_fields[field].annotation
    choices = [str(c) for c in get_args(kind) if isinstance(c, str)]
    if choices:
        return f"Allowed are {', '.join(choices)}."
    if field == "boundaries":
        return "Give a list of short sentences, one boundary each."
    if field == "opens_after_s":
        return "Give seconds between 0 and 3600, or leave it out."
    return "Give it as a line of text."


def _offer(wrong: str, allowed: list[str], lead: str) -> str:
    near = difflib.get_close_matches(wrong.lower(), allowed, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}{lead} {', '.join(allowed)}{', or give the path of a .yaml file' if lead == 'Take one of' else ''}."
