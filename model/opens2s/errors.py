"""What can be wrong with a checkpoint's configuration, a clip, a sequence or a request."""

from __future__ import annotations

from model.interface import PoiseError


class ConfigError(PoiseError):
    """A configuration lacks a key, or a value makes no sense."""

    code = "config_unusable"


class AudioError(PoiseError):
    """A clip cannot be heard: too short, or of the wrong shape."""

    code = "audio_unusable"


class SequenceError(PoiseError):
    """Token ids, placeholders and clips do not fit each other or the model."""

    code = "sequence_unusable"


class RequestError(PoiseError):
    """A limit or a sampling number is out of range."""

    code = "request_unusable"
