"""Lays out conversations as token ids, for training and for serving: one renderer, so that the two cannot drift apart.

Ids are put together from parts; text of people is never searched for control tokens. OpenS2S writes two layouts: its
training rows ("bare", every piece tokenised by itself) and its serving prompts ("template", the chat template of the
Qwen3 family with thinking off). Either can be had for both uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from model.interface import PoiseError, Record
from model.opens2s.tokens import AUDIO, IGNORE, TextCodec, Tokens

SYSTEM = "You are a helpful assistant."


class PromptError(PoiseError):
    """A conversation cannot be laid out as a prompt."""

    code = "prompt_unusable"


class Clip(Record):
    """A clip of audio in a message: one placeholder, which the model replaces by ``frames`` adapter frames."""

    frames: int = 1


class Message(Record):
    """One turn of the conversation: text and clips in the order in which they came."""

    role: Literal["system", "user", "assistant"]
    items: tuple[str | Clip, ...]
    spoken: bool = True  # of an assistant: the reply was (or is to be) spoken


class Prompt(Record):
    """A prompt for serving, up to and with the mark that begins the spoken reply."""

    ids: tuple[int, ...]
    clips: tuple[int, ...]  # which clips of the messages are left, counted from 0, in order
    length: int  # positions in the model: ids, with every clip counted by its frames
    dropped: int  # messages that were left out, oldest first


class Row(Record):
    """A conversation for training; the three lists have one entry per id."""

    ids: tuple[int, ...]
    types: tuple[int, ...]  # 1 in a spoken span with both of its marks, else 0
    labels: tuple[int, ...]  # the id where it is learnt, else -100


@dataclass
class _Sheet:
    """Ids, types and labels as they are written."""

    ids: list[int]
    types: list[int]
    labels: list[int]

    def write(self, ids: Sequence[int], learnt: bool = False, spoken: bool = False) -> None:
        self.ids += ids
        self.types += [int(spoken)] * len(ids)
        self.labels += ids if learnt else [IGNORE] * len(ids)


@dataclass(frozen=True)
class Renderer:
    """Writes messages as ids.

    ``think_style``: how a reply begins when thinking is off. "template" writes the pair with blank lines and spells
    role, line break and text as one string; "bare" writes ``<think></think>`` and spells each by itself.
    ``history_style``: earlier replies in a prompt, "plain" (text alone) or "spoken" (as they were trained: think pair
    and, where spoken, the spoken span). Upstream serves "template" and "plain", and trains "bare".
    """

    tokens: Tokens
    codec: TextCodec
    think_style: Literal["template", "bare"] = "template"
    history_style: Literal["plain", "spoken"] = "plain"

    def prompt(
        self, messages: Sequence[Message], room: int | None = None, thought: Sequence[int] | None = None
    ) -> Prompt:
        """The prompt for the reply to the last message, which is the user's.

        ``thought``: ids of what was thought before, between the thinking marks; None: thinking is off.
        ``room``: positions there are. What does not fit is left out from the oldest exchange on; never the system turn
        or the user's last. Raises PromptError if these two alone do not fit, or the order of the turns is wrong.
        """
        system, turns = _with_system(messages)
        if not turns or turns[-1].role != "user":
            raise PromptError("The last turn of the conversation is not the user's.", "Add what the user said.")
        opening = self._turn(system)
        written = [self._turn(turn) for turn in turns]
        ending = [*self.reply_header(thought), self.tokens.tts_start]
        sizes = [len(ids) + _frames(turn) for ids, turn in zip(written, turns, strict=True)]
        fixed = len(opening) + len(ending)
        first = _first_kept(turns, sizes, None if room is None else room - fixed)
        ids = [*opening, *(token for part in written[first:] for token in part), *ending]
        before, after = _clips(turns[:first]), _clips(turns[first:])
        return Prompt(
            ids=tuple(ids),
            clips=tuple(range(before, before + after)),
            length=fixed + sum(sizes[first:]),
            dropped=first,
        )

    def row(self, messages: Sequence[Message]) -> Row:
        """The whole conversation with every reply to be learnt."""
        system, turns = _with_system(messages)
        sheet = _Sheet([], [], [])
        for turn in (system, *turns):
            if turn.role == "assistant":
                self._reply(turn, sheet)
            else:
                sheet.write(self._turn(turn))
        return Row(ids=tuple(sheet.ids), types=tuple(sheet.types), labels=tuple(sheet.labels))

    def _turn(self, turn: Message) -> list[int]:
        """A turn as it stands in a prompt."""
        if turn.role == "assistant" and self.history_style == "spoken":
            sheet = _Sheet([], [], [])
            self._reply(turn, sheet)
            return sheet.ids
        ids = [self.tokens.im_start]
        pieces = [turn.role, "\n"]
        for item in turn.items:
            if isinstance(item, Clip):
                ids += self._spell(pieces)
                ids += [self.tokens.audio_start, AUDIO, self.tokens.audio_end]
                pieces = []
            else:
                pieces.append(item)
        return ids + self._spell(pieces) + self.turn_end()

    def _reply(self, turn: Message, sheet: _Sheet) -> None:
        """An assistant's turn in full."""
        text = self._spell([item for item in turn.items if isinstance(item, str)])
        sheet.write(self.reply_header())
        if turn.spoken:
            sheet.write([self.tokens.tts_start, *text, self.tokens.tts_end], learnt=True, spoken=True)
        else:
            sheet.write(text, learnt=True)
        sheet.write(self.turn_end(), learnt=True)

    def reply_header(self, thought: Sequence[int] | None = None) -> list[int]:
        """What a reply begins with: the role, and the pair of thinking marks with the ``thought`` between."""
        tokens = self.tokens
        blank = self.codec.encode("\n\n") if self.think_style == "template" else []
        head = [tokens.im_start, *self._spell(["assistant", "\n"]), tokens.think_start]
        if thought is None:
            return [*head, *blank, tokens.think_end, *blank]
        line = self.codec.encode("\n")
        return [*head, *line, *thought, *line, tokens.think_end, *blank]

    def turn_end(self) -> list[int]:
        """What closes a turn."""
        return [self.tokens.im_end, *self.codec.encode("\n")]

    def _spell(self, pieces: list[str]) -> list[int]:
        joined = ["".join(pieces)] if self.think_style == "template" else pieces
        return [token for piece in joined for token in self.codec.encode(piece)]


