"""Dumps what the ear makes of clips: phone posteriors and texts, for tuning the transcript's search.

    python -m model.training.posteriors CACHE OUT.npz [--weights FOLDER] [--split dev] [--corpus NAME] [--limit N]

Keys of the archive: ``logp_<i>`` float16 [T, phones] at 25 Hz, ``text_<i>``, ``id_<i>``.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.nano import weights
from model.nano.hearing import Encoder
from model.nano.listening import PRIOR
from model.training.mels import Mels, padded


@torch.inference_mode()
def dump(encoder: Encoder, source: Mels, out: Path, split: str, corpus: str | None, limit: int) -> int:
    """Write the archive; returns how many clips it holds."""
    clips = [c for c in source.clips if c.split == split and c.text and corpus in (None, c.corpus)]
    clips = random.Random(0).sample(clips, min(limit, len(clips)))
    found: dict[str, Any] = {}
    for number, clip in enumerate(clips):
        mel = source[clip]
        heard = encoder(torch.from_numpy(padded(mel, 64))[None])
        found[f"logp_{number}"] = (heard.logp[0] - PRIOR * encoder.priors).numpy().astype(np.float16)
        found[f"text_{number}"], found[f"id_{number}"] = clip.text, clip.id
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(out, **found)
    return len(clips)


def main() -> None:
    """Command line."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("cache", type=Path)
    words.add_argument("out", type=Path)
    words.add_argument("--weights", type=Path)
    words.add_argument("--split", default="dev")
    words.add_argument("--corpus")
    words.add_argument("--limit", type=int, default=200)
    given = words.parse_args()
    encoder = Encoder()
    weights.load(encoder, "hearing", given.weights)
    dump(encoder, Mels(given.cache), given.out, given.split, given.corpus, given.limit)


if __name__ == "__main__":
    main()
