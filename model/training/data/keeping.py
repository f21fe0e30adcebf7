"""How a format carries what it has no field for, and how a source's own spelling survives.

Two devices. *Beside*: the leaves of an item that its written record does not give back are written next to it by
their path (``agent.emotion``, ``history.0.user.text``). *Kept*: the fields of a record that we would write
differently are kept verbatim, and written again as long as they still mean what the item says.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from model.training.data.item import FieldError, Item

Record = dict[str, Any]
_APART = {"key", "extra", "kept"}


def leaves(item: Item) -> Record:
    """All values of an item by their path, without key, extra and kept."""
    found: Record = {}
    _collect(item.model_dump(exclude=_APART), "", found)
    return found


def _collect(value: Any, path: str, found: Record) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            _collect(inner, f"{path}.{name}" if path else name, found)
    elif isinstance(value, (list, tuple)) and any(isinstance(inner, dict) for inner in value):
        for number, inner in enumerate(value):
            _collect(inner, f"{path}.{number}", found)
    else:
        found[path] = list(value) if isinstance(value, tuple) else value


def beside(item: Item, read_back: Item, family: str) -> Record:
    """What has to be written beside the record so that ``item`` is read again, not ``read_back``."""
    before = leaves(read_back)
    found = {path: value for path, value in leaves(item).items() if before.get(path, _default(path, value)) != value}
    others = {name: kept for name, kept in item.kept.items() if name != family and kept}
    return found | ({"kept": others} if others else {})


def _default(path: str, value: Any) -> Any:
    """What a missing value is taken for: details of a sound are what they are without being said."""
    return value if not value and (".audio." in path or ".clips." in path) else _MISSING


def restored(item: Item, values: Record) -> Item:
    """``item`` with what was written beside it. Raises FieldError where that does not fit an item."""
    if not values:
        return item
    try:
        plain = item.model_dump()
        for path, value in values.items():
            if path == "kept":
                plain["kept"] |= value
            else:
                _put(plain, path.split("."), value)
        return Item.model_validate(plain)
    except (ValidationError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise FieldError("values beside the record do not fit", str(error).split("\n")[0]) from error


def _put(plain: Any, path: list[str], value: Any) -> None:
    """Set a value inside dictionaries and lists; what is missing on the way is made."""
    for name, following in itertools.pairwise(path):
        if isinstance(plain, list):
            number = int(name)
            if number == len(plain):  # more than one beyond is an IndexError: a damaged path
                plain.append({})
            plain = plain[number]
        else:
            made: Any = [] if following.isdigit() else {}
            inner = plain.get(name)
            plain[name] = made if inner is None else list(inner) if isinstance(inner, tuple) else inner
            plain = plain[name]
    if isinstance(plain, list):
        raise ValueError(f"no field at {'.'.join(path)}")
    plain[path[-1]] = value


def kept_of(record: Record, rewritten: Record) -> Record:
    """Fields of a flat ``record`` that writing it anew would change or leave out."""
    return {name: value for name, value in record.items() if rewritten.get(name, _MISSING) != value}


def with_kept(flat: Record, kept: Record, meaning: Callable[[Record], Any]) -> Record:
    """``flat`` with the kept spellings that do not change its ``meaning``."""
    if not kept:
        return flat
    meant = meaning(flat)
    every = flat | kept
    if _means(every, meaning) == meant:
        return every
    for name, value in kept.items():
        if _means(flat | {name: value}, meaning) == meant:
            flat = flat | {name: value}
    return flat


def _means(flat: Record, meaning: Callable[[Record], Any]) -> Any:
    try:
        return meaning(flat)
    except (FieldError, ValueError, TypeError, AttributeError, KeyError):  # kept fields may come from a damaged file
        return None


_MISSING = object()
