"""The large model's answers: labels from slots, writing by its language model, speech by its engine.

A session of the engine hears the recording and speaks; whatever is written and not spoken is decoded greedily here,
from the same frames. Knows one checkpoint, nothing of files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from model.engine import Engine
from model.inference.tasks import LABELS, WRITTEN, Answer, Request, Task, TaskError, check, label
from model.opens2s.loading import Loaded
from model.opens2s.prompting import SYSTEM, Clip, Message, Renderer
from model.serving.core import EngineOptions, Heard, Plan, limits_of
from model.serving.lanes import Lanes, Row
from model.serving.sessions import Sound, Talk, fill, lay
from model.serving.slots import Slot, make

CONTEXT = 4096  # tokens of a prompt and what is written after it
QUESTIONS = {
    "emotion": "The speaker sounds",
    "age": "In age, the speaker is",
    "gender": "The speaker's gender is",
    "event": "Of sounds that are no words, there is",
}
TRANSCRIBE = "Write down word by word what is said in this recording, and nothing else."
READ = "Read this aloud: "


class Writer:
    """Greedy text from messages and sounds; one prompt at a time."""

    def __init__(self, loaded: Loaded) -> None:
        files = loaded.checkpoint
        self._tokens, self._codec = files.tokens, files.codec
        self._limit = min(limits_of(files).text, CONTEXT // 2)
        self._renderer = Renderer(files.tokens, files.codec)
        self._lanes = Lanes(loaded.model.llm_model, 1, CONTEXT)
        self._forbidden = sorted(files.tokens.control - {files.tokens.im_end, *files.tokens.text_eos})

    @torch.inference_mode()
    def write(self, items: tuple[str | Clip, ...], frames: Sequence[Tensor] = ()) -> tuple[str, float]:
        """The reply to a user's turn of ``items``, with the frames [n, dim] of its clips, and its mean probability.

        The mean is geometric, over tokens. Raises PromptError where the turn does not fit the context.
        """
        messages = [Message(role="system", items=(SYSTEM,)), Message(role="user", items=items)]
        prompt = self._renderer.prompt(messages, CONTEXT - self._limit)
        sounds = [Sound(number, one) for number, one in enumerate(frames)]
        laid = lay(prompt.ids[:-1], sounds)  # without the mark that begins a spoken reply
        state, seen = fill(self._lanes, 0, [], laid), len(laid.symbols)
        ids: list[int] = []
        total = 0.0
        while len(ids) < self._limit:
            chances = self._lanes.logits(state).log_softmax(-1)
            chances[self._forbidden] = -torch.inf
            token = int(chances.argmax())
            total += float(chances[token])
            if token in self._tokens.text_eos:
                break
            ids.append(token)
            (states,) = self._lanes.run([Row(0, seen, self._lanes.embed([token]))])
            state, seen = states[-1], seen + 1
        return self._codec.decode(ids).strip(), math.exp(total / max(len(ids) + 1, 1))


class OpenS2SSurface:
    """A checkpoint behind the tasks."""

    name = "opens2s"

    def __init__(self, loaded: Loaded) -> None:
        files = loaded.checkpoint
        self._codec, self._rate = files.codec, files.vocoder.sampling_rate
        self._limits = limits_of(files)
        # One session hears, the other reads aloud.
        options = EngineOptions(
            sessions=2, replies=1, context=CONTEXT, heard_frames=CONTEXT // 4, exact_judging=True, limits=self._limits
        )
        self._engine = Engine(loaded, options, [slot(files.codec.encode, task) for task in LABELS])
        self._writer = Writer(loaded)

    def do(self, tasks: Sequence[Task], request: Request) -> list[Answer]:
        """As `Surface.do` says; the recording is heard once for all tasks."""
        check(tasks, request)
        talk = self._engine.enter(request.seed)
        try:
            heard = None
            if any(task not in WRITTEN for task in tasks):
                heard = self._engine.hear(talk, torch.from_numpy(request.samples))
            # A reply changes the conversation, so it comes last.
            found = {task: self._answer(task, request, talk, heard) for task in sorted(tasks, key="chat".__eq__)}
            return [found[task] for task in tasks]
        finally:
            self._engine.leave(talk)

    def close(self) -> None:
        """Stop the engine."""
        self._engine.close()

    def _answer(self, task: Task, request: Request, talk: Talk, heard: Heard | None) -> Answer:
        if task == "text-chat":
            text, _ = self._writer.write((request.text,))
            return Answer(task=task, text=text)
        if task == "speak":
            return self._speak(request)
        assert heard is not None  # every other task starts from sound
        if task == "chat":
            self._engine.take_up(talk)
            return self._reply(task, talk, Plan(system=SYSTEM, instruction=_manner(request)), request.delivery)
        if task == "transcribe":
            if not len(heard.frames):
                return Answer(task=task, text="", confidence=0.0)
            text, sure = self._writer.write((TRANSCRIBE, Clip(frames=len(heard.frames))), [heard.frames])
            return Answer(task=task, text=text, confidence=round(sure, 4))
        return label(task, heard.labels.get(task))

    def _speak(self, request: Request) -> Answer:
        count = len(self._codec.encode(request.text))
        if count > self._limits.text:
            raise TaskError(
                f"The text has {count} tokens, and the checkpoint speaks {self._limits.text} at once.",
                "Give it in parts.",
            )
        talk = self._engine.enter(request.seed)
        plan = Plan(SYSTEM, _manner(request), heard=READ + request.text, opening=request.text, tokens=count)
        try:
            return self._reply("speak", talk, plan, request.delivery)
        finally:
            self._engine.leave(talk)

    def _reply(self, task: Task, talk: Talk, plan: Plan, delivery: str) -> Answer:
        blocks = list(self._engine.reply(talk, plan))
        text = self._codec.decode(blocks[-1].text).strip() if blocks else ""
        pcm = np.concatenate([np.zeros(0, np.float32), *(block.pcm for block in blocks)])
        return Answer(task=task, text=text, delivery=delivery, rate=self._rate, pcm=pcm)


def slot(encode: Callable[[str], Sequence[int]], task: str) -> Slot:
    """The question for a label; answers begin with the blank that parts them from the question."""
    return make(encode, task, QUESTIONS[task], LABELS[task], lead=" ")


def _manner(request: Request) -> str:
    return f"\nSound {request.delivery}."
