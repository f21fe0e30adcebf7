"""Gathers the words people say: texts of scenes, exchanges and permissive corpora, as plain spoken words.

Knows where texts lie and how written text becomes spoken words. It does not know what is estimated from them.
"""

from __future__ import annotations

import argparse
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from model.training import corpora, exchanges

_TOKEN = re.compile(r"[a-z']+")
_EDGES = ("'em", "'cause", "'til", "'bout", "'cuz", "'tis", "'twas")


@dataclass(frozen=True)
class Saying:
    """One utterance: its words, who says it (``user``, ``agent``, ``reader``), and where it comes from."""

    words: tuple[str, ...]
    who: str
    source: str


def spoken(text: str) -> tuple[str, ...]:
    """Lower-case words and apostrophes of written text; hyphens part words, other marks vanish."""
    plain = unicodedata.normalize("NFKD", text.replace("’", "'").replace("‘", "'").lower())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    words = (w if w in _EDGES else w.strip("'") for w in _TOKEN.findall(re.sub(r"[0-9]+", " ", plain)))
    return tuple(word for word in words if word)


def scenes(paths: Iterable[Path]) -> Iterator[Saying]:
    """Everything said in scene files (JSON lines): phrases and history by the user, replies by the agent."""
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            scene = json.loads(line)
            yield Saying(spoken(" ".join(p["text"] for p in scene["phrases"])), "user", path.stem)
            for phrase in scene["phrases"]:
                yield Saying(spoken(phrase["text"]), "user", path.stem)
            for said in scene["history"]:
                yield Saying(spoken(said["text"]), said["who"], path.stem)
            if scene.get("reply"):
                yield Saying(spoken(scene["reply"]["text"]), "agent", path.stem)


def dialogues(paths: Iterable[Path], split: str) -> Iterator[Saying]:
    """Both sides of spoken exchanges of one split."""
    for path in paths:
        for item in exchanges.read(path):
            for turn in item["turns"] if item["split"] == split else ():
                yield Saying(spoken(turn["user"]), "user", "exchanges")
                yield Saying(spoken(turn["agent"]), "agent", "exchanges")


def transcripts(root: Path, split: str) -> Iterator[Saying]:
    """Transcripts of all permissive corpora under ``root``; each distinct sentence of a corpus once."""
    for folder in corpora.corpora(root):
        texts = {row["text"] for row in corpora.rows(folder, split) if row["text"]}
        yield from (Saying(spoken(text), "reader", folder.name) for text in sorted(texts))


def training_texts(folder: Path, exchanges_folder: Path, speech: Path, held_out: str = "w8") -> list[Saying]:
    """All that words may be learned from: scenes (JSON lines) but the held-out file, exchanges, transcripts."""
    files = [path for path in sorted(folder.glob("*.jsonl")) if path.stem != held_out]
    told = dialogues(sorted(exchanges_folder.glob("*.exchanges")), "train")
    return [*scenes(files), *told, *transcripts(speech, "train")]


def options(description: str | None, out: Path) -> argparse.Namespace:
    """The command line that both makers of words share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--scenes", type=Path, required=True, help="folder of scene files as JSON lines")
    parser.add_argument("--exchanges", type=Path, required=True, help="folder of *.exchanges")
    parser.add_argument("--speech", type=Path, required=True, help="folder of recorded corpora")
    parser.add_argument("--held-out", default="w8", help="scene file that is never trained on")
    parser.add_argument("--out", type=Path, default=out)
    return parser.parse_args()
