"""Lists of what is to be answered: plain JSON lines, and the data formats of OpenS2S and OSUM-EChat.

Knows which side of a sample is asked about; how a format lies on disk is `training.data`'s business.
"""

from __future__ import annotations

import json
from pathlib import Path

from model.inference.batch import BatchError, Item
from model.training.data import formats, lines
from model.training.data.counts import Counts
from model.training.data.item import FieldError, Sound, User
from model.training.data.item import Item as Sample

PLAIN = "jsonl"
Lost = dict[str, str]  # key or place -> reason


def read(path: Path, form: str = PLAIN) -> tuple[list[Item], Lost]:
    """The items of a list, and what of it cannot be read, with reasons; a key's second item becomes ``KEY~2``.

    ``form``: PLAIN, or what `training.data.formats` reads. Raises BatchError for a list without items, and DataError
    for an unknown format or a list that cannot be read.
    """
    counts = Counts()
    samples = _plain(path, counts) if form == PLAIN else formats.read(path, counts, form)
    found = [_asked(sample) for sample in lines.unique(samples, counts)]
    lost = {key: reason for reason, keys in counts.lost.items() for key in keys}
    if not found:
        reason = next(iter(lost.values()), "it is empty")
        raise BatchError(f"{path} holds no item of the format {form} ({reason}).", "Check the list and --format.")
    return found, lost


def _plain(path: Path, counts: Counts) -> list[Sample]:
    """Lines with ``key`` and ``wav`` or ``txt`` (or ``text``); paths are relative to the file's folder."""
    found = []
    for where, row in lines.objects(path, counts):
        with counts.losing(where):
            key, wav, text = (_string(row, *names) for names in (("key",), ("wav",), ("txt", "text")))
            if not key or not (wav or text):
                raise FieldError("no key, or neither wav nor txt", json.dumps(row)[:80])
            clips = (Sound(path=str(path.parent / wav)),) if wav else ()
            found.append(Sample(key=key, task="", user=User(text=text, clips=clips)))
    return found


def _string(row: dict[str, object], *names: str) -> str:
    value = next((row[name] for name in names if row.get(name) is not None), "")
    if not isinstance(value, str):
        raise FieldError(f"{names[0]} is no string", str(value)[:80])
    return value


def _asked(sample: Sample) -> Item:
    """What the user said; for a sample that is only to be spoken, the words to be spoken."""
    text = sample.user.text or sample.user.prompt
    sound = sample.user.clips[0] if sample.user.clips else None
    return Item(sample.key, sound, text or ("" if sound else sample.agent.text))
