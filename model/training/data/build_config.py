"""What a build is told: texts, voices, gates, form. One YAML file; paths in it are relative to the file.

A build is refused where a licence is missing or a voice is reserved for those who test with voices never heard.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from model.interface import DELIVERIES, EMOTIONS, Record
from model.training.data.item import DataError
from model.training.voices import RESERVED, Voice

AGES, GENDERS = ("child", "adult", "old"), ("male", "female")
FLITE_VOICES = ("slt", "awb", "kal", "kal16")
_WOMEN = re.compile(r"(f\d|.*slt.*|Andrea|Annie|anika|aunty|belinda|grandma|linda|steph)")  # names of offline voices
_RESERVED_NAMES = {key.partition(":")[2].lower() for key in RESERVED}
_OFFLINE = re.compile("espeak|flite|festival|text2wave", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z0-9]+")


class BuildError(DataError):
    """A build cannot begin or go on."""

    code = "data_build"


class ReservedVoiceError(BuildError):
    """A voice is kept for those who test with voices that were never heard."""

    code = "voice_reserved"


class VoiceSeed(Record):
    """One speaker and how he is made to sound.

    ``engine``: espeak, flite, festival, command or clone. ``age`` and ``gender`` are what is to be heard; the offline
    engines change pitch, rate and formants towards them.
    """

    engine: Literal["espeak", "flite", "festival", "command", "clone"]
    name: str = ""
    licence: str = ""
    age: Literal["child", "adult", "old"] = "adult"
    gender: Literal["male", "female"] = "male"
    accent: str = "en-us"
    rate: float = Field(default=1.0, ge=0.5, le=2.0)
    pitch: float = Field(default=1.0, ge=0.5, le=2.0)
    formant: float = Field(default=1.0, ge=0.7, le=1.4)  # scale of the formants on top of what age and gender ask for
    command: str = ""  # of engine command: words with {text} {out} {name} {emotion} {age} {gender} {rate} {pitch}
    adapter: str = ""  # of engine clone: coqui, chatterbox, or package.module:function
    model: str = ""  # of engine clone: hub id or path
    reference: Path | None = None  # of engine clone: the voice to clone

    @property
    def key(self) -> str:
        """A name for tables."""
        parts = (self.engine, self.name or self.adapter or self.command.split(" ")[0], self.age, self.gender)
        return ":".join(part for part in parts if part)

    @property
    def natural_gender(self) -> str:
        """Whom an offline voice was made after."""
        return "female" if _WOMEN.fullmatch(self.name) else "male"

    def offline(self) -> Voice:
        """The voice as `voices` knows it."""
        return Voice(self.engine, self.name, self.accent, self.rate, self.pitch)


class TextSource(Record):
    """Where exchanges come from: a file of ours (``exchanges``, ``scenes``), or a chat model (``writer``)."""

    kind: Literal["exchanges", "scenes", "writer"]
    path: Path | None = None
    licence: str = ""
    name: str = ""  # what the items carry as their source
    limit: int | None = Field(default=None, gt=0)
    topics: tuple[str, ...] = ()  # for the writer
    split: str | None = None  # of exchanges: train or dev


class WriterConfig(Record):
    """The chat model: an OpenAI-compatible address, or a folder or hub id for transformers."""

    url: str = ""
    model: str = ""
    key_variable: str = ""  # name of the environment variable that holds the key
    local: str = ""
    temperature: float = 0.9
    tries: int = Field(default=3, gt=0)


class Gates(Record):
    """What rendered speech must be; what is not goes to rejected.jsonl with the reason."""

    recogniser: Literal["pocketsphinx", "none"] = "pocketsphinx"
    max_word_errors: float = 0.8  # edits a word, by the recogniser; synthetic voices are hard for it
    min_level_db: float = -45.0  # RMS, dB re full scale
    max_level_db: float = -9.0
    max_clipped: float = 0.001  # share of samples at full scale
    min_seconds: float = 0.25
    max_seconds: float = 30.0
    max_words_per_s: float = 7.0
    near_duplicate: float = Field(
        default=0.85, gt=0.0, le=1.0
    )  # share of words in common from which a text is a duplicate


class BuildConfig(Record):
    """One build."""

    name: str
    texts: tuple[TextSource, ...] = Field(min_length=1)
    users: tuple[VoiceSeed, ...] = Field(min_length=1)
    agent: VoiceSeed
    seed: int = 0
    form: Literal["messages", "raw", "shard", "combine"] = "messages"
    emotions: tuple[str, ...] = EMOTIONS  # that the writer is asked for
    deliveries: tuple[str, ...] = DELIVERIES  # a reply must have one of these
    writer: WriterConfig | None = None
    gates: Gates = Gates()
    note: str = ""  # goes into the card


def load(path: Path) -> BuildConfig:
    """Read and check a build's YAML. Raises BuildError, ReservedVoiceError."""
    try:
        config = BuildConfig.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BuildError(f"{path} cannot be read ({error.strerror}).", "Give the path of a build's YAML.") from error
    except (yaml.YAMLError, ValidationError) as error:
        raise BuildError(f"{path} is no build: {_first(error)}.", "Correct it as docs/data.md shows.") from error
    config = _with_paths(config, path.parent)
    check(config)
    return config


