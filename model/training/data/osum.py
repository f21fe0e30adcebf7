"""One sample of OSUM-EChat as a record, for its three forms (raw, shard, combine), and as an item.

A record has ``key, wav, txt, task, extra`` and, for the exchanges before, ``wav_1, txt_1, wav_2 ...`` (1-based).
``txt`` is what the model is to write; in a reply, it may begin with the emotion it is said in. ``extra`` holds the
labels (``age, gender, q_emotion, caption``), the user's words (``q_txt``, or ``question``), the thought
(``think_str``), units (``speech_token``, ``speech_token_1 ...``) and the sound of the reply (``a_wav_path``).
What there is no field for stands in ``extra.licence``, ``extra.source`` and ``extra.poise`` (see `keeping`).
"""

from __future__ import annotations

import json
import re
from typing import Any

from model.training.data import keeping, labels
from model.training.data.counts import Counts
from model.training.data.item import OSUM_UNITS, UNIT_COUNTS, Agent, Exchange, FieldError, Item, Labels, Sound, User

FAMILY = "osum"
_LABELS = {"age": "age", "gender": "gender", "emotion": "q_emotion", "event": "caption", "style": "style"}
_OURS = ("key", "wav", "wav_path")
_EXTRA = {*_LABELS.values(), "q_txt", "think_str", "speech_token", "a_wav_path", "licence", "source", "poise"}
_NUMBERED = re.compile(r"(wav|txt|speech_token)_([1-9]\d{0,3})")
_META_ONLY = "only-meta"
Row = dict[str, Any]


def item_of(row: Row, where: str, counts: Counts) -> Item:
    """A record as an item, with paths as written. Raises FieldError for one that does not follow the form."""
    row = _read(row, where, counts)
    item = _meaning(row)
    flat = {name: value for name, value in _flat(row).items() if name not in _OURS}
    unknown = {f"extra.{name}" for name in item.extra} | {"extra.poise"}
    own = {name: value for name, value in flat.items() if name not in unknown}
    if kept := keeping.kept_of(own, _flat(_written(item))):
        item = item.model_copy(update={"kept": {FAMILY: kept}})
    item = keeping.restored(item, row["extra"].get("poise") or {})
    for number, exchange in enumerate(item.history, 1):
        if exchange.is_hole:
            counts.note("hole in the history", item.key, f"exchange {number} of {len(item.history)}")
    return item


def row_of(item: Item, counts: Counts) -> Row:
    """An item as a record; its sounds have paths that may be written. Raises FieldError where it cannot be one."""
    if any(len(exchange.user.clips) > 1 for exchange in item.exchanges):
        raise FieldError("several clips in one turn", "only messages can hold them")
    if any(one.agent.units and one.agent.codec != OSUM_UNITS for one in item.exchanges):
        counts.note("units are of another tokenizer: carried in extra.poise, not as speech_token", item.key)
    flat = keeping.with_kept(_flat(_written(item)), item.kept.get(FAMILY, {}), lambda flat: _meaning(_nested(flat)))
    row = _nested(flat)
    if values := keeping.beside(item, _meaning(row), FAMILY):
        row["extra"]["poise"] = values
    return row


def _read(row: Row, where: str, counts: Counts) -> Row:
    """The record with what upstream silently fills in or trips over, each noted."""
    row = dict(row)
    row["key"] = str(row.get("key") or where)
    extra = row.get("extra") or {}
    if isinstance(extra, str):
        try:
            extra = json.loads(extra)
        except json.JSONDecodeError as error:
            raise FieldError("extra is not JSON", str(error)) from error
    if not isinstance(extra, dict):
        raise FieldError("extra is no object", type(extra).__name__)
    if not isinstance(extra.get("poise") or {}, dict):
        raise FieldError("values beside the record do not fit", "extra.poise is no object")
    row["extra"] = extra
    if not isinstance(row.get("txt"), str):
        raise FieldError("no field txt")
    if not row.get("task"):
        row["task"] = row.get("tas_tag") or labels.TRANSCRIBE
        reason = "tas_tag taken as task" if row.get("tas_tag") else f"no task: taken as {labels.TRANSCRIBE}"
        counts.note(reason, row["key"])
    return row


def _meaning(row: Row) -> Item:
    extra: Row = row["extra"]
    task = labels.task(str(row["task"]))
    is_reply = labels.is_reply(task)
    # Only a reply begins with an emotion: the target <ADULT> of the task <AGE> is all there is to learn.
    emotion, text = labels.split_reply(row["txt"]) if is_reply else (None, row["txt"])
    units = _units(extra.get("speech_token"))
    agent = Agent(
        text=text,
        units=units,
        codec=OSUM_UNITS if units else "",
        audio=_sound(extra.get("a_wav_path")),
        emotion=emotion,
        thought=str(extra.get("think_str") or ""),
    )
    return Item(
        key=row["key"],
        task=task,
        user=_user(row, extra, task, is_reply),
        agent=agent,
        history=_history(row, extra),
        licence=str(extra.get("licence") or ""),
        source=str(extra.get("source") or ""),
        extra={k: v for k, v in extra.items() if k not in _EXTRA and not _NUMBERED.fullmatch(k)},
    )


