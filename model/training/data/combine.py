"""OSUM-EChat's combined form, read and written: audio in shard tars, metadata in JSON Lines beside them.

``combines_list.txt`` lists ``NAME.list`` files, ``combines_tar_root.txt`` names the folder of the tars; the tar of
``NAME.list`` is ``NAME.tar``. Each line has ``key, txt, task, extra`` and ``wav`` = ``only-meta``. Upstream takes a
value from the line only if the tar has a member of the same name, so the tar keeps its text members; here the line
always goes first, and the tar fills in what it lacks, the exchanges before among it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from model.training.data import lines, shard, tars
from model.training.data.counts import Counts
from model.training.data.item import DataError, Item

LIST, ROOT = "combines_list.txt", "combines_tar_root.txt"
_OWN = ("key", "wav", "tar_path_key")


def read(path: Path, counts: Counts) -> Iterator[Item]:
    """Items of a folder that holds ``combines_list.txt``, or of that file. Raises DataError."""
    listing = path / LIST if path.is_dir() else path
    root = _root(listing.parent)
    for where, name in lines.text(listing):
        meta = shard.below(name, listing.parent, where, counts)
        if meta is None:
            continue
        tar = root / f"{meta.stem}.tar"
        if tar.exists():
            yield from _joined(meta, tar, counts)
        else:
            counts.lose("tar of the list is missing", where, str(tar))


def _root(folder: Path) -> Path:
    named = [Path(line) for _, line in lines.text(folder / ROOT)]
    if not named:
        raise DataError(f"{folder / ROOT} is empty.", "Write the folder of the tars into it.")
    # as written, or below this folder; a folder that was moved holds its tars itself
    return next((path for path in (folder / named[0], named[0]) if path.is_dir()), folder)


def _joined(meta: Path, tar: Path, counts: Counts) -> Iterator[Item]:
    packed = {sample.key: sample for sample in tars.samples(tar, counts)}
    for where, line in lines.objects(meta, counts):
        key = str(line.get("key") or where)
        sample = packed.pop(key, None)
        if sample is None:
            counts.note("no member in the tar: read from the line alone", key, tar.name)
            sample = tars.Sample(key)
        with counts.losing(key):
            known: dict[str, Any] = {name: value for name, value in line.items() if name not in _OWN}
            yield shard.item_of(sample, known, tar, counts)
            counts.kept += 1
    for key in packed:
        counts.lose("in the tar, but not in its list", key, tar.name)


def write(items: Iterable[Item], folder: Path, counts: Counts, per_tar: int = shard.PER_TAR) -> None:
    """Write tars ``shards_%09d.tar`` with their ``.list`` files, and the two lists when all are there."""
    for name in (LIST, ROOT):
        (folder / name).unlink(missing_ok=True)
    metas: dict[Path, list[dict[str, Any]]] = {}
    for tar, row in shard.packed(items, folder, "shards_", counts, per_tar):
        audio = {"wav", *(name for name in row if name.startswith("wav_"))}
        line = {name: value for name, value in row.items() if name not in audio}
        metas.setdefault(tar, []).append(line | {"wav": "only-meta", "tar_path_key": tar.stem})
    for tar, rows in metas.items():
        with lines.Writer(tar.with_suffix(".list")) as out:
            for row in rows:
                out.write(row)
    folder.mkdir(parents=True, exist_ok=True)
    listed = "".join(f"{tar.with_suffix('.list').resolve()}\n" for tar in metas)
    (folder / LIST).write_text(listed, encoding="utf-8")
    (folder / ROOT).write_text(f"{folder.resolve()}\n", encoding="utf-8")
