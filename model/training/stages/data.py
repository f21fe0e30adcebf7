"""Rows of ``messages`` files as micro-batches: surveyed once, dealt by length, decoded when they are needed.

The survey decodes every clip. A row that cannot be learnt from is lost for a counted reason and never replaced; what
was found is kept beside the checkpoints, so that a resumed run does not look again.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, pairwise
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor
from torch.utils.data import Dataset

from model.interface import Record
from model.opens2s.config import OpenS2SConfig
from model.opens2s.features import LogMel
from model.opens2s.interleave import Units
from model.opens2s.layers import within
from model.opens2s.omnispeech import SPEAKER_WIDTH
from model.opens2s.splice import Batch
from model.opens2s.tokens import IGNORE
from model.training.stages.examples import Example, LostRowError, StageError, clip, read, speaker
from model.training.stages.layout import Sheet
from model.training.stages.learner import Packed

Lay = Callable[[Example, int], Sequence[Sheet]]  # a row of the file and its number -> rows to learn from
Kind = tuple[bool, bool]  # whether there are clips, and units
BLOCK = 512  # lines that are surveyed together


class Limits(Record):
    """Which rows are used."""

    longest: int = 4096  # positions of the LLM, clips counted by their frames, and units
    shortest_s: float = 0.5  # of a clip


class Entry(Record):
    """Where a row to learn from comes from, and how it is dealt."""

    file: int
    start: int  # byte of the line
    line: int
    sheet: int  # which of the line's
    kind: Kind
    length: int  # positions and units


class Rows(Dataset[Packed]):
    """The rows of some files. Indexing with a list of row numbers gives them as one micro-batch."""

    def __init__(
        self, files: Sequence[Path], lay: Lay, log_mel: LogMel, config: OpenS2SConfig, limits: Limits, pad: int = 0
    ) -> None:
        """``lay`` makes rows to learn from of an example; ``pad`` is an id that has an embedding."""
        self._files, self._lay, self._log_mel, self._limits, self._pad = list(files), lay, log_mel, limits, pad
        self._frames = Frames(config, log_mel)
        self.entries: list[Entry] = []
        self.lost: Counter[str] = Counter()

    def survey(self, kept: Path, settings: str, threads: int = 4, progress: bool = False) -> None:
        """Look at every row, or take over what an earlier survey found.

        ``kept``: where that stands; ``settings``: whatever else decides about rows. Raises StageError if a file
        cannot be read, or no row is left.
        """
        key = self._key(settings)
        if kept.is_file() and (found := json.loads(kept.read_text(encoding="utf-8")))["key"] == key:
            self.entries, self.lost = [Entry(**each) for each in found["entries"]], Counter(found["lost"])
        else:
            with ThreadPoolExecutor(threads) as pool:
                for number in range(len(self._files)):
                    self._survey_file(number, pool, progress)
            kept.parent.mkdir(parents=True, exist_ok=True)
            entries = [entry.model_dump() for entry in self.entries]
            text = json.dumps({"key": key, "entries": entries, "lost": self.lost})
            kept.with_suffix(".tmp").write_text(text, encoding="utf-8")
            kept.with_suffix(".tmp").replace(kept)
        if not self.entries:
            raise StageError(f"No row of {self._files[0]} can be learnt from: {counted(self.lost)}.", "Mend the data.")

    def _key(self, settings: str) -> str:
        stamps = []
        for path in self._files:
            try:
                stat = path.stat()
            except OSError:
                raise StageError(f"{path} cannot be read.", "Give a file of messages in JSON Lines.") from None
            stamps.append((str(path.resolve()), stat.st_size, stat.st_mtime_ns))
        text = json.dumps([stamps, settings, self._limits.model_dump()])
        return hashlib.sha256(text.encode()).hexdigest()

    def _survey_file(self, file: int, pool: ThreadPoolExecutor, progress: bool) -> None:
        path = self._files[file]
        with Progress(console=Console(stderr=True), disable=not progress, transient=True) as bar, path.open("rb") as f:
            task = bar.add_task(f"looking at {path.name}", total=path.stat().st_size)
            start = line = 0
            while block := list(islice(f, BLOCK)):
                places = []
                for raw in block:
                    places.append((file, start, line))
                    start, line = start + len(raw), line + 1
                for found in pool.map(self._look, block, places):
                    if isinstance(found, str):
                        self.lost[found] += 1
                    else:
                        self.entries += found
                bar.update(task, completed=start)

    def _look(self, raw: bytes, place: tuple[int, int, int]) -> list[Entry] | str:
        """The entries of one line, or why it is lost."""
        file, start, line = place
        if not raw.strip():
            return []
        found = []
        try:
            for number, sheet in enumerate(self._sheets(raw, line)):
                length = len(sheet.ids) + len(sheet.units)
                for wave in self._waves(file, sheet):
                    if len(wave) < self._limits.shortest_s * self._log_mel.rate:
                        raise LostRowError(f"a clip is shorter than {self._limits.shortest_s} s")
                    length += self._frames(len(wave)) - 1
                if sheet.speaker:
                    speaker(self._files[file].parent / sheet.speaker)
                if length > self._limits.longest:
                    raise LostRowError(f"longer than {self._limits.longest} positions")
                kind = (bool(sheet.clips), bool(sheet.units))
                found.append(Entry(file=file, start=start, line=line, sheet=number, kind=kind, length=length))
        except LostRowError as reason:
            return str(reason)
        return found

    def _sheets(self, raw: bytes, line: int) -> Sequence[Sheet]:
        return self._lay(read(raw.decode("utf-8", "replace")), line)

    def _waves(self, file: int, sheet: Sheet) -> list[Tensor]:
        folder = self._files[file].parent
        return [clip(folder / name, self._log_mel.rate) for name in sheet.clips]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, numbers: Sequence[int]) -> Packed:
        sheets, waves, speakers = [], [], []
        for entry in (self.entries[number] for number in numbers):
            path = self._files[entry.file]
            with path.open("rb") as f:
                f.seek(entry.start)
                raw = f.readline()
            try:
                sheet = self._sheets(raw, entry.line)[entry.sheet]
                waves += self._waves(entry.file, sheet)
                speakers.append(speaker(path.parent / sheet.speaker) if sheet.speaker else None)
            except LostRowError as reason:
                mend = "Start the stage anew in another folder, so that the data are surveyed again."
                raise StageError(f"Line {entry.line + 1} of {path} has changed: {reason}.", mend) from None
            sheets.append(sheet)
        return pack(sheets, waves, speakers, self._log_mel, self._pad)


class Frames:
    """How many positions of the LLM a clip takes."""

    def __init__(self, config: OpenS2SConfig, log_mel: LogMel) -> None:
        self._hop = log_mel.hop
        self._window: int = 2 * config.audio_encoder_config.max_source_positions
        self._pooled, self._convolutions = config.pooled, len(config.kernels)

    def __call__(self, samples: int) -> int:
        """Adapter frames of a clip of so many samples."""
        full, rest = divmod(-(-samples // self._hop), self._window)
        length = full * self._states(self._window) + self._states(rest)
        for _ in range(self._convolutions):
            length = (length - 1) // 2 + 1
        return length

    def _states(self, frames: int) -> int:
        convolved = (frames - 1) // 2 + 1
        return convolved // 2 if self._pooled else convolved


def pack(
    sheets: Sequence[Sheet], waves: Sequence[Tensor], speakers: Sequence[Tensor | None], log_mel: LogMel, pad: int
) -> Packed:
    """Rows padded to the longest; the clips of all rows, in order."""
    lengths = torch.tensor([len(sheet.ids) for sheet in sheets])
    labels = _padded([sheet.labels for sheet in sheets], IGNORE)
    features, mask = log_mel(waves) if waves else (None, None)
    batch = Batch(
        ids=_padded([sheet.ids for sheet in sheets], pad),
        mask=within(lengths, int(lengths.max())).long(),
        labels=labels,
        types=_padded([sheet.types for sheet in sheets], 0),
        features=features,
        features_mask=mask,
    )
    nobody = torch.zeros(1, SPEAKER_WIDTH)
    voices = torch.stack([nobody if voice is None else voice for voice in speakers])
    spoken = [n for n, sheet in enumerate(sheets) if sheet.units]
    units = [sheets[n].units for n in spoken]
    counts = (int((labels[:, 1:] != IGNORE).sum()), sum(map(len, units)))
    if not spoken:
        return Packed(batch, None, counts, voices)
    sizes = torch.tensor(list(map(len, units)))
    said = Units(_padded(units, 0), within(sizes, int(sizes.max())).long(), voices[spoken])
    return Packed(batch, said, counts, voices)


def _padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


def deal(
    entries: Sequence[Entry],
    size: int,
    total: int,
    processes: int,
    chance: random.Random,
    left: list[int] | None = None,
) -> Iterator[list[list[list[int]]]]:
    """The steps of one epoch: each a list of micro-steps, each with the rows of every process.

    ``total`` rows make a step, about ``size`` of them a micro-batch. All processes get rows of one kind at once, so
    that all of them run the same networks (sharded parameters need that), and of like length. Rows too few for that
    wait for the next step; those that still wait at the end are put into ``left``.
    """
    order = list(range(len(entries)))
    chance.shuffle(order)
    waiting: list[int] = []
    for start in range(0, len(order), total):
        rows, waiting = waiting + order[start : start + total], []
        step = []
        for kind in sorted({entries[row].kind for row in rows}):
            same = sorted((row for row in rows if entries[row].kind == kind), key=lambda row: entries[row].length)
            if len(same) < processes:
                waiting += same
                continue
            count = max(1, min(-(-len(same) // (size * processes)), len(same) // processes))
            cuts = [len(same) * n // count for n in range(count + 1)]
            parts = [same[low:high] for low, high in pairwise(cuts)]
            step += [[part[rank::processes] for rank in range(processes)] for part in parts]
        yield step
    if left is not None:
        left += waiting


def counted(lost: Counter[str]) -> str:
    """Reasons with their numbers, the most frequent first."""
    return ", ".join(f"{number} for: {reason}" for reason, number in lost.most_common()) or "nothing lost"
