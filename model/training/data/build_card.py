"""What a build leaves for its readers: a data card (Markdown) and a page to listen to (one HTML file)."""

from __future__ import annotations

import html
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from model.training.data.build_config import BuildConfig
from model.training.data.build_scripts import Script
from model.training.data.counts import Counts
from model.training.voices import steady_seed

CARD, PAGE = "card.md", "listen.html"
HEARD = 60  # items on the page
Results = Mapping[str, Mapping[str, Any]]


class Said(Protocol):
    """A take, as far as it is shown."""

    key: str
    text: str
    emotion: str
    path: str


Takes = Mapping[str, Sequence[Any]]


def write(
    config: BuildConfig, path: Path, out: Path, good: list[Script], takes: Takes, results: Results, counts: Counts
) -> None:
    """Write card and page into ``out``."""
    (out / CARD).write_text(card(config, path, good, takes, results, counts), encoding="utf-8")
    (out / PAGE).write_text(page(config, out, good, takes, results), encoding="utf-8")


def card(config: BuildConfig, path: Path, good: list[Script], takes: Takes, results: Results, counts: Counts) -> str:
    """The data card."""
    last = [(script, script.lines[-1]) for script in good]
    spoken = [results[take.key] for script in good for take in takes[script.key]]
    hours = sum(result["seconds"] for result in spoken) / 3600
    errors = [result["word_errors"] for result in spoken if "word_errors" in result]
    agreement = f"{sum(errors) / len(errors):.3f} edits a word over {len(errors)} takes" if errors else "not measured"
    voices = [config.users[script.voice] for script in good]
    parts = [
        f"# {config.name}",
        config.note,
        f"{len(good)} spoken exchanges, {hours:.2f} h of synthetic speech of both sides at 16 kHz, in the form "
        f"`{config.form}`. Made by `poise data build {path.name}` with seed {config.seed}.",
        "## What is in it",
        _table("Source", (script.source for script, _ in last)),
        _table("Licence of the texts", (script.licence for script, _ in last)),
        _table("Emotion of the user", (line.emotion or "not known" for _, line in last)),
        _table("Delivery of the reply", (line.delivery or "not known" for _, line in last)),
        _table("Age and gender", (f"{voice.age}, {voice.gender}" for voice in voices)),
        _table("User's voice", (f"{voice.key} ({voice.licence})" for voice in voices)),
        f"The agent speaks with {config.agent.key} ({config.agent.licence}).",
        "## How it was checked",
        f"Agreement of {config.gates.recogniser} with the texts: {agreement}. Thresholds: "
        + ", ".join(f"{name} {value}" for name, value in config.gates.model_dump().items())
        + ".",
        "## What was left out",
        _table("Reason", (reason for reason, keys in counts.lost.items() for _ in keys)) or "Nothing.",
        "Every one of them stands in `rejected.jsonl`, with its sound where there is one.",
        "## Limits",
        "The voices are synthetic, and emotion, age and gender are rendered by pitch, range, rate, level and formants "
        "after a table: labels say what was asked for, not what listeners hear. English only. No person was recorded. "
        "Do not judge recognisers of real speech by it.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(title: str, values: Iterable[str]) -> str:
    found = Counter(values)
    if not found:
        return ""
    rows = [f"| {name.replace('|', '/')} | {count} |" for name, count in found.most_common()]
    return "\n".join([f"| {title} | items |", "|---|---|", *rows])


def page(config: BuildConfig, out: Path, good: list[Script], takes: Takes, results: Results) -> str:
    """The page: some good items, and what the gates refused."""
    kept = {script.key for script in good}
    chance = random.Random(steady_seed(config.seed, "page"))
    shown = sorted(chance.sample(good, min(HEARD, len(good))), key=lambda script: script.key)
    refused = [key for key in takes if key not in kept][:HEARD]
    blocks = [_block(script.key, takes[script.key], results, out) for script in shown]
    faulty = [_block(key, takes[key], results, out) for key in refused]
    title = html.escape(config.name)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 16px/1.4 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem; }}
section {{ border-top: 1px solid #ccc; padding: .5rem 0; }} h3 {{ margin: .2rem 0; font-size: 1rem; }}
p {{ margin: .3rem 0; }} audio {{ display: block; height: 2rem; width: 100%; }} .fault {{ color: #a00; }}
</style></head><body><h1>{title}</h1><p>{len(good)} exchanges, {len(shown)} of them here.</p>
{"".join(blocks)}<h2>Refused</h2>
{"".join(faulty) or "<p>Nothing that has a sound.</p>"}</body></html>
"""


def _block(key: str, takes: Sequence[Said], results: Results, out: Path) -> str:
    parts = []
    for take in takes:
        result = results[take.key]
        side = take.key.rpartition(".")[2]
        parts.append(f"<p><b>{side}</b>, {html.escape(take.emotion or 'neutral')}: {html.escape(take.text)}</p>")
        if (out / take.path).exists():
            parts.append(f'<audio controls preload="none" src="{html.escape(take.path, quote=True)}"></audio>')
        if result["faults"]:
            parts.append(f'<p class="fault">{html.escape(", ".join(result["faults"]))}</p>')
        if "heard" in result:
            parts.append(f"<p><small>heard: {html.escape(result['heard'])}</small></p>")
    return f"<section><h3>{html.escape(key)}</h3>{''.join(parts)}</section>\n"
