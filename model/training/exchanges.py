"""Reads spoken exchanges (``*.exchanges``): what a person says, in which emotion, and a fitting answer.

Knows the text form and how it splits; nothing of sound or models.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from model.interface import PoiseError

DEV_SHARE = 0.08


class ExchangesError(PoiseError):
    """Exchanges are missing, or a line of them does not follow the form."""

    code = "training_input"


def read(path: Path) -> list[dict[str, Any]]:
    """All exchanges of one file as ``{id, tags, pair, split, turns: [{emotion, user, delivery, agent}]}``.

    Members of a pair share the split. Raises ExchangesError naming the line that does not follow the form.
    """
    found: list[dict[str, Any]] = []
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = raw.strip()
        if line.startswith("@"):
            head = dict(part.split("=", 1) for part in line[1:].split() if "=" in part)
            identity = f"{path.stem}-{len(found) + 1:04d}"
            tags = [tag for tag in head.get("tags", "").split(",") if tag]
            split = _split(head.get("pair") or identity)
            found.append({"id": identity, "tags": tags, "pair": head.get("pair"), "split": split, "turns": []})
        elif line.startswith(("u:", "a:")):
            emotion, bar, text = line[2:].partition("|")
            if not bar or not found:
                wrong = f"{path.name}:{number} is no turn of an exchange: {line!r}."
                raise ExchangesError(
                    wrong, "After a line '@ ...', write 'u: emotion | words' or 'a: delivery | words'."
                )
            if line.startswith("u:"):
                found[-1]["turns"].append({"emotion": emotion.strip(), "user": text.strip()})
            elif not found[-1]["turns"]:
                raise ExchangesError(
                    f"{path.name}:{number} answers nobody.", "Begin the exchange with a line 'u: ...'."
                )
            else:
                found[-1]["turns"][-1].update(delivery=emotion.strip(), agent=text.strip())
        elif line and not line.startswith("#"):
            wrong = f"{path.name}:{number} is not understood: {line!r}."
            raise ExchangesError(wrong, "Begin it with '@', 'u:', 'a:', or with '#' for a remark.")
    return found


def _split(key: str) -> str:
    share = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest(), "little") / 2**32
    return "dev" if share < DEV_SHARE else "train"
