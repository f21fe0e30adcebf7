"""Text in and out of nano's LLM: a small byte-pair vocabulary of our own, with the prompt's marks as single tokens.

Knows spelling and marks, not what a prompt is made of (see `prompting`) and not the model. Words are split at
spaces first, so the tokens of a text are the tokens of its words, one after the other; `words` relies on it.
Text from outside never becomes a mark: marks are only reached through `mark`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from model.interface import DELIVERIES, EMOTIONS, WeightsError

NAME = "words.json"
ACTIONS = ("respond", "refuse", "deflect", "interrupt", "open")
MARKS = (
    *("<pad>", "<unk>", "<eos>", "<persona>", "<boundary>", "<memory>", "<history>", "<example>"),
    *("<user>", "<voice>", "<agent>"),
    *(f"<action={name}>" for name in ACTIONS),
    *(f"<delivery={name}>" for name in DELIVERIES),
    *(f"<emotion={name}>" for name in EMOTIONS),
)
_SPLIT = Regex(r"[.,!?;:()\"-]")


class Vocabulary:
    """The trained vocabulary. Thread-safe: it holds no state of a conversation."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._marks = {name: number for number, name in enumerate(MARKS)}
        self.size: int = tokenizer.get_vocab_size()
        self._word = lru_cache(maxsize=20_000)(self._encode_word)

    def mark(self, name: str) -> int:
        """Token of a mark such as ``<user>``. Raises KeyError for an unknown one."""
        return self._marks[name]

    def words(self, text: str) -> list[tuple[int, ...]]:
        """Tokens of each word of ``text.split()``; never empty for a word."""
        return [self._word(word) for word in text.split()]

    def encode(self, text: str) -> list[int]:
        """Tokens of a text; never a mark other than ``<unk>``."""
        return [token for word in self.words(text) for token in word]

    def decode(self, tokens: list[int]) -> str:
        """Text of tokens; marks are left out."""
        kept = [token for token in tokens if token >= len(MARKS)]
        return self._tokenizer.decode(kept, skip_special_tokens=False).strip()

    def starts_word(self, token: int) -> bool:
        """True where a token begins a new word."""
        return str(self._tokenizer.id_to_token(token)).startswith("▁")

    def _encode_word(self, word: str) -> tuple[int, ...]:
        safe = word.replace("<", "").replace(">", "").replace("▁", "")
        tokens: list[int] = self._tokenizer.encode(safe, add_special_tokens=False).ids if safe else []
        return tuple(tokens) or (self._marks["<unk>"],)


def load(folder: Path) -> Vocabulary:
    """Read ``<folder>/words.json``; raises WeightsError where it is missing or damaged."""
    path = folder / NAME
    try:
        return Vocabulary(Tokenizer.from_file(str(path)))
    except Exception as error:  # the library raises bare Exception for every fault of a file
        mend = "Restore it with 'git checkout -- model/weights', or train it with 'poise train nano'."
        raise WeightsError(f"The vocabulary {path} cannot be read ({error}).", mend) from error


def train(texts: list[str], size: int) -> Tokenizer:
    """Learn a vocabulary of at most ``size`` tokens (marks included) from texts."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("’", "'")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Split(_SPLIT, behavior="isolated")]
    )
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(MARKS), min_frequency=2, show_progress=False, limit_alphabet=120
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
