"""An engine's iterator: pieces one by one, closed within one step, never touched by two threads."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.clock import VirtualClock
from agent.config import Settings
from agent.parts import Parts, assemble
from agent.pieces import PieceStream, ReplyStalledError
from model.interface import Piece, ReplyPrompt
from tests.agent.rehearsal import LoudnessVad, PauseJudge
from tests.agent.tiny_engine import TinyListener, TinyModel

PROMPT = ReplyPrompt(
    action="respond",
    instruction="",
    opening="",
    delivery="calm",
    max_words=3,
    persona="",
    stance="",
    boundary="",
    heard="",
    confidence=None,
    emotion=None,
    memory=(),
    history=(),
)


class Slow(TinyListener):
    """Waits at a gate before each piece, and says when it was closed."""

    def __init__(self) -> None:
        super().__init__(TinyModel())
        self.gate, self.steps, self.closed = threading.Event(), 0, False

    def reply(self, prompt: ReplyPrompt) -> Iterator[Piece]:
        try:
            for piece in super().reply(prompt):
                self.gate.wait(10)
                self.steps += 1
                yield piece
        finally:
            self.closed = True


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    settings = Settings(home=tmp_path, checkpoints="memory")
    made = assemble(settings, model=TinyModel(), judge=PauseJudge(), vad=LoudnessVad())
    yield made
    await made.close()


async def test_pieces_come_until_none(parts: Parts):
    stream, texts = PieceStream(parts, VirtualClock(), TinyListener(TinyModel())), list[str]()
    while (piece := await stream.next(PROMPT, 1)) is not None:
        texts.append(piece.text)
    await stream.close()
    assert texts == ["one", "two", "three"]


async def test_closing_waits_for_the_running_step_and_no_longer(parts: Parts):
    slow = Slow()
    stream = PieceStream(parts, VirtualClock(), slow)
    step = asyncio.create_task(stream.next(PROMPT, 1))
    await asyncio.sleep(0.02)
    step.cancel()
    closing = asyncio.create_task(stream.close())
    await asyncio.sleep(0.02)
    assert not slow.closed
    slow.gate.set()
    await closing
    assert (slow.closed, slow.steps) == (True, 1)


async def test_a_step_too_long_is_an_error(parts: Parts):
    slow, clock = Slow(), VirtualClock(patience=0.01)
    stream = PieceStream(parts, clock, slow)
    step = asyncio.create_task(stream.next(PROMPT, 5))
    await clock.advance(6)
    with pytest.raises(ReplyStalledError, match="5 s"):
        await step
    slow.gate.set()
    await stream.close()
