"""Units for replies that were recorded or rendered: the speech tokenizer over whole files of messages.

Writes the file again with ``speech_units`` filled in; the recording is no longer named, since readers of this format
put audio before units.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from model.opens2s.loading import load_speech_tokenizer
from model.opens2s.speech_tokenizer import SpeechTokenizer
from model.training.stages.data import counted
from model.training.stages.examples import LostRowError, StageError, clip
from model.training.stages.stage import Tell

BATCH = 16  # rows that are encoded together
BESIDE = "agent.audio.path"  # where `model.training.data` writes the recording of a row's last reply


def fill(tokenizer: str | Path, data: Path, out: Path, device: str = "auto", tell: Tell = print) -> Counter[str]:
    """Write ``out`` beside ``data``, with units for all replies that have a recording; lost rows by reason.

    ``tokenizer``: folder or hub id of the GLM-4-Voice tokenizer. Raises StageError or CheckpointError.
    """
    if out.parent.resolve() != data.parent.resolve():
        raise StageError(f"{out} does not lie beside {data}.", "Paths inside the file would break: keep its folder.")
    if not data.is_file():
        raise StageError(f"{data} cannot be read.", "Give a file of messages in JSON Lines.")
    model = load_speech_tokenizer(tokenizer, device, progress=False)
    lost: Counter[str] = Counter()
    partial, written = out.with_name(f"{out.name}.partial"), 0
    with data.open(encoding="utf-8") as source, partial.open("w", encoding="utf-8") as file:
        rows = _rows(source, data.parent, model, lost)
        while batch := list(islice(rows, BATCH)):
            waves = [wave for _, replies in batch for _, wave in replies]
            units = iter(model.units(waves) if waves else [])
            for row, replies in batch:
                for reply, _ in replies:
                    reply["speech_units"] = "".join(f"<|audio_{unit}|>" for unit in next(units).tolist())
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                written += 1
    partial.replace(out)
    tell(f"{out}: {written} rows written, lost: {counted(lost)}")
    return lost


def _rows(
    lines: Iterable[str], folder: Path, model: SpeechTokenizer, lost: Counter[str]
) -> Iterator[tuple[dict[str, Any], list[tuple[dict[str, Any], Any]]]]:
    """Each row with its replies that lack units, and what was recorded of them."""
    for line in lines:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            replies = [(reply, clip(folder / path, model.log_mel.rate)) for reply, path in _recorded(row)]
        except (ValueError, KeyError, TypeError, AttributeError):
            lost["not a row of messages"] += 1
            continue
        except LostRowError as reason:
            lost[str(reason)] += 1
            continue
        yield row, replies


def _recorded(row: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Replies and their recordings; the recordings are taken out of the row."""
    said = [item for turn in row["messages"] if turn["role"] == "assistant" for item in _items(turn)]
    if said and (path := row.get("poise", {}).pop(BESIDE, None)):
        said[-1]["audio"] = said[-1].get("audio") or path
    pairs = [(item, item.pop("audio", "")) for item in said]
    return [(item, path) for item, path in pairs if path and not item.get("speech_units")]


def _items(turn: dict[str, Any]) -> list[dict[str, Any]]:
    """The items of a turn, as objects that can be changed."""
    if isinstance(turn["content"], str):
        turn["content"] = [{"text": turn["content"]}]
    items: list[dict[str, Any]] = turn["content"]
    return items
