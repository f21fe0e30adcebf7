"""The one way a wire message is refused: a typed error that the client can match by code.

It is raised by the parts of a protocol and turned into an `error` frame at its edge; it never ends a
session. It knows nothing of where the message came from.
"""

from __future__ import annotations

from model.interface import PoiseError


class WireError(PoiseError):
    """A client's message cannot be carried out: ``code`` and ``param`` are part of the wire."""

    code = "invalid_value"

    def __init__(self, code: str, wrong: str, mend: str, param: str | None = None) -> None:
        super().__init__(wrong, mend)
        self.code = code
        self.param = param