def _with_system(messages: Sequence[Message]) -> tuple[Message, list[Message]]:
    turns = list(messages)
    system = turns.pop(0) if turns and turns[0].role == "system" else Message(role="system", items=(SYSTEM,))
    for turn in turns:
        if turn.role == "system":
            raise PromptError("There is a system turn in the middle of the conversation.", "Put it first.")
    for turn in (system, *turns):
        if turn.role != "user" and _clips([turn]):
            raise PromptError(f"There is audio in a turn of the {turn.role}.", "Only the user's turns hold audio.")
    return system, turns


def _first_kept(turns: list[Message], sizes: list[int], room: int | None) -> int:
    """Index of the first turn that is kept: the one after which everything fits, at the start of an exchange."""
    starts = [n for n, turn in enumerate(turns) if n in (0, len(turns) - 1) or turn.role == "user"]
    for first in starts:
        if room is None or sum(sizes[first:]) <= room:
            return first
    over = sizes[-1] - (room or 0)
    raise PromptError(
        f"The user's turn and the system turn are {over} positions longer than the model's context.",
        "Say less at once, or shorten the persona.",
    )


def _frames(turn: Message) -> int:
    """Positions beyond one per id: a placeholder takes as many as its clip has frames."""
    return sum(item.frames - 1 for item in turn.items if isinstance(item, Clip))


def _clips(turns: Sequence[Message]) -> int:
    return sum(isinstance(item, Clip) for turn in turns for item in turn.items)
