"""Reads judgement scenes: JSON lines (plain or .xz), or the text form that people write.

Knows the forms of policies/data/SCHEMA.md and says which line breaks them. It knows no audio and no judges.
"""

from __future__ import annotations

import collections
import json
import lzma
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.interface import DELIVERIES, EMOTIONS, PoiseError
from policies.evaluation.score import ACTIONS

BUNDLED = Path(__file__).parents[1] / "data" / "scenes.jsonl.xz"
EVENTS = ("laugh", "sigh", "cough", "cry", "noise")
OVERLAPS = ("backchannel", "stop", "correction", "side_talk", "noise")
PATIENCE = ("low", "medium", "high")
RELATIONSHIP = ("stranger", "acquaintance", "friend", "close")
PHRASE = re.compile(r"^(\d+)\.\s+(.*)$")
NEEDED = ("id", "pair", "tags", "persona", "memory", "history", "agent_says", "phrases")
Scene = dict[str, Any]


class SceneError(PoiseError):
    """A file of scenes cannot be read or does not follow the schema."""

    code = "scenes_invalid"


class FaultError(ValueError):
    """One line that does not follow SCHEMA.md."""


def load(path: Path) -> list[Scene]:
    """Scenes of a ``.jsonl``, ``.jsonl.xz`` or ``.scenes`` file. Raises SceneError naming the file and line."""
    if path.suffix == ".scenes":
        scenes, faults = read(path)
        if faults:
            raise SceneError(f"{faults[0]}.", "Correct it as SCHEMA.md says.")
        return scenes
    return [_checked(row, f"{path.name}, line {number}") for number, row in json_lines(path)]


def bundled(*files: str) -> list[Scene]:
    """The scenes that come along, of these files (``w1`` to ``w8``; all without an argument)."""
    return [s for s in load(BUNDLED) if not files or file_of(s) in files]


def by_file(*files: str, of_each: int | None = None) -> dict[str, list[Scene]]:
    """The scenes that come along by file, at most ``of_each`` of each."""
    found: dict[str, list[Scene]] = {name: [] for name in files}
    for scene in bundled(*files):
        found[file_of(scene)].append(scene)
    return {name: scenes[:of_each] for name, scenes in found.items()}


def file_of(scene: Scene) -> str:
    """The file that a scene is of."""
    return str(scene["id"]).split("-")[0]


