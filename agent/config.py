"""All settings: environment variables POISE_*, and one YAML file named by POISE_CONFIG.

Environment goes before file, file before default. Settings are frozen once loaded. This file checks values; it
does not know what they are used for, and it opens nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import platformdirs
import yaml
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from model.interface import PoiseError


class SettingsError(PoiseError):
    """A setting has a value that cannot be used."""

    code = "settings_invalid"


class Settings(BaseSettings):
    """Every setting of Poise. ``Settings.load()`` is the way to get one."""

    model_config = SettingsConfigDict(env_prefix="POISE_", frozen=True, extra="forbid")

    home: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("poise")))  # where everything is kept
    host: str = "127.0.0.1"  # address to listen at; anything but loopback needs a token
    port: int = Field(8710, ge=0, le=65535)  # 0 = any free one
    token: str | None = Field(None, min_length=8)  # what clients must show
    allowed_origins: tuple[str, ...] = ()  # web pages from elsewhere that may connect, e.g. https://example.org
    engine: str = "nano"  # name of a speech model (entry points poise.engines)
    model: str | None = None  # its weights: folder or hub id; None: those that nano comes with
    decoder: str | None = None  # its token decoder, where that is kept apart
    device: str = "auto"  # where that model runs: auto, cpu, cuda, cuda:1 ...
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"  # of its weights
    thinking: Literal["none", "tags", "natural"] = "none"  # what it does before it speaks
    judge: str = "tuned"  # name of a judge (entry points poise.judges), or a file of the tuned judge's weights
    persona: str = "maren"  # name or path of the persona a session begins with
    memory: bool = True  # remember facts across sessions
    lead_s: float = Field(0.4, ge=0.08, le=5.0)  # how far reply audio is sent ahead of its playing
    closes_after_s: float = Field(4.0, gt=0, le=60)  # silence after which an unanswered user turn is closed
    stalls_after_s: float = Field(10.0, gt=0, le=120)  # wait for a piece of a reply after which it has failed
    inference_threads: int = Field(2, ge=1, le=64)  # threads that hear, judge and speak, for all sessions together
    max_sessions: int = Field(8, ge=1, le=10_000)
    record: bool = False  # keep the audio of sessions under home/recordings
    trace: bool = True  # keep a trace of each session under home/traces
    checkpoints: str = "sqlite"  # "sqlite" (under home), "memory", or a postgresql:// address
    seed: int = Field(0, ge=0)  # what all sampling starts from

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then the file."""
        sources = (init_settings, env_settings)
        path = os.environ.get("POISE_CONFIG")
        return (*sources, YamlConfigSettingsSource(settings_cls, yaml_file=path)) if path else sources

    @classmethod
    def load(cls, **given: Any) -> Settings:
        """The settings in force, with ``given`` going before all. Raises SettingsError, one line."""
        path = os.environ.get("POISE_CONFIG")
        if path and not Path(path).is_file():
            raise SettingsError(f"POISE_CONFIG names {path}, which is no file.", "Correct the path or unset it.")
        try:
            return cls(**given)
        except ValidationError as error:
            fault = error.errors()[0]
            field = str(fault["loc"][0]) if fault["loc"] else "settings"
            raise SettingsError(f"The setting {field!r} cannot be {_shown(fault)}.", _mend(field, fault)) from None
        except (OSError, yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise SettingsError(
                f"The settings cannot be read: {first}.", "Write `name: value` lines, lists in brackets."
            ) from None


def _shown(fault: Any) -> str:
    text = repr(fault["input"])
    return "shown here" if "token" in fault["loc"] else text if len(text) < 60 else text[:57] + "..."


def _mend(field: str, fault: Any) -> str:
    if fault["type"] == "extra_forbidden":
        return f"There is no such setting; there are {', '.join(Settings.model_fields)}."
    reason = str(fault["msg"])
    return f"{reason[0].upper()}{reason[1:]} (POISE_{field.upper()} or the file of POISE_CONFIG)."
