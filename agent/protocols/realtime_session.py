"""The Realtime session object: its defaults, how an update is merged, what is refused.

The whole resolved object is echoed to the client after every update, because clients decide from the
echo what to do themselves. This part knows of no items, responses or events.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import Any

from .wire_error import WireError

Json = dict[str, Any]

FORMAT_RATES = {"audio/pcm": 24_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}
PERSON = re.compile(r"[A-Za-z0-9._-]{1,64}")
WATCHABLE = frozenset({"judgement", "decision", "memory", "ducking", "persona", "timing"})
MAX_INSTRUCTIONS = 64_000  # characters, about 16,000 tokens
_VAD: Json = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
_SEMANTIC: Json = {"type": "semantic_vad", "eagerness": "auto", "create_response": True, "interrupt_response": True}
_PLAIN = {"instructions", "tools", "tool_choice", "max_output_tokens", "tracing", "truncation", "prompt", "include"}


@dataclass(frozen=True, slots=True)
class Identity:
    """What a session is from birth: ids, model name, person, persona and the names it may choose from."""

    session: str
    conversation: str
    model: str
    person: str
    persona: str
    personas: tuple[str, ...]
    expires_at: int  # unix seconds


class SessionConfig:
    """The resolved session object and the rules by which a client may change it."""

    def __init__(self, identity: Identity, events: str = "", judgements: str = "") -> None:
        self._identity = identity
        self.resolved: Json = {
            "type": "realtime",
            "object": "realtime.session",
            "id": identity.session,
            "model": identity.model,
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "include": None,
            "expires_at": identity.expires_at,
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24_000},
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": dict(_VAD),
                },
                "output": {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "marin", "speed": 1.0},
            },
        }
        watched = _watched([name for name in re.split(r"[,\s]+", events) if name])
        self.poise: Json = {
            "persona": identity.persona,
            "personas": list(identity.personas),
            "person": identity.person,
            "events": sorted(watched),
            "judgements": judgements or ("all" if "judgement" in watched else "off"),
            "resume": identity.session,
        }
        self._updated = False

    def echo(self) -> Json:
        """The full session object as the client sees it."""
        return {**copy.deepcopy(self.resolved), "poise": copy.deepcopy(self.poise)}

    @property
    def turn_detection(self) -> Json | None:
        """The turn detection in force; None is manual mode."""
        detection: Json | None = self.resolved["audio"]["input"]["turn_detection"]
        return detection

    @property
    def modality(self) -> str:
        """``audio`` or ``text``."""
        return str(self.resolved["output_modalities"][0])

    def format(self, side: str) -> str:
        """Wire format of ``input`` or ``output`` audio."""
        return str(self.resolved["audio"][side]["format"]["type"])

    def merge(self, patch: Any, voice_fixed: bool, person_fixed: bool) -> None:
        """Apply a sparse update whole, or refuse it whole with a :class:`WireError`."""
        if not isinstance(patch, dict):
            raise WireError("invalid_type", "session must be an object.", 'Send {"session": {...}}.', "session")
        resolved, poise = copy.deepcopy(self.resolved), copy.deepcopy(self.poise)
        self._merge_top(resolved, patch)
        if "audio" in patch and patch["audio"] is not None:
            _merge_audio(resolved["audio"], _object(patch["audio"], "session.audio"), voice_fixed)
        if patch.get("poise") is not None:
            self._merge_poise(poise, _object(patch["poise"], "session.poise"), person_fixed)
        self.resolved, self.poise, self._updated = resolved, poise, True

    def _merge_top(self, resolved: Json, patch: Json) -> None:
        if patch.get("type", "realtime") != "realtime":
            raise WireError("invalid_value", "Only sessions of type realtime exist here.", "Use it.", "session.type")
        model = patch.get("model")
        if model is not None and model != resolved["model"]:
            if self._updated or not isinstance(model, str):
                raise WireError("model_immutable", "The model cannot change.", "Open a new session.", "session.model")
            resolved["model"] = model  # every name means the one engine; the first update may still choose it
        if "output_modalities" in patch:
            resolved["output_modalities"] = modalities(patch["output_modalities"], "session.output_modalities")
        for key in _PLAIN & patch.keys():
            resolved[key] = _PLAIN_CHECKS.get(key, lambda value: value)(copy.deepcopy(patch[key]))

    def _merge_poise(self, poise: Json, patch: Json, person_fixed: bool) -> None:
        if "events" in patch:
            poise["events"] = sorted(_watched(patch["events"]))
            if "judgements" not in patch:
                poise["judgements"] = "all" if "judgement" in poise["events"] else "off"
        if "judgements" in patch:
            poise["judgements"] = _one_of(patch["judgements"], ("all", "changes", "off"), "session.poise.judgements")
        if patch.get("persona") is not None:
            poise["persona"] = self.known_persona(patch["persona"])
        person = patch.get("person")
        if person is not None and person != poise["person"]:
            if person_fixed:
                raise WireError(
                    "person_immutable",
                    "The person cannot change once the conversation has begun.",
                    "Name it in the first session.update or as ?person=.",
                    "session.poise.person",
                )
            poise["person"] = checked_person(person)

    def known_persona(self, name: Any) -> str:
        """The persona's name, if the server has it."""
        if name not in self._identity.personas:
            known = ", ".join(self._identity.personas)
            raise WireError(
                "unknown_persona", f"There is no persona {str(name)[:60]!r}.", f"Choose one of: {known}.", "persona"
            )
        return str(name)


def checked_person(name: Any) -> str:
    """A person's id, if it is one (letters, digits, ``._-``, at most 64)."""
    if not isinstance(name, str) or not PERSON.fullmatch(name):
        raise WireError(
            "invalid_person", "That is no id of a person.", "Use 1 to 64 letters, digits, dots, dashes.", "person"
        )
    return name


