"""What the engine keeps of one conversation, and how its prompt is compared with what stands in its lane.

A prompt is a row of symbols: token ids, and frames of clips as negative numbers of their own. What a lane holds
and a new prompt begins with alike is kept; the rest is computed. So a changed persona, a cut reply or a dropped
exchange needs no case of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model.opens2s.prompting import Clip, Message, Renderer
from model.opens2s.tokens import AUDIO
from model.serving.hearing import TurnAudio
from model.serving.lanes import Lanes, Row
from model.serving.replies import ReplyStream
from model.serving.thinking import Thought

LONGEST_CLIP = 1 << 20  # frames; more than any clip has
SYMBOL = 1 << 10  # symbols of clips begin below minus this, clear of placeholders and ignored labels


@dataclass(frozen=True)
class Sound:
    """The frames [n, dim] of one clip in a conversation; ``number`` tells it from all others."""

    number: int
    frames: Tensor

    def symbol(self, frame: int) -> int:
        """What stands for one of its frames."""
        return -(SYMBOL + self.number * LONGEST_CLIP + frame)


@dataclass
class Laid:
    """A prompt laid out: its symbols, and the sounds among them."""

    symbols: list[int]
    sounds: tuple[Sound, ...] = ()

    def inputs(self, lanes: Lanes, start: int) -> Tensor:
        """Input embeddings [n, dim] of the symbols from ``start`` on."""
        tail = self.symbols[start:]
        inputs = lanes.embed([max(symbol, 0) for symbol in tail]).clone()
        frames = {sound.number: sound.frames for sound in self.sounds}
        at = 0
        while at < len(tail):
            if tail[at] >= 0:
                at += 1
                continue
            number, first = divmod(-tail[at] - SYMBOL, LONGEST_CLIP)
            rows = frames[number][first : first + len(tail) - at]
            inputs[at : at + len(rows)] = rows.to(inputs)
            at += len(rows)
        return inputs


def lay(ids: Sequence[int], sounds: Sequence[Sound]) -> Laid:
    """Put the frames of each sound, in order, where ``ids`` has a placeholder."""
    waiting = iter(sounds)
    symbols: list[int] = []
    for token in ids:
        if token == AUDIO:
            sound = next(waiting)
            symbols += [sound.symbol(frame) for frame in range(len(sound.frames))]
        else:
            symbols.append(token)
    return Laid(symbols, tuple(sounds))


def alike(held: Sequence[int], wanted: Sequence[int]) -> int:
    """How many symbols two rows begin with alike."""
    most = min(len(held), len(wanted))
    return next((at for at in range(most) if held[at] != wanted[at]), most)


@dataclass(eq=False)
class Talk:
    """One session's conversation, owned by the engine's thread."""

    seed: int
    lane: int
    audio: TurnAudio
    system: str = ""
    held: list[int] = field(default_factory=list)  # symbols in the lane
    messages: list[Message] = field(default_factory=list)
    sounds: list[Sound] = field(default_factory=list)  # of the messages, in order
    thought: Thought | None = None
    reply: ReplyStream | None = None
    counted: int = 0  # clips and replies so far, for numbers of their own
    _before: tuple[tuple[str, int, int], Laid] | None = None  # what was said when the prompt was laid out last

    def number(self) -> int:
        """A number not given before in this session."""
        self.counted += 1
        return self.counted

    def add_turn(self, frames: Tensor) -> None:
        """The user's turn as a message."""
        self.sounds.append(Sound(self.number(), frames))
        self.messages.append(Message(role="user", items=(Clip(frames=len(frames)),)))

    def add_text(self, text: str) -> None:
        """The user's words as a message, where no sound of them was taken up."""
        if text and not (self.messages and self.messages[-1].role == "user"):
            self.messages.append(Message(role="user", items=(text,)))

    def add_reply(self, text: str) -> None:
        """The agent's words, as they were heard, as a message."""
        if text:
            self.messages.append(Message(role="assistant", items=(text,)))

    def prompt(
        self, renderer: Renderer, room: int, instruction: str = "", thought: Sequence[int] | None = None
    ) -> Laid:
        """The prompt for a reply to what was said last; exchanges that do not fit any more are let go for good."""
        messages = list(self.messages)
        if messages and messages[-1].role == "user":
            last = messages[-1]
            messages[-1] = last.model_copy(update={"items": (*last.items, *([instruction] if instruction else []))})
        else:
            messages.append(Message(role="user", items=(instruction,)))
        return self._laid(renderer, messages, room, thought)

    def before_turn(self, renderer: Renderer, room: int) -> Laid:
        """The prompt up to where the sound of the turn that is being heard begins; the same until something is said."""
        state = (self.system, len(self.messages), id(self.messages[-1]) if self.messages else 0)
        if self._before is None or self._before[0] != state:
            empty = Sound(0, torch.zeros(1, 1))
            messages = [*self.messages, Message(role="user", items=(Clip(frames=1),))]
            laid = self._laid(renderer, messages, room, None, [empty])
            self._before = state, Laid(laid.symbols[: laid.symbols.index(empty.symbol(0))], laid.sounds[:-1])
        return self._before[1]

    def supposing(self, frames: Tensor, renderer: Renderer, room: int) -> Laid:
        """The prompt for a reply if the user's turn ended with ``frames``."""
        turn = Message(role="user", items=(Clip(frames=len(frames)),))
        return self._laid(renderer, [*self.messages, turn], room, None, [Sound(self.counted + 1, frames)])

    def _laid(
        self,
        renderer: Renderer,
        messages: list[Message],
        room: int,
        thought: Sequence[int] | None,
        more: Sequence[Sound] = (),
    ) -> Laid:
        opening = [Message(role="system", items=(self.system,))] if self.system else []
        prompt = renderer.prompt([*opening, *messages], room, thought)
        sounds = [*self.sounds, *more]
        kept = [sounds[at] for at in prompt.clips]
        if prompt.dropped:
            del self.messages[: prompt.dropped]
            del self.sounds[: len(sounds) - len(kept)]
        return lay(prompt.ids, kept)


def fill(lanes: Lanes, lane: int, held: list[int], laid: Laid) -> Tensor:
    """Make ``lane`` hold the prompt; returns the state [dim] of its last symbol. ``held`` is brought up to date."""
    start = min(alike(held, laid.symbols), len(laid.symbols) - 1)
    (states,) = lanes.run([Row(lane, start, laid.inputs(lanes, start))])
    held[:] = laid.symbols
    return states[-1]
