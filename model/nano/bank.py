"""The bank of examples: what people said, how, and an answer that fitted; searched by meaning.

Knows embeddings and rows, not prompts and not how an example is adapted (see `replies`). Keys are 8-bit; with some
thousand rows an exact product takes about a millisecond, so there is no index. Read-only, shared by all sessions.
"""

from __future__ import annotations

import json
import lzma
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from model.interface import EMOTIONS, WeightsError

Floats = NDArray[np.float32]
ALONE, FOLLOWING = 0, 1  # a key is the user's words alone, or the agent's turn before and the user's words


@dataclass(frozen=True)
class Example:
    """One answer, and what it answered."""

    said: str  # the user's words, as a recogniser writes them
    emotion: str  # of the user's voice
    text: str  # the answer
    delivery: str
    source: Literal["exchange", "general"]
    bound: tuple[str, ...]  # stems of the answer's words that only fit when they were heard


@dataclass(frozen=True)
class Group:
    """Answers that share their keys: all of one topic, or a single one."""

    keys: tuple[int, int]  # first row, one past the last
    examples: tuple[int, int]
    kind: int  # ALONE or FOLLOWING


@dataclass(frozen=True)
class Bank:
    """Examples with their keys, and a small linear map learnt on the same embeddings."""

    examples: tuple[Example, ...]
    groups: tuple[Group, ...]
    keys: Floats  # [K, 384]
    feeling: Floats  # [385, 6]: log-odds of EMOTIONS from the words alone; the last row is the bias

    def closeness(self, alone: Floats, following: Floats | None) -> Floats:
        """Cosine of each group's nearest key [G]; groups that need a turn before are -1 without one."""
        near = self.keys @ alone
        if following is not None:
            near = np.where(self._kinds(), self.keys @ following, near)
        starts = np.array([group.keys[0] for group in self.groups])
        best = np.maximum.reduceat(near, starts)
        if following is None:
            best[[i for i, group in enumerate(self.groups) if group.kind == FOLLOWING]] = -1.0
        return best.astype(np.float32)

    def feelings(self, alone: Floats) -> dict[str, float]:
        """Emotion that the words alone suggest."""
        odds = alone @ self.feeling[:-1] + self.feeling[-1]
        chances = np.exp(odds - odds.max())
        return dict(zip(EMOTIONS, (chances / chances.sum()).tolist(), strict=True))

    def _kinds(self) -> NDArray[np.bool_]:
        flags = np.zeros(len(self.keys), dtype=bool)
        for group in self.groups:
            flags[group.keys[0] : group.keys[1]] = group.kind == FOLLOWING
        return flags


def to_bytes(matrix: Floats) -> NDArray[np.int8]:
    """Rows as 8-bit numbers, each to its own scale: their length is lost, their direction kept."""
    scale = 127 / np.maximum(np.abs(matrix).max(1, keepdims=True), 1e-9)
    small: NDArray[np.int8] = np.round(matrix * scale).astype(np.int8)
    return small


def _from_bytes(matrix: NDArray[np.int8]) -> Floats:
    rows = matrix.astype(np.float32)
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return unit


def save(bank: Bank, folder: Path) -> None:
    """Write ``replies.jsonl.xz`` (texts) and ``replies.safetensors`` (keys and the map) into ``folder``."""
    lines = [json.dumps(asdict(example), ensure_ascii=False) for example in bank.examples]
    (folder / "replies.jsonl.xz").write_bytes(lzma.compress("\n".join(lines).encode(), preset=9))
    layout = np.array([[*g.keys, *g.examples, g.kind] for g in bank.groups], dtype=np.int32)
    tensors = {
        "keys": to_bytes(bank.keys),
        "feeling": bank.feeling.astype(np.float16),
        "groups": layout,
    }
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, folder / "replies.safetensors")


def load(folder: Path) -> Bank:
    """Read what `save` wrote; raises WeightsError naming the file that is missing or damaged."""
    path = folder / "replies.jsonl.xz"
    try:
        text = lzma.decompress(path.read_bytes()).decode()
        examples = tuple(_example(line) for line in text.splitlines())
        path = folder / "replies.safetensors"
        tensors = load_file(path)
        groups = tuple(Group((int(a), int(b)), (int(c), int(d)), int(k)) for a, b, c, d, k in tensors["groups"])
        return Bank(examples, groups, _from_bytes(tensors["keys"]), tensors["feeling"].astype(np.float32))
    except (OSError, lzma.LZMAError, SafetensorError, ValueError, KeyError, TypeError) as error:
        mend = "Restore it with 'git checkout -- model/weights', or build it with 'poise train nano'."
        raise WeightsError(f"The bank of replies {path} cannot be read ({error}).", mend) from error


def _example(line: str) -> Example:
    row = json.loads(line)
    return Example(**{**row, "bound": tuple(row["bound"])})