def modalities(value: Any, param: str) -> list[str]:
    """Exactly ``["audio"]`` or ``["text"]``."""
    if value not in (["audio"], ["text"]):
        raise WireError("invalid_value", "output_modalities is not understood.", 'Use ["audio"] or ["text"].', param)
    return list(value)


def _merge_audio(audio: Json, patch: Json, voice_fixed: bool) -> None:
    """Formats, detection, transcription and noise reduction are replaced whole; the rest is merged."""
    source = _object(patch.get("input") or {}, "session.audio.input")
    if source.get("format") is not None:
        audio["input"]["format"] = _format(source["format"], "session.audio.input.format")
    if "turn_detection" in source:
        audio["input"]["turn_detection"] = _detection(source["turn_detection"])
    if "transcription" in source:
        audio["input"]["transcription"] = _optional(source["transcription"], "session.audio.input.transcription")
    if "noise_reduction" in source:
        reduction = _optional(source["noise_reduction"], "session.audio.input.noise_reduction")
        if reduction is not None:
            _one_of(reduction.get("type"), ("near_field", "far_field"), "session.audio.input.noise_reduction.type")
        audio["input"]["noise_reduction"] = reduction
    sink = _object(patch.get("output") or {}, "session.audio.output")
    if sink.get("format") is not None:
        audio["output"]["format"] = _format(sink["format"], "session.audio.output.format")
    if sink.get("speed") is not None:
        audio["output"]["speed"] = _speed(sink["speed"])
    voice = sink.get("voice")
    if voice is not None and voice != audio["output"]["voice"]:
        if voice_fixed:
            raise WireError(
                "cannot_update_voice",
                "The voice cannot change once audio was sent.",
                "Open a new session.",
                "session.audio.output.voice",
            )
        audio["output"]["voice"] = _voice(voice)


def _detection(value: Any) -> Json | None:
    if value is None:
        return None
    given = _object(value, "session.audio.input.turn_detection")
    kind = _one_of(given.get("type"), ("server_vad", "semantic_vad"), "session.audio.input.turn_detection.type")
    filled = dict(_VAD if kind == "server_vad" else _SEMANTIC)
    filled.update({key: given[key] for key in filled.keys() & given.keys() if given[key] is not None})
    for key in ("create_response", "interrupt_response"):
        if not isinstance(filled[key], bool):
            raise WireError("invalid_type", f"turn_detection.{key} must be true or false.", "Send a boolean.", key)
    for key in ("threshold", "prefix_padding_ms", "silence_duration_ms"):
        if key in filled and (isinstance(filled[key], bool) or not isinstance(filled[key], int | float)):
            raise WireError("invalid_type", f"turn_detection.{key} must be a number.", "Send a number.", key)
    if "eagerness" in filled:
        _one_of(filled["eagerness"], ("low", "medium", "high", "auto"), "session.audio.input.turn_detection.eagerness")
    return filled


def _format(value: Any, param: str) -> Json:
    kind = value if isinstance(value, str) else _object(value, param).get("type")
    _one_of(kind, tuple(FORMAT_RATES), f"{param}.type")
    rate = None if isinstance(value, str) else value.get("rate")
    if rate not in (None, FORMAT_RATES[str(kind)]):
        raise WireError("invalid_value", f"{kind} has one rate here.", f"Use {FORMAT_RATES[str(kind)]} Hz.", param)
    return {"type": kind, "rate": 24_000} if kind == "audio/pcm" else {"type": kind}


def _watched(value: Any) -> set[str]:
    if value in ("all", ["all"]):
        return set(WATCHABLE)
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) and name in WATCHABLE for name in names):
        raise WireError(
            "invalid_value",
            "poise.events is not understood.",
            f'Use "all" or a list of {", ".join(sorted(WATCHABLE))}.',
            "session.poise.events",
        )
    return set(names)


def _instructions(value: Any) -> str:
    if not isinstance(value, str | None) or len(value or "") > MAX_INSTRUCTIONS:
        raise WireError(
            "invalid_value",
            "instructions must be a text of at most 64,000 characters.",
            "Shorten it.",
            "session.instructions",
        )
    return value or ""


def _tools(value: Any) -> list[Any]:
    if not isinstance(value, list | None):
        raise WireError("invalid_type", "tools must be a list.", "Send a list of tools.", "session.tools")
    return value or []


def _tokens(value: Any) -> Any:
    if value != "inf" and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 4096):
        raise WireError(
            "invalid_value", "max_output_tokens is not understood.", 'Use 1 to 4096 or "inf".', "max_output_tokens"
        )
    return value


def _speed(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.25 <= value <= 1.5:
        raise WireError("invalid_value", "speed is out of range.", "Use 0.25 to 1.5.", "session.audio.output.speed")
    return float(value)


def _voice(value: Any) -> str:
    name = value.get("id") if isinstance(value, dict) else value
    if not isinstance(name, str) or not name:
        raise WireError("invalid_type", "voice must be a name.", "Send a text.", "session.audio.output.voice")
    return name


def _object(value: Any, param: str) -> Json:
    if not isinstance(value, dict):
        raise WireError("invalid_type", f"{param} must be an object.", "Send a JSON object.", param)
    return value


def _optional(value: Any, param: str) -> Json | None:
    return None if value is None else copy.deepcopy(_object(value, param))


def _one_of(value: Any, allowed: tuple[str, ...], param: str) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise WireError("invalid_value", f"{param} is not understood.", f"Use one of: {', '.join(allowed)}.", param)
    return value


_PLAIN_CHECKS = {"instructions": _instructions, "tools": _tools, "max_output_tokens": _tokens}