def _user(row: Row, extra: Row, task: str, is_reply: bool) -> User:
    words, told = labels.of_target(task, row["txt"])
    asked = extra.get("q_txt") or (extra.get("question") if is_reply else None) or words
    values = {kind: labels.word(kind, extra.get(name)) for kind, name in _LABELS.items()}
    for kind in ("emotion", "gender"):
        values[kind] = values[kind] or labels.word(kind, row.get(kind))
    values = {kind: value or getattr(told, kind) for kind, value in values.items()}
    sound = _sound(row.get("wav"))
    if sound is not None and (row.get("start") is not None or row.get("end") is not None):
        sound = sound.model_copy(update={"start": _number(row, "start"), "end": _number(row, "end")})
    return User(
        text=str(asked),
        clips=(sound,) if sound else (),
        labels=Labels(**values),
        speaker=_name(row.get("speaker")),
        language=_name(row.get("lang")),
    )


def _history(row: Row, extra: Row) -> tuple[Exchange, ...]:
    numbers = [int(m[2]) for name in (*row, *extra) if (m := _NUMBERED.fullmatch(name))]
    found = []
    for number in range(1, max(numbers, default=0) + 1):
        sound = _sound(row.get(f"wav_{number}"))
        units = _units(extra.get(f"speech_token_{number}"))
        emotion, text = labels.split_reply(str(row.get(f"txt_{number}") or ""))
        agent = Agent(text=text, units=units, codec=OSUM_UNITS if units else "", emotion=emotion)
        found.append(Exchange(user=User(clips=(sound,) if sound else ()), agent=agent))
    return tuple(found)


def _written(item: Item) -> Row:
    """The item's own fields as a record, without what stands beside it."""
    user, agent = item.user, item.agent
    extra: Row = dict(item.extra)
    extra |= {name: value for name, value in (("licence", item.licence), ("source", item.source)) if value}
    extra |= {"think_str": agent.thought} if agent.thought else {}
    extra |= {"speech_token": list(agent.units)} if agent.units and agent.codec == OSUM_UNITS else {}
    extra |= {"a_wav_path": agent.audio.path} if agent.audio else {}
    is_reply = labels.is_reply(item.task)
    row: Row = {"key": item.key, "task": item.task, "extra": extra}
    row["txt"] = labels.join_reply(agent.emotion, agent.text) if is_reply else agent.text
    if user.clips:
        clip = user.clips[0]
        row["wav"] = clip.path
        row |= {name: at for name, at in (("start", clip.start), ("end", clip.end)) if at is not None}
    row |= {name: value for name, value in (("speaker", user.speaker), ("lang", user.language)) if value}
    words, told = labels.of_target(item.task, row["txt"])
    if user.text and user.text != (extra.get("question") if is_reply else words):
        extra["q_txt"] = user.text
    for kind, name in _LABELS.items():
        value = getattr(user.labels, kind)
        if value and value != getattr(told, kind):
            extra[name] = labels.tag_of(kind, value)
    for number, exchange in enumerate(item.history, 1):
        row |= _earlier(exchange, number, extra)
    return row


def _earlier(exchange: Exchange, number: int, extra: Row) -> Row:
    agent = exchange.agent
    if agent.units and agent.codec == OSUM_UNITS:
        extra[f"speech_token_{number}"] = list(agent.units)
    row: Row = {f"txt_{number}": labels.join_reply(agent.emotion, agent.text)}
    if exchange.user.clips:
        row[f"wav_{number}"] = exchange.user.clips[0].path
    return row


def _flat(row: Row) -> Row:
    extra = {f"extra.{name}": value for name, value in row["extra"].items()}
    return {name: value for name, value in row.items() if name != "extra"} | extra


def _nested(flat: Row) -> Row:
    extra = {name.removeprefix("extra."): value for name, value in flat.items() if name.startswith("extra.")}
    return {name: value for name, value in flat.items() if not name.startswith("extra.")} | {"extra": extra}


def _sound(path: Any) -> Sound | None:
    if path is None or str(path).strip().lower() in ("", "none", _META_ONLY):
        return None
    return Sound(path=str(path))


def _units(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(type(unit) is int for unit in value):
        raise FieldError("speech_token is no list of whole numbers", str(value)[:40])
    if any(not 0 <= unit < UNIT_COUNTS[OSUM_UNITS] for unit in value):
        raise FieldError("speech_token is out of range", f"{min(value)}..{max(value)} of {UNIT_COUNTS[OSUM_UNITS]}")
    return tuple(value)


def _number(row: Row, name: str) -> float | None:
    try:
        return None if row.get(name) is None else float(row[name])
    except (TypeError, ValueError) as error:
        raise FieldError(f"{name} is no number", str(row[name])[:40]) from error


def _name(value: Any) -> str:
    return "" if value is None or str(value).lower() in ("none", "null") else str(value)
