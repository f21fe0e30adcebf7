"""Two ways to run the published model: with its quirks, or mended."""

from __future__ import annotations

from typing import Literal

# "upstream" reproduces the numbers of the published code, quirks included; None mends them.
Compat = Literal["upstream"] | None
