"""How words are pronounced: a list of about 28,000 everyday words, and a guess for every other.

Knows spellings and phones (without stress); it does not know how likely a word is, nor how it sounds.
Made by `model.training.lexicon` from CMUdict, whose notice stands in NOTICE.
"""

from __future__ import annotations

import lzma
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from model.interface import WeightsError
from model.nano import spelling
from model.nano.weights import FOLDER

Pronunciation = tuple[str, ...]
_RESTORE = "Restore it with 'git checkout -- model/weights', or train it with 'poise train nano'."
_VOICELESS = frozenset(("P", "T", "K", "F", "TH"))
_HISSING = frozenset(("S", "Z", "SH", "ZH", "CH", "JH"))
_TAILS = {
    "'ll": ("AH", "L"),
    "'ve": ("AH", "V"),
    "'re": ("ER",),
    "'d": ("D",),
    "'m": ("AH", "M"),
    "n't": ("AH", "N", "T"),
}
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@lru_cache(maxsize=1)
def words() -> dict[str, tuple[Pronunciation, ...]]:
    """All words of the list with their pronunciations, most usual first, in alphabetical order."""
    return read(FOLDER / "lexicon.txt.xz")


def pronounce(word: str) -> Pronunciation:
    """Phones of one written word; never fails. Empty only where nothing in ``word`` can be spoken."""
    return pronunciations(word)[0]


@lru_cache(maxsize=20_000)
def pronunciations(word: str) -> tuple[Pronunciation, ...]:
    """All known pronunciations of one written word (any case, marks and digits allowed); at least one."""
    plain = _plain(word)
    known = words()
    if plain in known:
        return known[plain]
    if plain.strip("'") in known:
        return known[plain.strip("'")]
    parts = [guess(part, known, spelling.default()) for part in re.findall(r"[a-z']+|[0-9]", plain)]
    return (tuple(phone for part in parts for phone in part),)


def _plain(word: str) -> str:
    text = unicodedata.normalize("NFKD", word.replace("’", "'").replace("‘", "'").lower())
    return re.sub(r"[^a-z0-9']+", " ", "".join(c for c in text if not unicodedata.combining(c))).strip()


def guess(part: str, known: Mapping[str, tuple[Pronunciation, ...]], speller: spelling.Spelling) -> Pronunciation:
    """Phones of a run of letters and apostrophes, or of one digit, with the help of ``known`` words."""
    if part.isdigit():
        return known[_DIGITS[int(part)]][0]
    part = part.strip("'")
    if part in known:
        return known[part][0]
    for tail, phones in _TAILS.items():
        if part.endswith(tail) and len(part) > len(tail):
            return guess(part.removesuffix(tail), known, speller) + phones
    for tail in ("'s", "s"):
        if part.endswith(tail) and len(part) > len(tail) and (tail == "'s" or part[:-1] in known):
            return plural(guess(part.removesuffix(tail), known, speller))
    if not re.search("[aeiouy]", part) or len(part) == 1:
        return tuple(phone for letter in part for phone in known.get(letter, ((),))[0])
    letters = part.replace("'", "")
    return speller.pronounce(letters) or tuple(phone for letter in letters for phone in known[letter][0])


def plural(phones: Pronunciation) -> Pronunciation:
    """Phones with the English -s ending: S after voiceless sounds, IH Z after hissing ones, Z otherwise."""
    if not phones or phones[-1] in _HISSING:
        return (*phones, "IH", "Z")
    return (*phones, "S" if phones[-1] in _VOICELESS else "Z")


def read(path: Path) -> dict[str, tuple[Pronunciation, ...]]:
    """Read a list that ``write`` stored; raises WeightsError where it is missing or damaged."""
    if not path.is_file():
        raise WeightsError(f"The word list {path} is missing.", _RESTORE)
    try:
        lines = lzma.decompress(path.read_bytes()).decode("ascii").splitlines()
    except (lzma.LZMAError, UnicodeDecodeError, OSError) as error:
        raise WeightsError(f"The word list {path} cannot be read ({error}).", _RESTORE) from error
    entries = (line.partition(" ") for line in lines)
    return {word: tuple(tuple(p.split(" ")) for p in rest.split("|")) for word, _, rest in entries}


def write(path: Path, entries: dict[str, tuple[Pronunciation, ...]]) -> None:
    """Store words alphabetically, one line each: the word, then its pronunciations parted by bars."""
    lines = (f"{word} {'|'.join(' '.join(p) for p in entries[word])}\n" for word in sorted(entries))
    path.write_bytes(lzma.compress("".join(lines).encode("ascii"), preset=9 | lzma.PRESET_EXTREME))
