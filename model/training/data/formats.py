"""The four forms under one roof: which there are, how one is recognised, and the way from one to another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from model.training.data import combine, lines, messages, mixing, raw, shard
from model.training.data.counts import Counts
from model.training.data.item import DataError, Item

AUTO, MIX = "auto", "mix"
Items = Iterable[Item]


@dataclass(frozen=True)
class Form:
    """How a form is read and written, and what stands for it on disk."""

    read: Callable[[Path, Counts], Iterator[Item]]
    write: Callable[[Iterable[Item], Path, Counts], None]
    is_folder: bool


FORMS = {
    "messages": Form(messages.read, messages.write, False),
    "raw": Form(raw.read, raw.write, False),
    "shard": Form(shard.read, shard.write, True),
    "combine": Form(combine.read, combine.write, True),
}


def guess(path: Path) -> str:
    """The form of what lies at ``path``. Raises DataError where it is none of them."""
    if path.is_dir():
        if (path / combine.LIST).exists():
            return "combine"
        if (path / shard.LIST).exists() or any(path.glob("*.tar")):
            return "shard"
    elif path.suffix in (".yaml", ".yml"):
        return MIX
    elif path.suffix == ".tar" or path.name == shard.LIST:
        return "shard"
    elif path.name == combine.LIST:
        return "combine"
    elif path.exists() and (found := _of_lines(path)):
        return found
    mend = f"Name one of {', '.join(FORMS)}, {MIX}, or check the path."
    raise DataError(f"{path} is no data of a known form.", mend)


def _of_lines(path: Path) -> str | None:
    _, first = next(lines.text(path), ("", ""))
    try:
        found = json.loads(first)
    except json.JSONDecodeError:
        return "shard" if first.endswith(".tar") else None
    return "messages" if isinstance(found, dict) and "messages" in found else "raw"


def read(path: Path, counts: Counts, form: str = AUTO, seed: int = 0) -> Iterator[Item]:
    """Items at ``path``; ``form`` is auto, mix (a YAML of weighted sources) or one of `FORMS`. Raises DataError."""
    form = guess(path) if form == AUTO else form
    if form == MIX:
        return mixing.mixed(path, lambda source, kind: read(source, counts, kind, seed), seed)
    return _known(form).read(path, counts)


def write(items: Iterable[Item], path: Path, form: str, counts: Counts) -> None:
    """Write items in a form; nothing is left under the final name when it fails. Raises DataError."""
    wanted = _known(form)
    if wanted.is_folder and path.is_file():
        raise DataError(f"{path} is a file, but {form} is a folder.", "Give the path of a folder.")
    if not wanted.is_folder and path.is_dir():
        raise DataError(f"{path} is a folder, but {form} is one file.", "Give the path of a file.")
    wanted.write(items, path, counts)


def _known(form: str) -> Form:
    if form not in FORMS:
        raise DataError(f"There is no form {form!r}.", f"Name one of {', '.join(FORMS)}.")
    return FORMS[form]


def convert(
    source: Path,
    target: Path,
    to: str,
    form: str = AUTO,
    seed: int = 0,
    between: Callable[[Items, Counts], Items] | None = None,
) -> Counts:
    """From one form to another; ``between`` may expand and filter. Raises DataError; samples are counted."""
    if source.resolve() == target.resolve():
        raise DataError(f"{source} would be written over itself.", "Give another place to write to.")
    reading, writing = Counts(), Counts()
    items: Items = read(source, reading, form, seed)
    write(between(items, writing) if between else items, target, to, writing)
    for reason, keys in reading.lost.items():
        for key, detail in keys.items():
            writing.lose(reason, key, detail)
    for reason, keys in reading.notes.items():
        writing.notes[reason] = {**keys, **writing.notes.get(reason, {})}
    return writing
