"""At which sample of a reply each of its words ends, estimated while it is being spoken.

Units carry no times of words. The voice is taken to speak evenly, at a rate of letters that is corrected as
soon as the end is known; text runs ahead of sound, so a word is told once the sound has reached its end.
"""

from __future__ import annotations

LETTERS_PER_S = 15.0  # of English reading aloud, spaces counted


class WordClock:
    """The words of one reply and their ends, in samples."""

    def __init__(self, rate: int, letters_per_s: float = LETTERS_PER_S) -> None:
        self._per_letter = rate / letters_per_s
        self._told = 0  # words told
        self._end = 0  # sample at which the last of them ends

    def reach(self, text: str, done: bool, samples: int, final: bool) -> list[tuple[str, int]]:
        """Words that end within the first ``samples`` and were not told before, with their ends.

        ``text`` is all the words so far (``done``: no more will come); with ``final`` the sound ends here, and
        all that is left of the text is told.
        """
        words = text.split()
        if not done and words and not text[-1].isspace():
            words.pop()  # may still grow
        rest = words[self._told :]
        pace = self._per_letter
        if final and rest:
            pace = (samples - self._end) / sum(len(word) + 1 for word in rest)
        told: list[tuple[str, int]] = []
        end = float(self._end)
        for word in rest:
            end += (len(word) + 1) * pace
            if end > samples + 0.5 and not final:
                break
            told.append((word, min(round(end), samples)))
        if told:
            self._told, self._end = self._told + len(told), told[-1][1]
        return told
