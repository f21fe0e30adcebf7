"""The trained judge: MiniLM reads words and context, our network compares them and judges each chunk.

Stateless in meaning: a judgement depends on the situation alone. What was read is kept only to save time (the last few
contexts and texts), so reading happens when words change and the head runs on every chunk. Knows nothing of decisions.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.interface import WeightsError
from policies import cues
from policies.judge import features, minilm
from policies.judge.minilm import MiniLM
from policies.judge.network import JudgeNetwork, Shape
from policies.safety import crisis
from policies.situation import ACTIONS, Judge, Judgement, Situation

WEIGHTS = Path(__file__).parent / "weights" / "judge.safetensors"
CONTEXT_TOKENS, WORDS_TOKENS = 96, 32
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """The last few results of a costly function."""

    def __init__(self, limit: int) -> None:
        self._limit, self._found = limit, OrderedDict[Key, Value]()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """What was made for this key, made now if it is not there."""
        if key not in self._found:
            self._found[key] = make()
            if len(self._found) > self._limit:
                self._found.popitem(last=False)
        self._found.move_to_end(key)
        return self._found[key]


class TunedJudge:
    """Judges with a trained network."""

    name = "tuned"

    def __init__(self, network: JudgeNetwork, reader: MiniLM) -> None:
        self._network, self._reader = network.eval(), reader
        self._contexts: Kept[str, Tensor] = Kept(32)
        self._compared: Kept[tuple[str, str], Tensor] = Kept(64)
        self._nothing = torch.zeros(1, network.shape.states)

    @torch.inference_mode()
    def judge(self, situation: Situation) -> Judgement:
        """Five probabilities, the probability that the user has yielded, and what speaks for them."""
        if not situation.percept.transcript and situation.percept.spoken_s == 0:
            return _nothing_heard()
        logits = self.logits(situation)
        p = torch.softmax(logits[:5].double() + self._network.head.lean.double(), 0).numpy()
        done, danger = (float(v) for v in torch.sigmoid(logits[5:]))
        return _judgement(situation, p, done, danger)

    @torch.inference_mode()
    def logits(self, situation: Situation) -> Tensor:
        """What the network gives for a chunk, float32 [OUTPUTS], before any leaning."""
        context, words = features.context_text(situation), features.words_text(situation)
        compared = self._compared.get((context, words), lambda: self._compare(context, words))
        numbers = torch.from_numpy(features.vector(situation))[None]
        states = features.states(situation)
        known = torch.tensor([float(states is not None)])
        heard = self._nothing if states is None else torch.from_numpy(states).reshape(1, -1)
        return self._network.head(compared, numbers, heard, known)[0]  # type: ignore[no-any-return]

    def _compare(self, context: str, words: str) -> Tensor:
        about = self._contexts.get(context, lambda: self._reader.read([context_ids(self._reader, context)]))
        said = self._reader.read([words_ids(self._reader, words)])
        seen, heard = (torch.ones(x.shape[:2], dtype=torch.bool) for x in (about, said))
        return self._network.comparer(said, heard, about, seen, torch.zeros(1, dtype=torch.int64))  # type: ignore[no-any-return]


def context_ids(reader: MiniLM, text: str) -> list[int]:
    """Token ids of a context, its beginning."""
    return reader.ids(text, CONTEXT_TOKENS)


def words_ids(reader: MiniLM, text: str) -> list[int]:
    """Token ids of the words so far, their end."""
    return reader.ids(text, WORDS_TOKENS, tail=True)


def _nothing_heard() -> Judgement:
    p = {action: float(action == "silence") for action in ACTIONS}
    return Judgement(p=p, user_done=0.0, evidence=("nothing was said yet",), judge=TunedJudge.name)


def _judgement(situation: Situation, p: NDArray[np.float64], done: float, danger: float) -> Judgement:
    shares = {action: float(value) for action, value in zip(ACTIONS, p / p.sum(), strict=True)}
    evidence = [f"has yielded with {done:.2f} after {situation.percept.pause_s:.2f} s of pause"]
    if kind := crisis(situation.percept.transcript):
        evidence.append(f"words of {kind}")
    elif danger > 0.5:
        evidence.append(f"sounds like a crisis ({danger:.2f})")
    heard = cues.words(situation.percept.transcript)
    boundary, share = cues.nearest_boundary(situation.persona.boundaries, heard[-features.TAIL_WORDS :])
    if share >= 0.3:
        evidence.append(f"near the boundary {boundary!r}")
    facing = situation.percept.facing
    if facing is not None and facing < 0.35:
        evidence.append(f"turned away (facing {facing:.2f})")
    return Judgement(p=shares, user_done=done, evidence=tuple(evidence), judge=TunedJudge.name)


def store(network: JudgeNetwork, path: Path) -> int:
    """Write the network as bfloat16 safetensors; returns the size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.to(torch.bfloat16).contiguous() for k, v in network.state_dict().items()}, path)
    return path.stat().st_size


def load(path: Path = WEIGHTS) -> Judge:
    """The judge with the weights that come along. Raises WeightsError where they are missing or do not fit."""
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
    except (OSError, SafetensorError):
        mend = "Fetch the repository's weights again, or train: poise train judge."
        raise WeightsError(f"The judge's weights {path.name} are missing or damaged.", mend) from None
    network = JudgeNetwork(Shape(features=features.SIZE))
    if {k: v.shape for k, v in network.state_dict().items()} != {k: v.shape for k, v in tensors.items()}:
        raise WeightsError(
            f"The judge's weights {path.name} do not fit this version.", "Train again: poise train judge."
        )
    network.load_state_dict(tensors)
    return TunedJudge(network, minilm.load())
