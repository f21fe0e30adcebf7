"""One conversation: clock, floor, generation counter, tasks, cancellation.

The session joins its listening and its speaking side: it is the room in which the graphs' nodes act, and the
object that the doors talk to. It knows no wire, no engine and no judge but by their contracts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from agent import wishes
from agent.audio import Chunker, Samples, check
from agent.clock import Clock
from agent.config import Settings
from agent.conversation import Conversation
from agent.events import Cause, ChunkJudged, Closed, Event, UserTurnDone
from agent.graph import Way
from agent.listening import Listening
from agent.parts import Parts
from agent.reply import Wish, is_young_interruption
from agent.speaking import Speaking
from agent.trace import TraceWriter
from model.interface import PoiseError, Said
from policies import policy
from policies.situation import Action, Decision, Floor, Judgement, Persona, PolicyState, Situation

QUEUE = 64  # chunks that may wait; who feeds faster has to wait too
GOODBYE_S = 2.0  # longest wait for a turn's end when the session closes


class SessionClosedError(PoiseError):
    """The session is over."""

    code = "session_closed"


class SessionBusyError(PoiseError):
    """A session of this id is open."""

    code = "session_busy"


class Session:
    """One conversation of one person with one persona."""

    def __init__(
        self,
        *,
        id: str,
        person: str,
        persona: Persona,
        parts: Parts,
        clock: Clock,
        settings: Settings,
        emit: Callable[[Event], None],
        trace: TraceWriter | None = None,
    ) -> None:
        """``emit`` is called on the event loop, in the order of events. ``start`` before anything else."""
        self._c = Conversation(
            id=id, person=person, persona=persona, parts=parts, clock=clock, settings=settings, emit=emit, trace=trace
        )
        self.auto = True  # the judge may take the floor by itself
        self.may_interrupt_reply = True  # the user's barge-in cuts a reply
        self._chunker = Chunker()
        self._queue: asyncio.Queue[int] = asyncio.Queue(QUEUE)
        self._waiting: dict[int, tuple[Samples, float]] = {}
        self._chunks = 0
        self._ears: Listening
        self._mouth: Speaking
        self._situation: Situation
        self._judgement: Judgement
        self._decision: Decision
        self._state = "new"

    @property
    def id(self) -> str:
        """Its name, also that of its trace and its checkpoint."""
        return self._c.id

    @property
    def floor(self) -> Floor:
        """Who holds the floor."""
        return self._c.floor

    @property
    def generation(self) -> int:
        """The generation number."""
        return self._c.generation.number

    @property
    def history(self) -> tuple[Said, ...]:
        """What was said and heard, oldest first."""
        return tuple(self._c.history)

    @property
    def persona(self) -> Persona:
        """Who the agent is."""
        return self._c.persona

    @property
    def replying(self) -> str | None:
        """The id of the reply that holds the floor."""
        reply = self._mouth.reply if self._state == "open" else None
        return reply.id if reply else None

    async def start(self) -> None:
        """Open the ears, take back what a checkpoint kept. Raises PoiseError where that cannot be."""
        c = self._c
        if c.id in c.parts.graphs.rooms:
            raise SessionBusyError(f"The session {c.id} is open already.", "Close it first, or choose another id.")
        if c.trace is not None:
            c.trace.begin(person=c.person, persona=c.persona.name, seed=c.seed, engine=c.parts.model.spec.name)
        await c.parts.graphs.open()
        kept = await c.parts.graphs.resume(c.id)
        if kept:
            c.take_back(kept)
        listener = await c.compute(c.parts.model.open, c.seed)
        self._ears = Listening(c, listener, c.parts.vad.open())
        self._mouth = Speaking(c, self._ears, listener)
        c.parts.graphs.rooms[c.id] = self
        self._state = "open"
        c.spawn(self._consume())
        c.spawn(self._ears.recall_person())
        c.spawn(self._greet())

    async def close(self, reason: str = "closed") -> None:
        """End it: cuts the reply, keeps what was said, leaves no task. Closing twice is closing once."""
        c, was = self._c, self._state
        self._state = "closed"
        if was != "open":
            return
        self._mouth.cut("closed")
        rest = c.spawn(self._mouth.rest())
        await asyncio.wait({rest, c.spawn(c.clock.sleep(GOODBYE_S))}, return_when=asyncio.FIRST_COMPLETED)
        await c.stop_tasks()
        while not self._queue.empty():
            self._queue.get_nowait()
            self._queue.task_done()
            c.clock.release()
        c.parts.graphs.rooms.pop(c.id, None)
        try:
            await c.parts.graphs.save(c.id, c.kept())
        except PoiseError as error:
            c.fail("the checkpoint", error)
        c.emit(Closed, reason=reason)
        for kept in (c.trace, c.recorder):
            if kept is not None:
                kept.close()

    async def feed(self, pcm: NDArray[np.float32]) -> None:
        """Take any number of float32 samples at 16 kHz. Raises BadAudioError, and then takes none of them."""
        self._must_be_open()
        for chunk in self._chunker.feed(check(pcm)):
            await self._put(chunk)

    async def respond(
        self,
        *,
        instruction: str | None = None,
        text: str | None = None,
        metadata: dict[str, str] | None = None,
        cause: Cause = "client",
    ) -> str:
        """Speak now, whatever the judge thinks; ``text`` is a typed turn to answer. Returns the reply's id.

        Without ``text`` it answers what the user is saying, or said last. A reply that is being spoken is cut.
        """
        self._must_be_open()
        self._mouth.cut("superseded")
        c, situation = self._c, self._ears.situation(self._chunks - 1, "")
        said = self._ears.close() if self._ears.turn else None
        spoken = said is not None and text is None
        if text is not None:
            said = c.add(Said(who="user", text=text))
        elif said is None and c.history and c.history[-1].who == "user":
            said = c.history[-1]
        before = tuple(one for one in c.recent if one is not said)
        situation = wishes.answering(situation.model_copy(update={"history": before}), said, spoken)
        action, judgement = await self._manner(situation)
        self._must_be_open()
        wish = wishes.by_client(situation, action, judgement, cause, instruction, metadata)
        return self._mouth.begin(wish, said.text if said else "").id

    async def add_text(self, item: str, who: Literal["user", "agent"], text: str) -> None:
        """Put a typed item into the history (``item`` is the client's name for it)."""
        self._must_be_open()
        if text.strip():
            self._c.add(Said(who=who, text=text.strip()))

    async def cancel(self, reply: str | None = None, reason: str = "client_cancelled") -> bool:
        """Cut the reply (of this id, if one is given); False if there is none to cut."""
        if self._state != "open" or (reply is not None and self.replying != reply):
            return False
        return self._mouth.cut(reason)

    def acknowledge(self, reply: str, played: int) -> None:
        """The client has played so many samples of a reply (at the engine's output rate)."""
        if self._state == "open":
            self._mouth.acknowledge(reply, played)

    async def commit(self) -> None:
        """The user's turn ends now, by the client's will."""
        self._must_be_open()
        rest = self._chunker.flush()
        if rest is not None:
            await self._put(rest)
        await self._queue.join()
        if self._ears.turn is not None and self.floor == Floor.USER:
            self._ears.close()
        else:
            self._c.emit(UserTurnDone, item=self._c.name("item"), transcript="", emotion=None, seconds=0.0)

    async def clear_input(self) -> None:
        """Forget what was heard and not yet answered."""
        self._must_be_open()
        self._chunker.clear()
        await self._queue.join()
        self._ears.drop()

    async def set_persona(self, persona: Persona) -> None:
        """From the next chunk on the agent is somebody else."""
        self._must_be_open()
        self._c.persona = persona

    # The room of the graphs' nodes.

    async def hear(self, chunk: int) -> None:
        """Take in a chunk."""
        pcm, arrived = self._waiting.pop(chunk)
        await self._ears.hear(chunk, pcm, arrived)

    async def judge(self, chunk: int) -> None:
        """Judge the situation at its end."""
        self._situation = self._ears.situation(chunk, self._mouth.says)
        began = self._c.clock.perf()
        self._judgement = await self._c.compute(self._c.parts.judge.judge, self._situation)
        self._ears.timing.ms["judge"] = (self._c.clock.perf() - began) * 1000

    async def decide(self, chunk: int) -> Way:
        """Decide, log it, and say which way to go."""
        c, timing = self._c, self._ears.timing
        began = c.clock.perf()
        before = c.policy
        self._decision, c.policy = policy.decide(self._judgement, self._situation, before)
        ended = c.clock.perf()
        timing.ms["decide"] = (ended - began) * 1000
        timing.ms["graph"] = (ended - timing.began) * 1000 - sum(timing.ms.values())
        timing.ms["late"] = (c.clock.now() - timing.arrived) * 1000
        c.works()
        parts = {"situation": self._situation, "judgement": self._judgement, "decision": self._decision}
        c.emit(ChunkJudged, chunk=chunk, **parts, stage_ms=timing.ms)
        return self._way(self._decision, before)

    async def listen(self, chunk: int) -> None:
        """Nobody's floor changes by the agent's will; a turn that nobody answers is closed."""
        self._mouth.duck(self._decision.move == "duck")
        if self.auto and self.floor == Floor.USER and self._ears.silent_s() > self._c.settings.closes_after_s:
            self._ears.close()

    async def take_floor(self, chunk: int) -> None:
        """Take the user's turn up and begin a reply."""
        ears, decision = self._ears, self._decision
        stopped = ears.session_ms(ears.activity.ended)
        said = ears.close()
        wish = Wish("judge", decision.action, self._situation, decision, self._judgement)
        self._mouth.begin(wish, said.text if said else "").ledger.user_stopped = stopped

    async def yield_floor(self, chunk: int) -> None:
        """The user has taken the floor: cut the reply."""
        reply, turn = self._mouth.reply, self._ears.turn
        if reply is not None and turn is not None:
            reply.ledger.barge_in = self._ears.session_ms(turn.start)
        self._ears.announce()
        self._mouth.cut("barge_in")

    async def recall(self, reply: str) -> None:
        """Fetch what is remembered."""
        await self._mouth.recall(reply)

    async def plan(self, reply: str) -> None:
        """Make the prompt."""
        await self._mouth.plan(reply)

    async def speak(self, reply: str) -> None:
        """Speak until the reply has been played or cut."""
        await self._mouth.speak(reply)

    async def remember(self, reply: str) -> dict[str, Any]:
        """Store what was heard."""
        return await self._mouth.remember(reply)

    def _way(self, decision: Decision, before: PolicyState) -> Way:
        """Where a decision leads; one that must not be carried out leaves no mark on the policy."""
        reply = self._mouth.reply
        if decision.move == "take_floor":
            if self.auto and reply is None and self._ears.turn is not None:
                return "take_floor"
            self._c.set_policy(before)
        if decision.move == "yield_floor" and reply is not None:
            first = reply.ledger.first_audio
            young = is_young_interruption(reply.wish.action, first, self._c.ms())
            if self.may_interrupt_reply and not young and self.floor == Floor.BOTH:
                return "yield_floor"
            self._c.set_policy(before)
        return "listen"

    async def _put(self, chunk: Samples) -> None:
        index, self._chunks = self._chunks, self._chunks + 1
        self._waiting[index] = (chunk, self._c.clock.now())
        if self._c.recorder is not None:
            self._c.recorder.user(chunk)
        self._c.clock.hold()
        try:
            await self._queue.put(index)
        except asyncio.CancelledError:
            self._c.clock.release()
            raise

    async def _consume(self) -> None:
        """Chunk after chunk, strictly in order."""
        while True:
            index = await self._queue.get()
            try:
                await self._c.parts.graphs.on_chunk(self._c.id, index)
            except Exception as error:
                self._waiting.pop(index, None)
                self._c.fail("a chunk", error)
            finally:
                self._queue.task_done()
                self._c.clock.release()

    async def _greet(self) -> None:
        """Where nobody speaks at the start, a persona that has a greeting opens by itself."""
        persona = self._c.persona
        if persona.opens_after_s is None or not persona.greeting or self._c.history:
            return
        await self._c.clock.sleep(persona.opens_after_s)
        c = self._c
        if c.floor != Floor.NOBODY or c.history or not self.auto or self._mouth.last is not None:
            return
        self._mouth.begin(wishes.by_timer(self._ears.situation(self._chunks - 1, ""), persona.opens_after_s))

    async def _manner(self, situation: Situation) -> tuple[Action, Judgement | None]:
        """How to answer where it is settled that there is an answer."""
        try:
            manner: tuple[Action, Judgement | None] = await self._c.compute(
                wishes.judged, self._c.parts.judge, situation
            )
        except Exception as error:
            self._c.fail("the judge", error)
            return "respond", None
        return manner

    def _must_be_open(self) -> None:
        if self._state != "open":
            raise SessionClosedError(f"The session {self._c.id} is not open.", "Start a new one.")
