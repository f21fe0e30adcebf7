"""Figures as Markdown tables, for reading."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from model.inference.tasks import UNKNOWN


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; None is shown as a dash."""
    lines = [list(head), ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def heard(figures: Mapping[str, Any]) -> str:
    """Tables of `listening.evaluate`."""
    parts = [f"{figures['corpus']}, {figures['split']}: {figures['clips']} clips, {figures['seconds']} s of sound."]
    engines = {figures["engine"]: figures["transcript"], "pocketsphinx": figures["pocketsphinx"]}
    words = [
        (name, *_rate(found["wer"]), *_rate(found["cer"]), found["wer"]["items"])
        for name, found in engines.items()
        if found and found["wer"]["items"]
    ]
    if words:
        parts.append(table(("recogniser", "WER", "95 %", "CER", "95 %", "words"), words))
    labels = figures["labels"]
    if labels:
        names = ("clips", "not_answered", "accuracy", "balanced", "balanced_five")
        parts.append(
            table(("label", *names), [(task, *(row.get(name) for name in names)) for task, row in labels.items()])
        )
    parts += [_confusion(task, row["confusion"]) for task, row in labels.items() if row["answered"]]
    pace = figures["real_time_factor"]
    parts.append(f"Real-time factor {pace['wall']} (processor {pace['processor']}); {len(figures['failed'])} failed.")
    return "\n\n".join(parts)


def _confusion(task: str, confusion: Mapping[str, Mapping[str, int]]) -> str:
    given = {name for row in confusion.values() for name in row}
    columns = [*sorted(given - {UNKNOWN}), *([UNKNOWN] if UNKNOWN in given else [])]
    return table(
        (f"{task}: true \\ told", *columns),
        [(truth, *(row.get(name, 0) for name in columns)) for truth, row in confusion.items()],
    )


def replied(figures: Mapping[str, Any]) -> str:
    """Tables of what was measured of replies: as text, as speech, and by a judge where there was one."""
    texts = {name: figures["text"][name] for name in ("clean", "misheard")}
    measures = [name for name in texts["clean"] if name != "delivery"]
    parts = [table(("measure", *texts), [(name, *(row[name] for row in texts.values())) for name in measures])]
    fits = {name: row["delivery"] for name, row in texts.items() if row["delivery"]}
    if fits:
        parts.append(
            table(("delivery", *fits), [(name, *(row[name] for row in fits.values())) for name in fits["clean"]])
        )
    if figures.get("speech"):
        parts += _spoken(figures["speech"])
    if figures.get("judge"):
        kinds = ("own", "shuffled")
        names = ("rated", "fits", "warmth", "natural", "accepted")
        rows = [(kind, *(figures["judge"][kind].get(name) for name in names)) for kind in kinds]
        parts.append(table(("judged", *names), rows))
    return "\n\n".join(parts)


def _spoken(speech: Mapping[str, Any]) -> list[str]:
    control = speech["delivery_control"] or {}
    rows = [
        (way, *_rate(rate), control.get(way, {}).get("balanced"), control.get(way, {}).get("chance"))
        for way, rate in speech["wer"].items()
    ]
    parts = [table(("voice", "WER by pocketsphinx", "95 %", "delivery told", "chance"), rows)]
    if speech["against_source"]:
        names = list(speech["against_source"])
        parts.append(table(names, [list(speech["against_source"].values())]))
    return parts


def _rate(found: Mapping[str, Any]) -> tuple[object, object]:
    low_high = found["interval"]
    return found["rate"], f"{low_high[0]} to {low_high[1]}" if low_high else None


def _cell(value: object) -> str:
    return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
