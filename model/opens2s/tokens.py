"""The checkpoint's tokenizers: ids of the control tokens, numbering of the units, text to ids and back.

Every id is read from the files; none is assumed. Text of people is spelt without control tokens, whatever it holds.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from model.interface import Record
from model.opens2s.files import CheckpointError, read_json

AUDIO = -200  # stands for one clip in a sequence of ids; never embedded
IGNORE = -100  # label of what is not learnt; type of padding
_CONTROL = {
    "im_start": "<|im_start|>",
    "im_end": "<|im_end|>",
    "think_start": "<think>",
    "think_end": "</think>",
    "audio_start": "<|im_audio_start|>",
    "audio_end": "<|im_audio_end|>",
    "tts_start": "<|im_tts_start|>",
    "tts_end": "<|im_tts_end|>",
}


class Tokens(Record):
    """Ids of control tokens in the text vocabulary, and where the units lie in the unit vocabulary."""

    im_start: int
    im_end: int
    think_start: int
    think_end: int
    audio_start: int
    audio_end: int
    tts_start: int
    tts_end: int
    text_eos: tuple[int, ...]  # ids that end the text
    unit_bias: int  # id of unit 0: unit u has the id unit_bias + u
    unit_count: int
    unit_eos: tuple[int, ...]  # ids that end the units

    @property
    def control(self) -> frozenset[int]:
        """The ids of all control tokens of the text vocabulary."""
        return frozenset(int(getattr(self, name)) for name in _CONTROL)

    @property
    def largest_text(self) -> int:
        """The largest text id that is used."""
        return max(*self.control, *self.text_eos)

    @property
    def largest_unit(self) -> int:
        """The largest id that is used of the unit vocabulary."""
        return max(self.unit_bias + self.unit_count - 1, *self.unit_eos)


def read(folder: Path) -> tuple[Tokens, TextCodec]:
    """The tokens and the text codec of a checkpoint folder; raises CheckpointError that names what is missing."""
    text, units = open_tokenizer(folder), open_tokenizer(folder / "tts")
    ids = {name: _id(text, token, folder) for name, token in _CONTROL.items()}
    bias, count = _numbering(units, folder / "tts")
    tokens = Tokens(
        **ids,
        text_eos=eos(folder / "generation_config.json"),
        unit_bias=bias,
        unit_count=count,
        unit_eos=eos(folder / "tts" / "generation_config.json"),
    )
    for end in tokens.unit_eos:
        if bias <= end < bias + count:
            wrong = f"{folder / 'tts'}: the end token {end} is also unit {end - bias}."
            raise CheckpointError(wrong, "Mend eos_token_id in its generation_config.json.")
    return tokens, TextCodec(text)


def eos(path: Path) -> tuple[int, ...]:
    """The end tokens of a generation_config.json, which may hold one id or a list."""
    found = read_json(path).get("eos_token_id")
    ends = found if isinstance(found, list) else [found]
    if not ends or not all(type(end) is int and end >= 0 for end in ends):
        raise CheckpointError(f"{path} has no usable eos_token_id.", "Give one token id, or a list of them.")
    return tuple(ends)


def open_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder, from tokenizer.json or the older files; raises CheckpointError."""
    path = folder / "tokenizer.json"
    try:
        if path.is_file():
            return Tokenizer.from_file(str(path))
        return _from_older_files(folder)
    except Exception as error:  # the tokenizers library raises bare Exception
        wrong = f"The tokenizer in {folder} is missing or damaged ({_first_line(error)})."
        raise CheckpointError(wrong, "Download tokenizer.json and tokenizer_config.json again.") from error


def _from_older_files(folder: Path) -> Tokenizer:
    from transformers import AutoTokenizer

    found = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False, use_fast=True)
    tokenizer: Tokenizer = found.backend_tokenizer
    return tokenizer


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:120]


def _id(tokenizer: Tokenizer, token: str, folder: Path) -> int:
    found = tokenizer.token_to_id(token)
    if found is None:
        wrong = f"The tokenizer in {folder} lacks the token {token}."
        raise CheckpointError(wrong, "Take the tokenizer that was saved with the weights.")
    return int(found)


def _numbering(tokenizer: Tokenizer, folder: Path) -> tuple[int, int]:
    bias, count = _id(tokenizer, "<|audio_0|>", folder), 1
    while (found := tokenizer.token_to_id(f"<|audio_{count}|>")) is not None:
        if found != bias + count:
            wrong = f"The tokenizer in {folder} numbers <|audio_{count}|> {found}, not {bias + count}."
            raise CheckpointError(wrong, "Take the unit tokenizer that was saved with the weights.")
        count += 1
    return bias, count


class TextCodec:
    """Text to ids without control tokens, and ids back to text (byte-level BPE)."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        layout = json.loads(tokenizer.to_str())
        added = layout["added_tokens"]
        if "ByteLevel" not in json.dumps(layout.get("decoder")):
            wrong = "The text tokenizer is not a byte-level BPE."
            raise CheckpointError(wrong, "Take the tokenizer that was saved with the weights.")
        self._special = {token["id"] for token in added if token["special"]}
        self._raw = {token["id"]: token["content"] for token in added}
        self._names = tokenizer
        layout.update(added_tokens=[], post_processor=None, truncation=None, padding=None)
        self._plain = Tokenizer.from_str(json.dumps(layout))

    def encode(self, text: str) -> list[int]:
        """Ids of ``text``; what looks like a control token is spelt letter by letter."""
        # a lone surrogate (a broken escape in a client's JSON) cannot be written as UTF-8
        clean = text.encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = self._plain.encode(clean, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ``ids`` without special tokens; bytes that are no UTF-8 become U+FFFD."""
        return b"".join(map(self.spelling, ids)).decode("utf-8", "replace")

    def stream(self) -> TextStream:
        """Start turning ids into text piece by piece."""
        return TextStream(self)

    def spelling(self, token: int) -> bytes:
        """Bytes of one id; none for a special token or an id outside the vocabulary."""
        if token in self._special or token < 0:
            return b""
        if token in self._raw:
            return str(self._raw[token]).encode()
        name: str = self._names.id_to_token(token) or ""
        return bytes(_BYTES[letter] for letter in name if letter in _BYTES)


class TextStream:
    """Ids to text deltas; a character is given out once all of its bytes are there."""

    def __init__(self, codec: TextCodec) -> None:
        self._codec = codec
        self._decoder: Any = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token: int) -> str:
        """Text that became complete with ``token``; may be empty."""
        return str(self._decoder.decode(self._codec.spelling(token)))

    def end(self) -> str:
        """What is left: U+FFFD if the last character was never completed."""
        return str(self._decoder.decode(b"", final=True))


def _letters() -> dict[str, int]:
    """The letter that byte-level BPE (GPT-2) writes for each byte: printable ones stay, others follow from 256."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


_BYTES = _letters()