def json_lines(path: Path) -> list[tuple[int, Scene]]:
    """Numbered objects of a file of JSON lines. Raises SceneError where it cannot be read."""
    try:
        raw = path.read_bytes()
        text = (lzma.decompress(raw) if path.suffix == ".xz" else raw).decode("utf-8")
    except (OSError, lzma.LZMAError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is damaged"
        raise SceneError(f"{path} cannot be read: {reason}.", "Check the path.") from None
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or "id" not in row:
            raise SceneError(f"{path.name}, line {number} is no JSON object with an id.", "One object a line.")
        found.append((number, row))
    return found


def _checked(row: Scene, where: str) -> Scene:
    missing = [key for key in NEEDED if key not in row]
    if missing:
        raise SceneError(f"{where} lacks {missing[0]!r}.", "Make scenes with the text form's reader, see SCHEMA.md.")
    for phrase in row["phrases"]:
        if phrase.get("label") not in ACTIONS:
            raise SceneError(f"{where} has the label {phrase.get('label')!r}.", f"Allowed are {', '.join(ACTIONS)}.")
    return row


def read(path: Path) -> tuple[list[Scene], list[str]]:
    """All scenes of one text file, and the faults found in it (a faulty scene is left out)."""
    personas: dict[str, dict[str, Any]] = {}
    scenes: list[Scene] = []
    faults: list[str] = []
    for block in _blocks(path.read_text(encoding="utf-8").splitlines()):
        first, head = block[0]
        try:
            if head.startswith("persona "):
                one = _persona(block)
                personas[one["name"]] = one
            else:
                scenes.append({"id": f"{path.stem}-{len(scenes) + 1:04d}", **_scene(block, personas)})
        except FaultError as fault:
            faults.append(f"{path.name}:{first}: {fault}")
    faults += _faults_of_pairs(scenes, path.name)
    for scene in scenes:
        if scene["pair"]:
            scene["pair"] = f"{path.stem}-{scene['pair']}"
    return scenes, faults


def decisive(scene: Scene) -> dict[str, Any]:
    """The phrase that carries the scene's judgement: the last not labelled silence, else the last."""
    spoken = [p for p in scene["phrases"] if p["label"] != "silence"]
    return (spoken or scene["phrases"])[-1]  # type: ignore[no-any-return]


Block = list[tuple[int, str]]


def _blocks(lines: Sequence[str]) -> list[Block]:
    blocks: list[Block] = [[]]
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip()
        if line.startswith("#"):
            continue
        if line.startswith("@") or re.match(r"^persona \S", line) or not line.strip():
            blocks.append([])
        if line.strip():
            blocks[-1].append((number, line.strip()))
    return [block for block in blocks if block]


def _faults_of_pairs(scenes: list[Scene], name: str) -> list[str]:
    pairs: dict[str, list[Scene]] = collections.defaultdict(list)
    for scene in scenes:
        if scene["pair"]:
            pairs[scene["pair"]].append(scene)
    faults = []
    for pair, members in pairs.items():
        if not 2 <= len(members) <= 3:
            faults.append(f"{name}: pair {pair} has {len(members)} members")
        elif len({decisive(m)["label"] for m in members}) < 2:
            faults.append(f"{name}: pair {pair}: the decisive labels do not differ")
    return faults


def _persona(block: Block) -> dict[str, Any]:
    one: dict[str, Any] = {"name": block[0][1].split(None, 1)[1], "stance": "", "patience": "medium"}
    one |= {"relationship": "friend", "boundaries": []}
    for _, line in block[1:]:
        key, _, value = line.partition(":")
        value = value.split("#")[0].strip()
        if key == "boundary":
            one["boundaries"].append(value)
        elif key in ("stance", "patience", "relationship"):
            one[key] = value
        else:
            raise FaultError(f"persona {one['name']}: unknown line {line!r}")
    if one["patience"] not in PATIENCE or one["relationship"] not in RELATIONSHIP or not one["stance"]:
        raise FaultError(f"persona {one['name']}: patience, relationship or stance is wrong")
    return one


def _scene(block: Block, personas: dict[str, dict[str, Any]]) -> Scene:
    head = dict(part.split("=", 1) for part in block[0][1].lstrip("@").split() if "=" in part)
    scene: Scene = {"pair": head.get("pair"), "tags": [t for t in head.get("tags", "").split(",") if t]}
    scene |= {"persona": None, "memory": [], "history": [], "agent_says": None, "phrases": [], "reply": None, "why": ""}
    for _, line in block[1:]:
        phrase = PHRASE.match(line)
        if phrase:
            scene["phrases"].append(_phrase(phrase.group(2)))
        else:
            key, _, value = line.partition(":")
            _put(scene, key, value.strip(), personas)
    _check_whole(scene)
    return scene


def _put(scene: Scene, key: str, value: str, personas: dict[str, dict[str, Any]]) -> None:
    if key == "persona":
        if value not in personas:
            raise FaultError(f"unknown persona {value!r}")
        scene["persona"] = personas[value]
    elif key == "memory":
        scene["memory"].append(value)
    elif key == "said":
        for turn in value.split(" / "):
            who, _, text = turn.partition(":")
            if who.strip() not in ("user", "agent"):
                raise FaultError(f"said: {turn!r}")
            scene["history"].append({"who": who.strip(), "text": text.strip()})
    elif key == "agent":
        scene["agent_says"] = value
    elif key == "reply":
        tone, _, text = value.partition("|")
        if tone.strip() not in DELIVERIES or not text.strip():
            raise FaultError(f"reply: {value!r}")
        scene["reply"] = {"emotion": tone.strip(), "text": text.strip()}
    elif key == "why":
        scene["why"] = value
    else:
        raise FaultError(f"unknown line {key!r}")


def _check_whole(scene: Scene) -> None:
    if scene["persona"] is None or not 1 <= len(scene["phrases"]) <= 6 or not scene["why"]:
        raise FaultError("persona, phrases (1 to 6) or why is missing")
    if any(p["label"] != "silence" for p in scene["phrases"]) != (scene["reply"] is not None):
        raise FaultError("a reply belongs to a scene with a label other than silence, and only there")
    if scene["agent_says"] is None and any(p["overlap"] for p in scene["phrases"]):
        raise FaultError("overlap= without an agent: line")
    if "crisis" in scene["tags"] and decisive(scene)["label"] not in ("respond", "interrupt"):
        raise FaultError("a crisis scene ends in respond or interrupt")


def _phrase(text: str) -> dict[str, Any]:
    parts = [p.strip() for p in text.split("|")]
    if len(parts) < 4:
        raise FaultError(f"phrase {text!r}: text | pause | emotion | label")
    extra = dict(p.split("=", 1) for p in parts[4:] if "=" in p)
    one: dict[str, Any] = {"text": parts[0], "pause_s": 0.0, "emotion": parts[2], "label": parts[3]}
    one |= {"event": extra.pop("event", None), "to": extra.pop("to", "agent"), "overlap": extra.pop("overlap", None)}
    try:
        one["pause_s"] = float(parts[1])
    except ValueError:
        raise FaultError(f"phrase {text!r}: pause") from None
    if extra or len(parts[4:]) != sum("=" in p for p in parts[4:]):
        raise FaultError(f"phrase {text!r}: unknown extra")
    allowed = {"emotion": EMOTIONS, "label": ACTIONS, "event": (None, *EVENTS), "overlap": (None, *OVERLAPS)}
    for key, values in {**allowed, "to": ("agent", "other")}.items():
        if one[key] not in values:
            raise FaultError(f"phrase {text!r}: {key} {one[key]!r}")
    if not 1 <= len(one["text"].split()) <= 18 or re.search(r"[\[\]*(){}<>0-9]", one["text"]):
        raise FaultError(f"phrase {text!r}: 1 to 18 spoken words, no digits or stage directions")
    return one
