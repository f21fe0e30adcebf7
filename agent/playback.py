"""One reply on its way to the ear: pacing, loudness, cut, and what of it was really heard.

Pure: no clock, no waiting, no sockets; the time (seconds, any origin) is an argument. It models the client as a
buffer that plays what it has in real time; acknowledgements, where the client sends them, overrule the model.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.interface import Piece, PoiseError

FRAME_S = 0.08  # most that leaves at once
RAMP_S = 0.02  # of a change in loudness
DUCK = 10 ** (-12 / 20)  # gain of a ducked reply


class BadPieceError(PoiseError):
    """An engine has made a piece that breaks the contract."""

    code = "bad_piece"


@dataclass(frozen=True)
class Frame:
    """Samples that leave now."""

    offset: int  # from the start of the reply
    pcm: NDArray[np.float32]
    text: str  # words that end within these samples


@dataclass(frozen=True)
class Word:
    """A word of the reply and the sample at which it has been heard."""

    text: str
    end: int


class Playback:
    """The samples of one reply: made, sent, played."""

    def __init__(self, rate: int, lead_s: float = 0.4) -> None:
        """``rate`` in Hz; at most ``lead_s`` seconds are sent ahead of their playing."""
        self.rate, self.lead_s = rate, lead_s
        self._frame, self._ramp = round(FRAME_S * rate), round(RAMP_S * rate)
        self._queue: deque[NDArray[np.float32]] = deque()
        self.words: list[Word] = []
        self.made = self.sent = 0  # samples; after a cut, ``sent`` is what was played
        self._gone = 0  # samples that have left, cut or not
        self._buffer_end = 0.0  # when the client will have played all that was sent
        self._gain = self._target = 1.0
        self.is_cut = self.is_whole = False

    def push(self, piece: Piece) -> None:
        """Add the next piece; after a cut nothing is taken. Raises BadPieceError."""
        pcm, ends = _checked(piece, self.made), piece.word_ends
        if self.is_cut:
            return
        end = self.made + len(pcm)
        self.words += [Word(w, min(max(e, 1), end)) for w, e in zip(piece.text.split(), ends, strict=True)]
        self._queue.append(pcm)
        self.made = end

    def finish(self) -> None:
        """No more pieces will come."""
        self.is_whole = True

    def duck(self, on: bool) -> None:
        """Make what has not been sent quieter by 12 dB, or as loud as it was again."""
        self._target = DUCK if on else 1.0

    def release(self, now: float) -> Frame | None:
        """The next frame, if it may leave by now."""
        if self.is_cut or not self._queue or self.wait_s(now) > 0:
            return None
        pcm = self._take(self._frame)
        offset, self.sent = self.sent, self.sent + len(pcm)
        self._gone = self.sent
        self._buffer_end = max(self._buffer_end, now) + len(pcm) / self.rate
        text = " ".join(w.text for w in self.words if offset < w.end <= self.sent)
        return Frame(offset, self._loudness(pcm), text)

    def wait_s(self, now: float) -> float:
        """Seconds until another frame may leave (whether or not there is one); 0 = at once."""
        ahead = max(self._buffer_end - now, 0.0)
        wait = ahead + FRAME_S - self.lead_s
        return wait if wait > 1e-9 else 0.0

    def rest_s(self, now: float) -> float:
        """Seconds until a frame may leave, or, where none waits, until all that was sent has been played."""
        if self._queue:
            return self.wait_s(now)
        return max(self._buffer_end - now, 0.0)

    @property
    def is_starved(self) -> bool:
        """Whether nothing can happen before the next piece."""
        return not self._queue and not self.is_whole

    def ahead_s(self, now: float) -> float:
        """Seconds of sound that are made but not yet played."""
        return (self.made - self.played(now)) / self.rate

    def played(self, now: float) -> int:
        """Samples that have been played by now."""
        left = max(self._buffer_end - now, 0.0)
        # what lies closer than a thousandth of a sample to its end has ended: times are sums of floats
        return max(self.sent - int(np.ceil(left * self.rate - 1e-3)), 0)

    def is_played_out(self, now: float) -> bool:
        """Whether the whole reply has been played."""
        return self.is_whole and self.sent == self.made and self.played(now) == self.made

    def acknowledge(self, samples: int, now: float) -> None:
        """The client says that it has played so many samples by now; it cannot have played what was not sent."""
        samples = min(max(samples, 0), self._gone)
        if self.is_cut:  # the client's own word on where it stopped
            self.sent = samples
        else:
            self._buffer_end = now + (self.sent - samples) / self.rate

    def cut(self, now: float) -> int:
        """Drop everything that was not played; nothing leaves any more. Returns the samples played."""
        if not self.is_cut:
            self.sent = self.played(now)
            self._buffer_end = now
            self._queue.clear()
            self.is_cut = True
        return self.sent

    def heard(self, now: float) -> str:
        """The words that have been heard whole by now."""
        played = self.played(now)
        return " ".join(word.text for word in self.words if word.end <= played)

    @property
    def text(self) -> str:
        """All words made."""
        return " ".join(word.text for word in self.words)

    def _take(self, count: int) -> NDArray[np.float32]:
        parts, missing = [], count
        while missing and self._queue:
            head = self._queue.popleft()
            parts.append(head[:missing])
            if len(head) > missing:
                self._queue.appendleft(head[missing:])
            missing -= len(parts[-1])
        return np.concatenate(parts)

    def _loudness(self, pcm: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._gain == self._target == 1.0:
            return pcm
        step = (1.0 - DUCK) / self._ramp
        way = self._target - self._gain
        steps = np.minimum(np.arange(1, len(pcm) + 1) * step, abs(way)) * np.sign(way)
        gains = self._gain + steps
        self._gain = self._target if abs(gains[-1] - self._target) < step / 2 else float(gains[-1])
        ducked: NDArray[np.float32] = (pcm * gains).astype(np.float32)
        return ducked


def _checked(piece: Piece, made: int) -> NDArray[np.float32]:
    """The piece's samples. Raises BadPieceError where it breaks the contract."""
    pcm = np.asarray(piece.pcm, dtype=np.float32)
    words, mend = len(piece.text.split()), "This is a fault of the engine; try another one."
    if piece.offset != made:
        raise BadPieceError(f"A piece came at sample {piece.offset} where {made} was due.", mend)
    if len(piece.word_ends) != words:
        raise BadPieceError(f"A piece of {words} words came with {len(piece.word_ends)} word ends.", mend)
    if pcm.ndim != 1 or not np.isfinite(pcm).all():
        raise BadPieceError("A piece holds samples that are not one row of finite numbers.", mend)
    return pcm if pcm.flags.owndata else pcm.copy()