def check(config: BuildConfig) -> None:
    """Raises BuildError or ReservedVoiceError where the build must not begin."""
    for source in config.texts:
        what = source.name or str(source.path or source.kind)
        if not source.licence:
            raise BuildError(f"The texts {what} have no licence.", "Say under which licence they may be used.")
        if source.kind == "writer" and not (config.writer and (config.writer.url or config.writer.local)):
            raise BuildError("A writer is asked for, but none is given.", "Add writer: with url and model, or local.")
        if source.kind != "writer" and not (source.path and source.path.is_file()):
            raise BuildError(f"The texts {what} are not there.", "Give path: a file.")
    for voice in (*config.users, config.agent):
        _check_voice(voice)


def _check_voice(voice: VoiceSeed) -> None:
    if not voice.licence:
        mend = "Say under which licence its speech may be used."
        raise BuildError(f"The voice {voice.key} has no licence.", mend)
    if reserved := _reserved(voice):
        mend = "Take another voice: these are kept for tests with voices never heard."
        raise ReservedVoiceError(f"The voice {voice.key} is reserved ({reserved}).", mend)
    if voice.engine == "flite" and voice.name not in FLITE_VOICES:
        raise BuildError(f"There is no flite voice {voice.name!r}.", f"Take one of {', '.join(FLITE_VOICES)}.")
    if voice.engine == "command" and not ("{text}" in voice.command and "{out}" in voice.command):
        raise BuildError(f"The command of {voice.key} lacks {{text}} or {{out}}.", "Write it like: say {text} {out}.")
    if voice.engine == "clone" and not voice.adapter:
        raise BuildError(f"The voice {voice.key} names no adapter.", "Give coqui, chatterbox, or module:function.")
    if voice.engine == "clone" and not (voice.reference and voice.reference.is_file()):
        raise BuildError(f"The voice {voice.key} has no reference.", "Give reference: a recording of the voice.")


def _reserved(voice: VoiceSeed) -> str | None:
    """The reserved name that a voice would use, however it is spelled: as name, in the accent, in a command."""
    if voice.engine == "clone" or (voice.engine == "command" and not _OFFLINE.search(voice.command)):
        return None
    words = {word.lower() for word in _WORD.findall(f"{voice.name} {voice.accent} {voice.command}")}
    return next((name for name in sorted(_RESERVED_NAMES) if name in words), None)


def _with_paths(config: BuildConfig, folder: Path) -> BuildConfig:
    def voice(seed: VoiceSeed) -> VoiceSeed:
        return seed.model_copy(update={"reference": folder / seed.reference}) if seed.reference else seed

    def texts(source: TextSource) -> TextSource:
        return source.model_copy(update={"path": folder / source.path}) if source.path else source

    changed: dict[str, Any] = {
        "texts": tuple(texts(source) for source in config.texts),
        "users": tuple(voice(seed) for seed in config.users),
        "agent": voice(config.agent),
    }
    return config.model_copy(update=changed)


def _first(error: yaml.YAMLError | ValidationError) -> str:
    if isinstance(error, ValidationError):
        one = error.errors()[0]
        return f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']}"
    return str(error).splitlines()[0]
