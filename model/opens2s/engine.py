"""The published model as a speech model of this house: one listener a session, all of them in one engine.

The engine hears, thinks and speaks; the words of the running transcript come from nano's ear, because a model of
this size cannot write down what it hears six times a second. Knows no floors, judges or stores.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator

import torch

from model.engine import Engine
from model.interface import EMOTIONS, SAMPLE_RATE, Chunk, ModelSpec, Percept, Piece, PoiseError, ReplyPrompt, Turn
from model.nano.listening import Ears
from model.opens2s import loading
from model.opens2s.loading import Devices
from model.opens2s.tokens import TextCodec
from model.serving import slots
from model.serving.core import EngineOptions, Plan
from model.serving.replies import Block
from model.serving.slots import Slot
from model.serving.thinking import Style
from model.serving.words import WordClock

SPEECH = 0.5  # VAD probability from which a chunk is speech
BEFORE = 3  # chunks kept from before speech was heard
PAUSE_S = 0.32  # of silence after which a thought may begin
TOKENS_A_WORD = 2  # more than English needs


class NoModelError(PoiseError):
    """Nobody said which checkpoint to load."""

    code = "no_model"


class OpenS2SModel:
    """The parts, loaded once."""

    def __init__(self, engine: Engine, ears: Ears, codec: TextCodec, output_rate: int, unit_rate: float) -> None:
        self.engine, self.ears, self.codec = engine, ears, codec
        self.spec = ModelSpec(
            name="opens2s",
            input_rate=SAMPLE_RATE,
            output_rate=output_rate,
            unit_rate=unit_rate,
            languages=("en", "zh"),
            knows=frozenset({"transcript", "emotion", "event", "facing", "states"}),
        )

    def open(self, seed: int) -> OpenS2SListener:
        """Start a session; ``seed`` makes its sampling repeatable. Raises LanesError where the engine is full."""
        return OpenS2SListener(self, seed)

    def close(self) -> None:
        """Stop the engine."""
        self.engine.close()


def load(
    model: str | None,
    decoder: str | None = None,
    device: Devices = "auto",
    dtype: str = "auto",
    sessions: int = 8,
    thinking: Style = "none",
) -> OpenS2SModel:
    """Load a checkpoint, folder or hub id. Raises NoModelError, CheckpointError and WeightsError."""
    if model is None:
        raise NoModelError(
            "The engine opens2s needs a checkpoint.", "Give --model FOLDER_OR_HUB_ID, or set POISE_MODEL."
        )
    loaded = loading.load(model, decoder, device=device, dtype=dtype)
    files = loaded.checkpoint
    options = EngineOptions(sessions=sessions, replies=sessions, thinking=thinking)
    engine = Engine(loaded, options, [emotion_slot(files.codec)])
    return OpenS2SModel(engine, Ears.load(), files.codec, files.vocoder.sampling_rate, files.flow.input_frame_rate)


def emotion_slot(codec: TextCodec) -> Slot:
    """The question how the user's voice sounds; answers begin with the blank that parts them from it."""
    return slots.make(codec.encode, "emotion", "The speaker sounds", EMOTIONS, lead=" ")


class OpenS2SListener:
    """One session's view of the engine; its place is freed when nobody holds it any more."""

    def __init__(self, model: OpenS2SModel, seed: int) -> None:
        self._model, self._engine = model, model.engine
        self._ears = model.ears.open()
        self._talk = model.engine.enter(seed)
        self._before: deque[torch.Tensor] = deque(maxlen=BEFORE)
        self._speaking = False  # speech was heard in this turn
        weakref.finalize(self, model.engine.leave, self._talk)

    def hear(self, chunk: Chunk) -> Percept:
        """Take in the next chunk; while nobody has spoken, only a little of the sound is kept."""
        percept = self._ears.hear(chunk)
        samples = torch.from_numpy(chunk.pcm)
        if chunk.speech >= SPEECH:
            self._speaking = True
            self._engine.go_on(self._talk)
        if not self._speaking:
            self._before.append(samples)
            return percept
        samples = torch.cat([*self._before, samples])
        self._before.clear()
        heard = self._engine.hear(self._talk, samples)
        if percept.pause_s >= PAUSE_S:
            self._engine.pause(self._talk)
        emotion = slots.known(heard.labels["emotion"]) if heard.labels else None
        return percept.model_copy(update={"emotion": emotion})

    def reply(self, prompt: ReplyPrompt) -> Iterator[Piece]:
        """Speak; closing the iterator stops within one step of the engine."""
        spec, stream = self._model.spec, self._model.codec.stream()
        clock, text, read, offset = WordClock(spec.output_rate), "", 0, 0
        blocks = self._engine.reply(self._talk, plan(prompt))
        try:
            for block in blocks:
                text += "".join(map(stream.push, block.text[read:]))
                read = len(block.text)
                told = clock.reach(text, block.text_done, offset + len(block.pcm), block.final)
                yield _piece(block, told, prompt.delivery, offset)
                offset += len(block.pcm)
        finally:
            blocks.close()

    def end_turn(self, heard: Turn) -> None:
        """What was heard goes into the conversation; a reply alone leaves the ears as they are."""
        if heard.agent is not None:
            self._engine.said(self._talk, heard.agent.text)
        if heard.user is not None or heard.agent is None:
            if heard.user is not None and self._speaking:
                self._engine.take_up(self._talk)
            elif self._speaking:
                self._engine.forget_turn(self._talk)
            self._ears.end_turn()
            self._before.clear()
            self._speaking = False


def plan(prompt: ReplyPrompt) -> Plan:
    """A reply prompt in words this model can follow."""
    wishes = [prompt.instruction, f"Sound {prompt.delivery}.", f"Use at most {prompt.max_words} words."]
    if prompt.boundary:
        wishes.insert(1, f"Keep to this: {prompt.boundary}.")
    if prompt.memory:
        wishes.append("You remember: " + " ".join(prompt.memory))
    return Plan(
        system=prompt.stance,
        instruction="\n" + " ".join(wishes),
        heard=prompt.heard,
        opening=prompt.opening,
        tokens=TOKENS_A_WORD * prompt.max_words + 2,
    )


def _piece(block: Block, told: list[tuple[str, int]], delivery: str, offset: int) -> Piece:
    return Piece(
        text=" ".join(word for word, _ in told),
        word_ends=tuple(end for _, end in told),
        units=block.units,
        pcm=block.pcm,
        emotion=delivery,
        offset=offset,
    )
