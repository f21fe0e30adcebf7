"""OSUM-EChat's shards, read and written: tars of samples, their marks, and a list of the tars.

Members: ``KEY.txt, KEY.wav`` (16 kHz, 16 bit), ``KEY.task, KEY.lang, KEY.speaker, KEY.emotion, KEY.gender,
KEY.duration, KEY.extra`` (JSON without the duration), and ``KEY.wav_1, KEY.txt_1 ...`` for the exchanges before.
The sound of a reply has no member: it lies in a folder beside the tars, and ``extra.a_wav_path`` names it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from model.training.data import lines, osum, tars
from model.training.data.counts import Counts
from model.training.data.item import DataError, FieldError, Item, Sound
from model.training.data.places import each_sound
from model.training.data.sounds import Placer, resolved, wav_16k

PER_TAR = 1000
LIST = "shards_list.txt"
_MEMBERS = ("txt", "task", "lang", "speaker", "emotion", "gender")
_EARLIER = re.compile(r"txt_[1-9]\d*")
_BESIDE = "poise_fields"  # of extra: fields of the record that have no member
Row = dict[str, Any]


def read(path: Path, counts: Counts) -> Iterator[Item]:
    """Items of a folder of shards, of a list of tars, or of one tar. Raises DataError."""
    for tar in tars_of(path, counts):
        for sample in tars.samples(tar, counts):
            with counts.losing(sample.key):
                yield item_of(sample, {}, tar, counts)
                counts.kept += 1


def write(items: Iterable[Item], folder: Path, counts: Counts, per_tar: int = PER_TAR) -> None:
    """Write ``shard_%09d.tar`` with their marks, and ``shards_list.txt`` when all are there."""
    (folder / LIST).unlink(missing_ok=True)
    written = {tar: None for tar, _ in packed(items, folder, "shard_", counts, per_tar)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LIST).write_text("".join(f"{tar.resolve()}\n" for tar in written), encoding="utf-8")


def packed(
    items: Iterable[Item], folder: Path, stem: str, counts: Counts, per_tar: int = PER_TAR
) -> Iterator[tuple[Path, Row]]:
    """Pack items into tars ``STEM%09d.tar``; yield the tar and the record of each, once it is in.

    The last tar is whole only when the iterator has ended.
    """
    out: tars.TarWriter | None = None
    inside = total = 0
    try:
        for item in lines.unique(items, counts):
            with counts.losing(item.key):
                row, members = members_of(item, folder, counts)
                if out is None or inside == per_tar:
                    if out is not None:
                        out.close()
                    out, inside, total = tars.TarWriter(folder / f"{stem}{total:09d}.tar"), 0, total + 1
                for name, content in members:
                    out.add(name, content)
                inside += 1
                counts.kept += 1
                yield out.path, row
    except BaseException:
        if out is not None:
            out.abandon()
        raise
    if out is not None:
        out.close()


def tars_of(path: Path, counts: Counts) -> list[Path]:
    """The tars that a folder, a list or a tar stands for; those that are not there are counted."""
    if path.suffix == ".tar":
        return [path]
    if path.is_dir() and not (path / LIST).exists():
        found = sorted(path.glob("*.tar"))
        if not found:
            raise DataError(f"{path} holds neither {LIST} nor a tar.", "Give a folder of shards.")
    else:
        listing = path / LIST if path.is_dir() else path
        # a working list has META|TAR in a line, with - for META; upstream skips a line without the bar
        named = [(where, line.rpartition("|")[2].strip()) for where, line in lines.text(listing)]
        found = [tar for where, name in named if (tar := below(name, listing.parent, where, counts))]
    marked = any(_mark(tar).exists() for tar in found)
    for tar in found:
        if marked and not _mark(tar).exists():
            counts.note("tar has no .finished mark", tar.name)
    return found


def below(name: str, folder: Path, where: str, counts: Counts) -> Path | None:
    """The file that a list names: as written, below the list's folder, or moved along with it."""
    path = Path(name)
    for candidate in (folder / path, path, folder / path.name):
        if candidate.exists():
            return candidate
    counts.lose("file of the list is missing", where, name)
    return None


def _mark(tar: Path) -> Path:
    return tar.with_name(tar.name + ".finished")


def item_of(sample: tars.Sample, known: Row, tar: Path, counts: Counts) -> Item:
    """A sample as an item; ``known`` are fields that go before the tar's. Raises FieldError."""
    fields: Row = sample.fields()
    fields["extra"] = _extra({**fields, **known}.get("extra"))
    if duration := fields.pop("duration", None):
        fields["extra"].setdefault("duration", _float(duration))
    fields |= fields["extra"].pop(_BESIDE, {})
    row = {**fields, **{name: value for name, value in known.items() if name != "extra"}}
    row |= {name: name for name in sample.audio} | {"key": sample.key}
    item = osum.item_of(row, sample.key, counts)
    users = {name: place for name, place in sample.audio.items() if name in _names(item)}
    for name in sample.audio.keys() - users.keys():
        counts.lose("tar member belongs to nothing", f"{tar.name}:{sample.key}.{name}")

    def place(sound: Sound, _name: str) -> Sound:
        found = users[sound.path]
        return found.model_copy(update={"start": sound.start, "end": sound.end})

    return each_sound(item, place, answer=lambda sound, _name: resolved(sound, tar.parent))


def _names(item: Item) -> set[str]:
    return {clip.path for exchange in item.exchanges for clip in exchange.user.clips}


def _extra(value: Any) -> Row:
    if isinstance(value, str):
        try:
            value = json.loads(value) if value not in ("", "none") else {}
        except json.JSONDecodeError as error:
            raise FieldError("extra is not JSON", str(error)) from error
    if not isinstance(value or {}, dict):
        raise FieldError("extra is no object", type(value).__name__)
    return dict(value or {})


def _float(value: str) -> Any:
    try:
        return float(value)
    except ValueError:
        return value


def members_of(item: Item, folder: Path, counts: Counts) -> tuple[Row, list[tuple[str, bytes]]]:
    """An item's record, and names and contents of its members. Raises FieldError where it cannot be written."""
    contents: dict[str, bytes] = {}

    def place(sound: Sound, name: str) -> Sound:
        number = name.removeprefix(item.key).removeprefix("_h")
        field = f"wav_{number}" if number else "wav"
        contents[field] = wav_16k(sound)
        return Sound(path=field)

    answers = Placer(folder, folder / "replies")
    row = osum.row_of(each_sound(item, place, answers.place), counts)
    extra: Row = dict(row["extra"])
    fields = {name: str(row[name]).encode() for name in _MEMBERS if name in row}
    fields |= {name: str(row[name]).encode() for name in sorted(row) if _EARLIER.fullmatch(name)}
    if "duration" in extra:
        fields["duration"] = str(extra.pop("duration")).encode()
    others = {name: row[name] for name in row.keys() - fields.keys() - contents.keys() - {"key", "extra"}}
    extra |= {_BESIDE: others} if others else {}
    fields["extra"] = json.dumps(extra, ensure_ascii=False).encode()
    return row, [(f"{item.key}.{name}", content) for name, content in (fields | contents).items()]
