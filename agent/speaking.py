"""The speaking side of a session: one reply at a time, from taking the floor to the last sample or the cut.

It recalls, plans, has pieces made, paces them out, and accounts for what was heard. When to speak and when to
stop is not its business; every reply holds a generation number, and nothing of an old one leaves.
"""

from __future__ import annotations

import asyncio
from typing import Any

from agent.clock import held
from agent.conversation import Conversation
from agent.events import AudioSent, MemoryRecalled, MemoryWritten, ReplyDone, ReplyPiece, ReplyStarted, TurnTimed
from agent.floor import Happening
from agent.listening import Listening
from agent.pieces import PieceStream, in_time
from agent.playback import Playback
from agent.reply import Reply, Stage, Wish
from memory import extract
from memory.recall import recall
from model.interface import Listener, Piece, ReplyPrompt, Said, Turn
from policies import strategies
from policies.situation import Floor

RECALL_S = 0.25  # longest wait for the memory before a reply
AHEAD_S = 4.0  # sound made ahead of its playing after which the engine rests
LONGEST_S = 180.0  # a reply that does not end by itself ends here


class Speaking:
    """Speaks for one session."""

    def __init__(self, conversation: Conversation, listening: Listening, listener: Listener) -> None:
        self._c, self._ears, self._listener = conversation, listening, listener
        self.reply: Reply | None = None  # the one that holds the floor
        self.last: Reply | None = None  # the one before, for late acknowledgements
        self._turn: asyncio.Task[None] | None = None
        self._voice: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def says(self) -> str:
        """What has been heard of the current reply so far."""
        return self.reply.playback.heard(self._c.clock.now()) if self.reply else ""

    def begin(self, wish: Wish, user_words: str = "") -> Reply:
        """Take the floor: cuts an older reply, and starts the turn."""
        c = self._c
        self.cut("superseded")
        playback = Playback(c.parts.model.spec.output_rate, c.settings.lead_s)
        reply = Reply(c.name("resp"), c.generation.advance(), wish, playback, user_words=user_words)
        reply.ledger.decided = c.ms()
        self.reply = reply
        c.happen(Happening.AGENT_ON)
        c.emit(
            ReplyStarted,
            reply=reply.id,
            cause=wish.cause,
            action=wish.action,
            p=wish.judgement.p if wish.judgement else None,
            reasons=wish.decision.reasons,
            metadata=wish.metadata,
        )
        self._turn = c.spawn(self._run(reply, self._turn))
        return reply

    def cut(self, reason: str) -> bool:
        """Stop at once; False if nothing was being said."""
        reply = self.reply
        if reply is None:
            return False
        self._c.generation.advance()
        self._end(reply, Stage.CUT, reason)
        return True

    def duck(self, on: bool) -> None:
        """Speak lower, or as before."""
        if self.reply is not None:
            self.reply.playback.duck(on)

    def acknowledge(self, id: str, samples: int) -> None:
        """The client's word on what it has played, also of a reply that was cut just now."""
        now = self._c.clock.now()
        if self.reply is not None and self.reply.id == id:
            self.reply.playback.acknowledge(samples, now)
        elif self.last is not None and self.last.id == id and self.last.stage == Stage.CUT:
            self.last.playback.acknowledge(samples, now)
            self._correct(self.last)

    async def recall(self, id: str) -> None:
        """Fetch what is remembered about what was said."""
        c, reply, memory = self._c, self._current(id), self._c.parts.memory
        if reply is None or memory is None or not reply.user_words:
            return
        history = reply.wish.situation.history
        work = c.spawn(c.with_memory(recall, memory, c.person, reply.user_words, history))
        timer = c.spawn(c.clock.sleep(RECALL_S))
        await asyncio.wait({work, timer}, return_when=asyncio.FIRST_COMPLETED)
        timer.cancel()
        if not work.done():
            work.add_done_callback(lambda late: late.cancelled() or late.exception())  # nobody waits for it any more
            return
        try:
            c.facts = tuple(work.result())
        except Exception as error:
            c.fail("the memory", error)
        if c.facts and self._current(id):
            c.emit(MemoryRecalled, texts=c.facts)

    async def plan(self, id: str) -> None:
        """Make the prompt."""
        reply = self._current(id)
        if reply is None:
            return
        wish = reply.wish
        situation = wish.situation.model_copy(update={"memory": self._c.facts})
        if wish.action == "open":
            prompt = strategies.greet(situation)
        else:
            prompt = strategies.plan(wish.decision, situation, self._c.seed + reply.generation)
        changes: dict[str, Any] = {"heard": reply.user_words or prompt.heard}
        if wish.instruction is not None:
            changes["instruction"] = wish.instruction
        reply.prompt = prompt.model_copy(update=changes)

    async def speak(self, id: str) -> None:
        """Speak until the reply was played out, was cut, or has failed."""
        reply = self._current(id)
        if reply is None or reply.prompt is None:
            return
        reply.move(Stage.SPEAKING)
        self._voice = self._c.spawn(self._utter(reply, reply.prompt))
        self._c.clock.release()  # from here on time may pass
        try:
            await asyncio.wait({self._voice})
        finally:
            self._c.clock.hold()
        error = None if self._voice.cancelled() else self._voice.exception()
        if isinstance(error, Exception):
            self._fail(reply, error)
        elif not reply.is_over:
            self._end(reply, Stage.COMPLETED, "")

    async def remember(self, id: str) -> dict[str, Any]:
        """Write down what was said and heard; returns what the checkpoint keeps."""
        reply = self.reply if self.reply and self.reply.id == id else self.last
        if reply is not None and reply.id == id and reply.user_words:
            self._c.spawn(self._write(reply))
        return self._c.kept()

    async def rest(self) -> None:
        """Wait until the last turn has left nothing to do."""
        for task in (self._turn, self._closing):
            if task is not None:
                await asyncio.wait({task})

    async def _run(self, reply: Reply, before: asyncio.Task[None] | None) -> None:
        """The turn as a task: after the one before, as an engine speaks one reply at a time."""
        c = self._c
        if before is not None:
            await asyncio.wait({before})
        try:
            with held(c.clock):
                await c.parts.graphs.on_turn(c.id, reply.id)
        except Exception as error:
            self._fail(reply, error)

    async def _utter(self, reply: Reply, prompt: ReplyPrompt) -> None:
        """Have pieces made and pace them out."""
        c = self._c
        if self._closing is not None:
            await in_time(c.clock, self._closing, c.settings.stalls_after_s)
        stream = PieceStream(c.parts, c.clock, self._listener)
        mouth = c.spawn(self._mouth(reply))
        try:
            while reply.playback.made < LONGEST_S * reply.playback.rate:
                piece = await stream.next(prompt, c.settings.stalls_after_s)
                if piece is None or not c.generation.is_current(reply.generation):
                    break
                self._take(reply, piece)
                while (excess := reply.playback.ahead_s(c.clock.now()) - AHEAD_S) > 0:
                    await c.clock.sleep(excess)
            reply.playback.finish()
            reply.fed.set()
            await mouth
        finally:
            mouth.cancel()
            self._closing = c.spawn(stream.close())

    def _take(self, reply: Reply, piece: Piece) -> None:
        reply.playback.push(piece)
        self._c.emit(ReplyPiece, reply=reply.id, piece=piece)
        self._pump(reply)
        reply.fed.set()

    async def _mouth(self, reply: Reply) -> None:
        """Send what is due, until all has been played."""
        clock, playback = self._c.clock, reply.playback
        while not playback.is_played_out(clock.now()):
            self._pump(reply)
            if playback.is_starved:
                reply.fed.clear()
                await reply.fed.wait()
            else:
                await clock.sleep(max(playback.rest_s(clock.now()), 0.001))

    def _pump(self, reply: Reply) -> None:
        """Everything that may leave now leaves; nothing of an old generation ever does."""
        c = self._c
        while c.generation.is_current(reply.generation):
            frame = reply.playback.release(c.clock.now())
            if frame is None:
                return
            if reply.ledger.first_audio is None:
                reply.ledger.first_audio = c.ms()
            c.emit(AudioSent, reply=reply.id, offset=frame.offset, pcm=frame.pcm, text=frame.text)

    def _fail(self, reply: Reply, error: Exception) -> None:
        code = self._c.fail("the reply", error)
        if not reply.is_over:
            self._c.generation.advance()
            self._end(reply, Stage.FAILED, code)

    def _end(self, reply: Reply, stage: Stage, reason: str) -> None:
        """The one way out of a reply: floor, history, ears and log agree on what was heard."""
        c = self._c
        if stage != Stage.COMPLETED:
            reply.playback.cut(c.clock.now())
            if self._voice is not None and self._voice is not asyncio.current_task():
                self._voice.cancel()
        reply.move(stage)
        self.reply, self.last = None, reply
        played, heard = reply.playback.played(c.clock.now()), reply.playback.heard(c.clock.now())
        reply.ledger.silent = c.ms()
        if heard:
            delivery = reply.prompt.delivery if reply.prompt else None
            reply.said = c.add(Said(who="agent", text=heard, emotion=delivery, cut=stage != Stage.COMPLETED))
            self._ears.tell(Turn(user=None, agent=reply.said))
        c.happen(Happening.AGENT_OFF)
        status, text = stage.value, reply.playback.text
        c.emit(ReplyDone, reply=reply.id, status=status, reason=reason, text=text, heard_text=heard, played=played)
        self._tell_times(reply)
        if not heard and stage == Stage.CUT and c.floor == Floor.USER:
            self._ears.give_back()
        self._ears.agent_stopped()

    def _tell_times(self, reply: Reply) -> None:
        ledger = reply.ledger
        self._c.emit(
            TurnTimed,
            reply=reply.id,
            user_stopped_ms=ledger.user_stopped,
            decided_ms=ledger.decided,
            first_audio_ms=ledger.first_audio,
            barge_in_ms=ledger.barge_in,
            silent_ms=ledger.silent,
        )

    def _correct(self, reply: Reply) -> None:
        """A cut reply was heard further, or less far, than was thought."""
        heard = reply.playback.heard(self._c.clock.now())
        if reply.said is None or heard == reply.said.text:
            return
        said = reply.said.model_copy(update={"text": heard}) if heard else None
        self._c.replace_last(reply.said, said)
        reply.said = said

    async def _write(self, reply: Reply) -> None:
        """Store the facts of a turn."""
        c, memory = self._c, self._c.parts.memory
        if memory is None:
            return
        history = reply.wish.situation.history
        asked = history[-1].text if history and history[-1].who == "agent" else ""  # what a short answer answers
        try:
            facts = extract.facts(reply.user_words, asked)
            stored = await c.with_memory(memory.remember, c.person, facts, c.id) if facts else []
        except Exception as error:
            c.fail("the memory", error)
            return
        if stored:
            c.emit(MemoryWritten, texts=tuple(memory.text for memory in stored))

    def _current(self, id: str) -> Reply | None:
        """The reply of this id, if it still holds the floor."""
        reply = self.reply
        alive = reply is not None and reply.id == id and self._c.generation.is_current(reply.generation)
        return reply if alive else None
