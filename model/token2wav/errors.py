"""What can be wrong with the token decoder's configuration, its units, or the use of a stream."""

from __future__ import annotations

from model.interface import PoiseError


class DecoderConfigError(PoiseError):
    """The configuration of the token decoder or of its stream makes no sense, or asks for what is not built."""

    code = "decoder_config_unusable"


class UnitError(PoiseError):
    """A speech unit is outside the codebook."""

    code = "unit_unknown"


class StreamError(PoiseError):
    """A stream is used after its end, or twice in one step; or a prompt does not fit."""

    code = "stream_misused"
