"""The phone set shared by ear and voice: CMUdict's 39 phones without stress.

Index 0 is the CTC blank. Knows symbols only; words are `lexicon`'s business.
"""

from __future__ import annotations

BLANK = 0
_SYMBOLS = """
AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH
"""
PHONES = _SYMBOLS.split()
INDEX = {phone: number for number, phone in enumerate(PHONES, 1)}
VOWELS = [number for phone, number in INDEX.items() if phone[0] in "AEIOU"]
COUNT = len(PHONES) + 1  # with the blank


def indices(phones: list[str]) -> list[int]:
    """CTC indices of phone symbols (stress digits are ignored). Raises KeyError for an unknown symbol."""
    return [INDEX[phone.rstrip("012")] for phone in phones]
