"""OpenS2S `messages` JSON Lines, read and written.

One object a line: ``{"messages": [{"role", "content": [{"text", "audio", "speech_units", "spk_emb"}]}]}``; all four
are strings, empty or absent alike. Inside a piece of content, audio goes before units (which need text), and units
before text; so the text beside audio is free to be its transcript. What this has no field for stands beside
``messages``: ``key, task, licence, source, extra`` and ``poise`` (see `keeping`); upstream's reader ignores them.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from model.training.data import keeping, labels, lines
from model.training.data.counts import Counts
from model.training.data.item import (
    OPENS2S_UNITS,
    UNIT_COUNTS,
    Agent,
    Exchange,
    FieldError,
    Item,
    Sound,
    User,
)
from model.training.data.places import each_sound, resolve, sounds_of
from model.training.data.sounds import Placer

FAMILY = "messages"
_OURS = ("key", "task", "licence", "source", "extra", "poise")
_UNIT = re.compile(r"<\|audio_(\d+)\|>")
_PARTS = ("text", "audio", "speech_units", "spk_emb")
Row = dict[str, Any]


def read(path: Path, counts: Counts) -> Iterator[Item]:
    """Items of a file of JSON Lines. Raises DataError where the file cannot be read."""
    for where, row in lines.objects(path, counts):
        with counts.losing(str(row.get("key") or where)):
            yield resolve(item_of(row, where, counts), path.parent)
            counts.kept += 1


def write(items: Iterable[Item], path: Path, counts: Counts) -> None:
    """Write items; clips that lie in tars, or are cut, go to a folder beside the file."""
    placer = Placer(path.parent, path.parent / f"{path.stem}_audio")
    with lines.Writer(path) as out:
        for item in lines.unique(items, counts):
            with counts.losing(item.key):
                placed = each_sound(item, placer.place)
                row = row_of(placed)
                if any(one.agent.units and one.agent.codec != OPENS2S_UNITS for one in item.exchanges):
                    counts.note("units are of another tokenizer: carried beside, not as speech_units", item.key)
                out.write(row)
                counts.kept += 1


def item_of(row: Row, where: str, counts: Counts) -> Item:
    """One row as an item, with paths as written. Raises FieldError for a row that does not follow the form."""
    item = _meaning(row, where)
    rewritten = {"messages": _messages(item)}
    kept = keeping.kept_of({k: v for k, v in row.items() if k not in _OURS}, rewritten)
    if kept:
        item = item.model_copy(update={"kept": {FAMILY: kept}})
    _remark(row, item.key, counts)
    if not isinstance(row.get("poise") or {}, dict):
        raise FieldError("values beside the record do not fit", "poise is no object")
    return keeping.restored(item, row.get("poise") or {})


def row_of(item: Item) -> Row:
    """An item as a row; its sounds have paths that may be written."""
    written = {"messages": _messages(item)}
    kept = _with_paths(item.kept.get(FAMILY, {}), [sound.path for sound in sounds_of(item)])
    row = keeping.with_kept(written, kept, lambda flat: _turns(flat.get("messages")))
    ours: Row = {"key": item.key, "licence": item.licence, "source": item.source, "extra": item.extra}
    row = row | {name: value for name, value in ours.items() if value}
    read_back = _meaning(row, item.key)
    if item.task != read_back.task:
        row["task"] = item.task
        read_back = read_back.model_copy(update={"task": item.task})
    values = keeping.beside(item, read_back, FAMILY)
    return row | ({"poise": values} if values else {})


def _meaning(row: Row, where: str) -> Item:
    system, exchanges = _turns(row.get("messages"))
    if not exchanges:
        raise FieldError("no turn in the messages")
    extra = row.get("extra") or {}
    if not isinstance(extra, dict):
        raise FieldError("extra is no object")
    last, history = exchanges[-1], tuple(exchanges[:-1])
    task = row.get("task") or labels.task_of(last.user, last.agent, bool(history))
    return Item(
        key=str(row.get("key") or where),
        task=labels.task(str(task)),
        system=system,
        user=last.user,
        agent=last.agent,
        history=history,
        licence=str(row.get("licence") or ""),
        source=str(row.get("source") or ""),
        extra=extra,
    )


def _turns(messages: Any) -> tuple[str, list[Exchange]]:
    """The system turn, and the others in pairs; a turn without its other half stands alone."""
    if not isinstance(messages, list):
        raise FieldError("no field messages")
    system, exchanges = "", list[Exchange]()
    is_open = False  # the last exchange waits for its answer
    for number, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        pieces = _pieces(message.get("content")) if role else []
        if role == "system" and number == 0:
            system = "".join(piece["text"] for piece in pieces)
        elif role == "user":
            exchanges.append(Exchange(user=_user(pieces)))
            is_open = True
        elif role == "assistant" and is_open:
            exchanges[-1] = exchanges[-1].model_copy(update={"agent": _agent(pieces)})
            is_open = False
        elif role == "assistant":
            exchanges.append(Exchange(agent=_agent(pieces)))
        else:
            raise FieldError("unknown role", f"{role!r} in turn {number + 1}")
    return system, exchanges


def _pieces(content: Any) -> list[dict[str, str]]:
    if isinstance(content, str):
        content = [{"text": content}]
    if not isinstance(content, list) or not all(isinstance(piece, dict) for piece in content):
        raise FieldError("content is no list of objects")
    return [{part: _string(piece.get(part), part) for part in _PARTS} for piece in content]


def _string(value: Any, part: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise FieldError(f"{part} is no string", type(value).__name__)
    return value


def _user(pieces: list[dict[str, str]]) -> User:
    heard = [piece for piece in pieces if piece["audio"]]
    written = "".join(piece["text"] for piece in pieces if not piece["audio"])
    if not heard:
        return User(text=written)
    clips = tuple(Sound(path=piece["audio"]) for piece in heard)
    return User(text=" ".join(piece["text"] for piece in heard if piece["text"]), prompt=written, clips=clips)


def _agent(pieces: list[dict[str, str]]) -> Agent:
    units = tuple(unit for piece in pieces for unit in _units(piece["speech_units"]))
    audio = next((Sound(path=piece["audio"]) for piece in pieces if piece["audio"]), None)
    return Agent(
        text="".join(piece["text"] for piece in pieces),
        units=units,
        codec=OPENS2S_UNITS if units else "",
        audio=audio,
        voice=next((piece["spk_emb"] for piece in pieces if piece["spk_emb"]), ""),
    )


def _units(written: str) -> list[int]:
    units = [int(number) for number in _UNIT.findall(written)]
    if _UNIT.sub("", written).strip():
        raise FieldError("speech_units are malformed", _UNIT.sub("", written).strip()[:40])
    if any(unit >= UNIT_COUNTS[OPENS2S_UNITS] for unit in units):
        raise FieldError("speech_units are out of range", f"{max(units)} of {UNIT_COUNTS[OPENS2S_UNITS]}")
    return units


def _messages(item: Item) -> list[Row]:
    found = [_turn("system", [_piece(text=item.system)])] if item.system else []
    for exchange in item.exchanges:
        user, agent = exchange.user, exchange.agent
        if not user.is_empty:
            found.append(_turn("user", _user_pieces(user)))
        if agent.text or agent.units or agent.voice:
            ours = agent.codec == OPENS2S_UNITS
            units = "".join(f"<|audio_{unit}|>" for unit in agent.units) if ours else ""
            found.append(_turn("assistant", [_piece(agent.text, units=units, voice=agent.voice)]))
    return found


def _user_pieces(user: User) -> list[Row]:
    if not user.clips:
        return [_piece(user.prompt + user.text)]
    first, *others = (clip.path for clip in user.clips)
    pieces = [_piece(user.prompt)] if user.prompt else []
    return [*pieces, _piece(user.text, audio=first), *(_piece(audio=path) for path in others)]


def _with_paths(kept: Row, paths: list[str]) -> Row:
    """Kept messages with the paths that their clips have now, in order."""
    if "messages" not in kept:
        return kept
    messages = copy.deepcopy(kept["messages"])
    try:
        contents = [message["content"] for message in messages if isinstance(message["content"], list)]
        spoken = [piece for content in contents for piece in content if piece.get("audio")]
    except (TypeError, KeyError, AttributeError):  # kept fields may come from a damaged file
        return {}
    for piece, path in zip(spoken, paths, strict=False):
        piece["audio"] = path
    return kept | {"messages": messages}


def _turn(role: str, content: list[Row]) -> Row:
    return {"role": role, "content": content}


def _piece(text: str = "", audio: str = "", units: str = "", voice: str = "") -> Row:
    return {"text": text, "audio": audio, "speech_units": units, "spk_emb": voice}


def _remark(row: Row, key: str, counts: Counts) -> None:
    for message in row["messages"]:
        for piece in message["content"] if isinstance(message["content"], list) else []:
            if message["role"] == "user" and piece.get("speech_units"):
                counts.note("units in a user's turn: kept, of no use to the model", key)
            if message["role"] == "assistant" and piece.get("audio"):
                counts.note("audio in an assistant's turn: kept as the sound of the reply", key)
