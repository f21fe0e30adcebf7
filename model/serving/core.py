"""What the engine's thread does: hears chunks, takes up turns, plans replies, thinks, and steps what is being made.

All of it runs in one thread, so nothing here is locked. Threads and waiting are `model.engine`'s business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from loguru import logger
from torch import Tensor

from model.interface import Record
from model.opens2s.loading import Checkpoint, Loaded
from model.opens2s.prompting import PromptError, Renderer
from model.opens2s.sampling import Sampling
from model.opens2s.tokens import Tokens
from model.serving.hearing import Hearing, TurnAudio
from model.serving.lanes import Lanes, LanesError
from model.serving.replies import Limits, ReplyStream
from model.serving.sessions import Laid, Talk, alike, fill
from model.serving.slots import Ask, Labels, Slot, ask
from model.serving.speaking import Speaking, Vocabulary
from model.serving.thinking import Style, Thinker, Thought
from model.token2wav.stream import StreamOptions, Token2Wav

TEXT_TOKENS = 256  # of a reply, where nothing else is said
UNITS = 512  # of a reply (41 s), where the checkpoint sets no limit
Stopwatch = Callable[[str], AbstractContextManager[Any]]


class EngineOptions(Record):
    """How much the engine holds, and how it thinks."""

    sessions: int = 8  # listening at once
    replies: int = 8  # being made at once; more wait for their turn
    context: int = 4096  # tokens a conversation may take
    longest_turn_s: float = 120.0  # of a longer turn the oldest windows are let go
    heard_frames: int = 192  # adapter frames of a turn that a judgement looks at (6.25 a second)
    exact_judging: bool = False  # pad the open window to its full length for every chunk, as for a reply
    thinking: Style = "none"
    thinking_tokens: int = 64
    limits: Limits | None = None  # None: as the checkpoint says
    fill_batches: bool | None = None  # pad steps to few shapes, for CUDA graphs; None: on a GPU
    text_sampling: Sampling | None = None  # None: as the checkpoint says
    sound: StreamOptions = StreamOptions()


@dataclass(frozen=True)
class Heard:
    """What a chunk brought: probabilities of each slot's labels and ``unknown``, and the turn's frames [n, dim]."""

    labels: dict[str, Labels]
    frames: Tensor


@dataclass(frozen=True)
class Plan:
    """What a reply is made from, besides the conversation."""

    system: str
    instruction: str
    heard: str = ""  # what the user said, where there was no sound of it
    opening: str = ""  # words it must begin with
    tokens: int | None = None  # of words at most; None: the engine's limit
    speaker: Tensor | None = None  # [1, 1, 512], whose voice; None: the published one


def limits_of(checkpoint: Checkpoint) -> Limits:
    """The limits of a reply that a checkpoint sets, or ours where it sets none."""
    return Limits(checkpoint.text_limit or TEXT_TOKENS, checkpoint.unit_limit or UNITS)


class Core:
    """The model and everything that is kept on its device."""

    def __init__(self, loaded: Loaded, options: EngineOptions, slots: Sequence[Slot], timed: Stopwatch) -> None:
        self.options, self._timed, files = options, timed, loaded.checkpoint
        self._tokens, self._codec, self._log_mel = files.tokens, files.codec, files.log_mel
        self.limits = options.limits or limits_of(files)
        self._renderer = Renderer(files.tokens, files.codec)
        self._waves = Token2Wav(loaded.flow, loaded.vocoder, options.sound)
        model, thinks = loaded.model, options.thinking != "none"
        # A lane for each session to listen, for each reply to speak, and for each session to think.
        lanes = options.sessions * (2 if thinks else 1) + options.replies
        fill_batches = options.fill_batches
        self._text = Lanes(model.llm_model, lanes, options.context, fill_batches=fill_batches)
        room = self.limits.text + self.limits.units + 8
        self._units = Lanes(model.tts_lm_model, options.replies, room, fill_batches=fill_batches)
        self._hearing = Hearing(model)
        self.speaking = Speaking(
            model, self._text, self._units, self._waves, _vocabulary(files.tokens),
            (options.text_sampling or files.text_sampling, files.unit_sampling),
        )  # fmt: skip
        ends = (self._tokens.think_end, *self._tokens.text_eos)
        self._thinker = Thinker(self._text, self._codec.encode, options.thinking, options.thinking_tokens, ends)
        self._slots = tuple(slots)
        # What stands between the sound of a turn and a question about it.
        with torch.no_grad():
            self._close = self._text.embed(
                [self._tokens.audio_end, *self._renderer.turn_end(), *self._renderer.reply_header()]
            )
        asked = sum(len(branch) for slot in self._slots for branch in slot.branches)
        self._room_before = options.context - options.heard_frames - len(self._close) - asked
        self._interleave = loaded.model.config.interleave
        self._planned: deque[tuple[Talk, Plan, ReplyStream]] = deque()
        self._talks: list[Talk] = []
        self._room = options.context - self.limits.text - (options.thinking_tokens if thinks else 0)
        self._steps = deque(
            [
                ("unit", self.speaking.step_units),
                ("text", self.speaking.step_text),
                ("sound", self.speaking.step_sound),
                ("thought", self._step_thoughts),
            ]
        )

    # -- sessions ---------------------------------------------------------------------------------------------

    def enter(self, seed: int) -> Talk:
        """A new session. Raises LanesError where all places are taken."""
        if len(self._talks) >= self.options.sessions:
            wrong = f"The engine holds {self.options.sessions} sessions, and all are taken."
            raise LanesError(wrong, "Try again later, or start it with more sessions.")
        talk = Talk(seed, self._text.take(), TurnAudio(self._log_mel, self.options.longest_turn_s))
        self._talks.append(talk)
        return talk

    def leave(self, talk: Talk) -> None:
        """The session is over."""
        if talk in self._talks:
            self._talks.remove(talk)
            self.drop_thought(talk)
            if talk.reply is not None:
                talk.reply.cancelled = True
            self._text.give(talk.lane)

    # -- hearing ----------------------------------------------------------------------------------------------

    def hear(self, chunks: Sequence[tuple[Talk, Tensor, bool]]) -> list[Heard]:
        """Take in samples for each session; where it is asked for, also encode and judge."""
        for talk, samples, _ in chunks:
            talk.audio.push(samples)
        judged = [talk for talk, _, judge in chunks if judge]
        with self._timed("encode"):
            encoded = self._hearing.encode([talk.audio for talk in judged], self.options.exact_judging)
        frames = dict(zip(map(id, judged), encoded, strict=True))
        with self._timed("judge"):
            labels = self._ask([talk for talk in judged if self._slots and len(frames[id(talk)])], frames)
        empty = torch.zeros(0, self._text.model.config.hidden_size)
        return [Heard(labels.get(id(talk), {}), frames.get(id(talk), empty)) for talk, _, _ in chunks]

    def _ask(self, talks: Sequence[Talk], frames: dict[int, Tensor]) -> dict[int, dict[str, Labels]]:
        """One forward: the sound so far, then every question as a branch of its own."""
        asks = {}
        for talk in talks:
            try:
                before = talk.before_turn(self._renderer, self._room_before)
            except PromptError as error:
                logger.debug("A chunk is not judged: {}", error)
                continue
            if talk.held != before.symbols:
                fill(self._text, talk.lane, talk.held, before)
            sound = frames[id(talk)][-self.options.heard_frames :]
            asks[id(talk)] = Ask(
                talk.lane, len(talk.held), torch.cat([sound.to(self._close), self._close]), self._slots
            )
        return dict(zip(asks, ask(self._text, list(asks.values())), strict=True))

    def forget_turn(self, talk: Talk) -> None:
        """Let go of the sound of this turn."""
        self.drop_thought(talk)
        talk.audio.clear()

    def take_up(self, talk: Talk) -> None:
        """The turn becomes part of the conversation, heard as the weights were trained."""
        (frames,) = self._hearing.encode([talk.audio], exact=True)
        if len(frames):
            talk.add_turn(frames)
        talk.audio.clear()

    # -- thinking ---------------------------------------------------------------------------------------------

    def begin_thought(self, talk: Talk) -> None:
        """Think about the turn so far, as if it were over."""
        if talk.thought is not None:
            return
        (frames,) = self._hearing.encode([talk.audio], exact=True)
        if not len(frames):
            return
        laid = talk.supposing(frames, self._renderer, self._room)
        start = len(laid.symbols) - laid.symbols[::-1].index(self._tokens.think_start)
        laid = Laid([*laid.symbols[:start], *self._codec.encode("\n")], laid.sounds)
        lane, held, last = self._forked(talk, laid)
        talk.thought = Thought(lane, len(held), last)

    def drop_thought(self, talk: Talk) -> None:
        """The thought is not needed any more, or came too early."""
        if talk.thought is not None:
            self._text.give(talk.thought.lane)
            talk.thought = None

    def _step_thoughts(self) -> bool:
        busy = [talk.thought for talk in self._talks if talk.thought is not None and not talk.thought.done]
        self._thinker.step(busy)
        return bool(busy)

    # -- replies ----------------------------------------------------------------------------------------------

    def plan(self, talk: Talk, plan: Plan, wake: Callable[[], None]) -> ReplyStream:
        """Put a reply in line; the session's older one is cancelled."""
        if talk.reply is not None:
            talk.reply.cancelled = True
        talk.reply = ReplyStream(self._interleave, talk.seed + talk.number(), wake)
        self._planned.append((talk, plan, talk.reply))
        return talk.reply

    def _start_replies(self) -> None:
        """Begin those in line for which there is room."""
        while self._planned and (self._units.free or self._planned[0][2].cancelled):
            talk, plan, stream = self._planned.popleft()
            if stream.cancelled:
                stream.out.put(None)
                continue
            try:
                with self._timed("prefill"):
                    self._start(talk, plan, stream)
            except Exception as error:
                stream.out.put(error)

    def _start(self, talk: Talk, plan: Plan, stream: ReplyStream) -> None:
        talk.system = plan.system
        talk.add_text(plan.heard)
        thought = self._told(talk.thought)
        laid = talk.prompt(self._renderer, self._room, plan.instruction, thought)
        lane, held, state = self._forked(talk, laid)
        if talk.thought is not None:
            stream.thought = talk.thought.labels
            self.drop_thought(talk)
        limits = Limits(min(plan.tokens or self.limits.text, self.limits.text), self.limits.units)
        opening = self._codec.encode(plan.opening) if plan.opening else []
        stream.start(
            (lane, self._units.take()), len(held), self._waves.open(stream.seed), limits, opening, plan.speaker
        )
        self.speaking.begin(stream, state)

    def _told(self, thought: Thought | None) -> list[int] | None:
        """What was thought, without blank tokens at its end: the prompt has its own."""
        if thought is None:
            return None
        ids = list(thought.ids)
        while ids and not self._codec.decode(ids[-1:]).strip():
            ids.pop()
        return ids

    def _forked(self, talk: Talk, laid: Laid) -> tuple[int, list[int], Tensor]:
        """A lane that holds ``laid``, beginning with a copy of what the session's own has of it."""
        lane, held = self._text.take(), list(talk.held[: alike(talk.held, laid.symbols)])
        self._text.copy(talk.lane, lane, len(held))
        try:
            return lane, held, fill(self._text, lane, held, laid)
        except Exception:
            self._text.give(lane)
            raise

    # -- steps ------------------------------------------------------------------------------------------------

    def step(self, waits: Callable[[], bool]) -> bool:
        """One step of each kind, or just one while somebody ``waits`` to be heard. False if there was nothing to do."""
        self.speaking.drop()
        self._start_replies()
        did = False
        for _ in range(len(self._steps)):
            name, step = self._steps[0]
            self._steps.rotate(-1)
            with self._timed(name):
                did = step() or did
            if did and waits():
                break
        return did

    def fail(self, error: Exception) -> None:
        """Every reply that is being made or waits fails with this."""
        for _, _, stream in self._planned:
            stream.out.put(error)
        self._planned.clear()
        for stream in self.speaking.streams:
            stream.error = error
        self.speaking.drop()


def _vocabulary(tokens: Tokens) -> Vocabulary:
    return Vocabulary(
        text_ends=tokens.text_eos,
        span_end=tokens.tts_end,
        forbidden=tuple(sorted(tokens.control - {tokens.tts_end, *tokens.text_eos})),
        unit_bias=tokens.unit_bias,
        unit_count=tokens.unit_count,
        unit_ends=tokens.unit_eos,
    )
