"""How the tests build: a toy configuration, and a voice that needs no engine."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from model.training.data import build, formats
from model.training.data.counts import Counts
from model.training.data.item import Item
from policies.evaluation import scenes

HERE = Path(__file__).parent
needs_engines = pytest.mark.skipif(
    not (shutil.which("espeak-ng") and shutil.which("flite")), reason="espeak-ng and flite are not installed"
)


def config_at(folder: Path, **changes: Any) -> Path:
    plain = yaml.safe_load((HERE / "toy.yaml").read_text()) | changes
    shutil.copy(HERE / "toy.exchanges", folder / "toy.exchanges")
    plain["texts"] = changes.get("texts", plain["texts"][:1])
    path = folder / "build.yaml"
    path.write_text(yaml.safe_dump(plain), encoding="utf-8")
    return path


def by_command(folder: Path) -> dict[str, Any]:
    """A voice that needs no engine: python writes a tone whose length and pitch depend on what is said and how."""
    program = folder / "say.py"
    program.write_text(
        "import array, sys, wave\n"
        "text, out, emotion = sys.argv[1:]\n"
        "sys.exit('cannot say this') if 'unspeakable' in text else None\n"
        "count = int(22050 * (0.4 + 0.3 * len(text.split())))\n"
        "with wave.open(out, 'wb') as file:\n"
        "    file.setparams((1, 2, 22050, count, 'NONE', ''))\n"
        "    period = 100 + 10 * len(emotion)\n"
        "    file.writeframes(array.array('h', range(-3000, 3000, 6000 // period)).tobytes() * (count // period))\n"
    )
    command = f"{sys.executable} -I -S {program} {{text}} {{out}} {{emotion}}"
    return {"engine": "command", "command": command, "licence": "CC0", "gender": "female"}


def quick(folder: Path, **changes: Any) -> Path:
    voice = by_command(folder)
    return config_at(folder, users=[voice], agent=voice, gates={"recogniser": "none"}, **changes)


def built(path: Path, out: Path, processes: int = 1) -> tuple[dict[str, Item], Counts]:
    counts = build.run(path, out, processes, scenes.load)
    data = out / "data.jsonl" if (out / "data.jsonl").exists() else out / "data"
    return {item.key: item for item in formats.read(data, Counts())}, counts
