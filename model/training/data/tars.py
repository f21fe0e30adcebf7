"""Tars of samples: members by key and field, wherever they stand, and a tar written whole or not at all.

A member is called ``KEY.FIELD``; the key goes up to the last dot. Knows nothing of what fields mean.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from model.training.data.counts import Counts
from model.training.data.item import DataError, FieldError, Sound
from model.training.data.sounds import SUFFIXES


@dataclass
class Sample:
    """Members of one key by field: text fields as text, audio (field ``wav``, ``wav_1`` ...) by where it lies."""

    key: str
    text: dict[str, Sound] = field(default_factory=dict)
    audio: dict[str, Sound] = field(default_factory=dict)

    def fields(self) -> dict[str, str]:
        """The text fields, read. Raises FieldError for one that is not UTF-8."""
        found = {}
        for name, place in self.text.items():
            try:
                with Path(place.path).open("rb") as file:
                    file.seek(place.offset)
                    found[name] = file.read(place.size).decode("utf-8")
            except UnicodeDecodeError as error:
                raise FieldError("member is not UTF-8", place.name) from error
        return found


def samples(path: Path, counts: Counts) -> list[Sample]:
    """All samples of a tar in the order of their first members. Raises DataError where there is no tar.

    A tar that is cut off gives the samples up to there, and the damage is counted.
    """
    found: dict[str, Sample] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in _members(tar, path, counts):
                _add(found, member, path, counts)
    except tarfile.ReadError as error:
        counts.lose("tar is damaged", path.name, str(error))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).", "Give the path of a tar.") from error
    return list(found.values())


def _members(tar: tarfile.TarFile, path: Path, counts: Counts) -> list[tarfile.TarInfo]:
    whole: list[tarfile.TarInfo] = []
    end = path.stat().st_size
    try:
        for member in tar:
            if member.offset_data + member.size > end:
                counts.lose("tar member is cut off", f"{path.name}:{member.name}")
            elif member.isfile():
                whole.append(member)
            elif not member.isdir():
                counts.lose("tar member is no plain file", f"{path.name}:{member.name}")
    except tarfile.ReadError as error:
        counts.lose("tar is damaged", path.name, str(error))
    return whole


def _add(found: dict[str, Sample], member: tarfile.TarInfo, path: Path, counts: Counts) -> None:
    key, dot, name = member.name.removeprefix("./").rpartition(".")
    if not dot or not key:
        counts.lose("tar member is not called KEY.FIELD", f"{path.name}:{member.name}")
        return
    sample = found.setdefault(key, Sample(key))
    suffix, _, number = name.partition("_")
    place = Sound(path=str(path), name=member.name, offset=member.offset_data, size=member.size)
    is_audio = suffix.lower() in SUFFIXES and (not number or number.isdigit())
    table, name = (sample.audio, f"wav_{number}" if number else "wav") if is_audio else (sample.text, name)
    if name in table:
        counts.lose("tar member occurs twice", f"{path.name}:{member.name}", "the first is taken")
    else:
        table[name] = place


class TarWriter:
    """Writes one tar; it appears under its name, with its ``.finished`` mark, when it is closed."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._part = path, path.with_name(path.name + ".part")
        self.finished.unlink(missing_ok=True)
        self._tar = tarfile.open(self._part, "w", format=tarfile.GNU_FORMAT)  # noqa: SIM115

    @property
    def finished(self) -> Path:
        """The empty file that says that the tar is whole."""
        return self.path.with_name(self.path.name + ".finished")

    def add(self, name: str, content: bytes) -> None:
        """Add a member."""
        about = tarfile.TarInfo(name)
        about.size = len(content)
        self._tar.addfile(about, io.BytesIO(content))

    def close(self) -> None:
        """Finish the tar."""
        self._tar.close()
        self._part.replace(self.path)
        self.finished.touch()

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._tar.close()
        self._part.unlink(missing_ok=True)
