"""OSUM-EChat's raw form, read and written: JSON Lines with the paths of audio files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from model.training.data import lines, osum
from model.training.data.counts import Counts
from model.training.data.item import Item, Sound
from model.training.data.places import Place, each_sound, resolve
from model.training.data.sounds import Placer


def read(path: Path, counts: Counts) -> Iterator[Item]:
    """Items of a list file. Raises DataError where it cannot be read."""
    for where, row in lines.objects(path, counts):
        with counts.losing(str(row.get("key") or where)):
            yield resolve(osum.item_of(row, where, counts), path.parent)
            counts.kept += 1


def write(items: Iterable[Item], path: Path, counts: Counts) -> None:
    """Write a list file; clips that lie in tars go to a folder beside it. A cut is written as start and end."""
    placer = Placer(path.parent, path.parent / f"{path.stem}_audio")
    with lines.Writer(path) as out:
        for item in lines.unique(items, counts):
            with counts.losing(item.key):
                out.write(osum.row_of(each_sound(item, _placing(placer, item)), counts))
                counts.kept += 1


def _placing(placer: Placer, item: Item) -> Place:
    def place(sound: Sound, name: str) -> Sound:
        return placer.place(sound, name, cuts=name == item.key)  # start and end are the first clip's alone

    return place
