"""Poise on one page: from the sound of a user, chunk by chunk, to a judgement, a reply, and what was heard of it.

Read it from top to bottom: settings, the parts, the two graphs, one conversation, the door, main. A chunk goes the
same way as in agent/, whose ears, mouth and wire it shares. Left out: traces, resuming, limits, opening by itself.

    python single_file_s2s.py                    serves the web page and /v1/realtime on http://127.0.0.1:8710/
    python single_file_s2s.py --wav FILE         runs a recording through it in virtual time, prints the timeline
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict
from urllib.parse import urlsplit

import numpy as np
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from agent import admission, config, events, pages
from agent.audio import Chunker, Samples, check, decode
from agent.clock import Clock, RealClock, VirtualClock
from agent.conversation import Conversation
from agent.listening import Listening
from agent.protocols import commands as asked
from agent.protocols.realtime import Realtime, encoded
from agent.protocols.realtime_session import Identity
from agent.reply import Wish, is_young_interruption
from agent.speaking import Speaking
from agent.vad import SileroVad, Vad
from memory import embed, extract
from memory.recall import recall
from memory.store import MemoryStore
from model.interface import CHUNK_SAMPLES, SAMPLE_RATE, PoiseError, Said, SpeechModel
from policies import persona as personas
from policies import policy, strategies
from policies.situation import Decision, Floor, Judge, Persona

# ---- settings and parts


@dataclass(frozen=True)
class Settings:
    """Everything that can be chosen."""

    home: Path = field(default_factory=lambda: config.Settings.load().home)  # POISE_HOME; memory lies in it
    port: int = 8710  # on loopback only; agent/ has tokens for more
    persona: str = "maren"  # name of one in policies/personas, or a YAML file
    judge: str = "tuned"  # "tuned" or "rules"
    memory: bool = True  # remember facts across sessions
    lead_s: float = 0.4  # how far reply audio is sent ahead of its playing
    threads: int = 2  # that hear, judge and speak
    seed: int = 0  # what all sampling starts from


@dataclass(frozen=True)
class Parts:
    """Loaded once, shared by all conversations."""

    model: SpeechModel  # hears and speaks
    judge: Judge  # five probabilities for a situation
    memory: MemoryStore | None  # facts on disk
    vad: Vad  # is it speech?
    inference: Executor  # threads for the model and the judge
    remembering: Executor = field(default_factory=lambda: ThreadPoolExecutor(1))  # the memory's one thread
    graphs: Graphs = field(default_factory=lambda: Graphs())


def load(settings: Settings, clock: Clock) -> Parts:
    """The default parts. Raises PoiseError, or memory's StoreError, where one cannot be had."""
    from model.nano import engine
    from policies.judge import rules, tuned

    encoder = embed.load()
    judge = rules.load() if settings.judge == "rules" else tuned.load()
    memory = MemoryStore(settings.home / "memory", encoder, clock.today) if settings.memory else None
    return Parts(engine.load(embed=encoder), judge, memory, SileroVad(), ThreadPoolExecutor(settings.threads))


# ---- the two graphs; their state is small, as sound and models live in the conversation, found by its name


class ChunkState(TypedDict, total=False):
    """What passes through the chunk graph, every 160 ms."""

    session: str
    chunk: int
    way: Literal["listen", "take_floor", "yield_floor"]


class TurnState(TypedDict, total=False):
    """What passes through the turn graph, once for every reply."""

    session: str
    reply: str
    kept: dict[str, Any]  # history and policy state, for the checkpoint


class Graphs:
    """Both graphs, compiled once for all conversations."""

    def __init__(self) -> None:
        self.talks: dict[str, Talk] = {}
        self.chunk = self._chunk_graph().compile()
        self._turn = self._turn_graph().compile(checkpointer=InMemorySaver())

    async def on_turn(self, session: str, reply: str) -> None:
        """One run of the turn graph; leaves a checkpoint at its end."""
        thread: Any = {"configurable": {"thread_id": session}}
        await self._turn.ainvoke({"session": session, "reply": reply}, thread, durability="exit")

    def _chunk_graph(self) -> Any:
        """hear, judge, decide; then listen, take the floor or yield it."""
        graph: Any = StateGraph(ChunkState)
        ways = ["listen", "take_floor", "yield_floor"]
        graph.add_sequence([(name, self._node(name, "chunk")) for name in ("hear", "judge", "decide")])
        graph.add_edge(START, "hear")
        graph.add_conditional_edges("decide", lambda state: state["way"], ways)
        for name in ways:
            graph.add_node(name, self._node(name, "chunk"))
            graph.add_edge(name, END)
        return graph

    def _turn_graph(self) -> Any:
        """recall, plan, speak, remember."""
        graph: Any = StateGraph(TurnState)
        graph.add_sequence([(name, self._node(name, "reply")) for name in ("recall", "plan", "speak", "remember")])
        graph.add_edge(START, "recall")
        graph.add_edge("remember", END)
        return graph

    def _node(self, name: str, about: str) -> Callable[[Any], Awaitable[Any]]:
        """The node ``name``: the method of that name of the conversation, given the chunk or the reply."""

        async def node(state: Any) -> Any:
            return await getattr(self.talks[state["session"]], name)(state[about])

        return node


# ---- one conversation: the nodes of both graphs


class Talk(Conversation):
    """One user and one agent. (Floor, generation number, history and log: agent/conversation.py.)"""

    def __init__(self, id: str, person: str, persona: Persona, parts: Parts, clock: Clock, settings: Settings,
                 emit: Callable[[events.Event], None]) -> None:  # fmt: skip
        limits = config.Settings.load(lead_s=settings.lead_s, seed=settings.seed)
        ears_and_mouth: Any = {"parts": parts, "settings": limits}
        super().__init__(id=id, person=person, persona=persona, clock=clock, emit=emit, trace=None, **ears_and_mouth)
        listener = parts.model.open(self.seed)
        self.ears = Listening(self, listener, parts.vad.open())  # hears, and keeps the user's turns
        self.mouth = Speaking(self, self.ears, listener)  # makes, paces and cuts replies, each of one generation
        self.auto = self.may_interrupt = True  # the client may want neither
        self._chunker, self._chunks, self._pcm = Chunker(), 0, np.zeros(0, np.float32)
        self._graphs = parts.graphs
        self._graphs.talks[id] = self

    async def feed(self, pcm: Samples) -> None:
        """Any number of float32 samples at 16 kHz; every 2,560 are a chunk and go through the chunk graph."""
        for chunk in self._chunker.feed(check(pcm)):
            self._pcm, self._chunks = chunk, self._chunks + 1
            await self._graphs.chunk.ainvoke({"session": self.id, "chunk": self._chunks - 1})

    async def hear(self, chunk: int) -> None:
        """Voice activity and the model's ear take the chunk in; a user turn begins, goes on, or dies away."""
        await self.ears.hear(chunk, self._pcm, self.clock.now())

    async def judge(self, chunk: int) -> None:
        """Interrupt, refuse, deflect, be silent or respond: how likely is each to be right now?"""
        self._situation = self.ears.situation(chunk, agent_says=self.mouth.says)
        self._judgement = await self.compute(self.parts.judge.judge, self._situation)

    async def decide(self, chunk: int) -> ChunkState:
        """What is made of it; a decision that may not be carried out leaves no mark on the policy."""
        before, reply = self.policy, self.mouth.reply
        self._decision, self.policy = policy.decide(self._judgement, self._situation, before)
        self.emit(events.ChunkJudged, chunk=chunk, situation=self._situation, judgement=self._judgement,
                  decision=self._decision, stage_ms=self.ears.timing.ms)  # fmt: skip
        move = self._decision.move
        if move == "take_floor" and self.auto and reply is None and self.ears.turn:
            return {"way": "take_floor"}
        if move == "yield_floor" and reply and self.may_interrupt and self.floor == Floor.BOTH:
            young = is_young_interruption(reply.wish.action, reply.ledger.first_audio, self.ms())
            if not young:  # merely running on does not end that
                return {"way": "yield_floor"}
        if move == "take_floor" or (move == "yield_floor" and reply):
            self.policy = before
        return {"way": "listen"}

    async def listen(self, chunk: int) -> None:
        """The floor stays as it is; while the user might be claiming it, the agent speaks lower."""
        self.mouth.duck(self._decision.move == "duck")
        if self.auto and self.floor == Floor.USER and self.ears.silent_s() > self.settings.closes_after_s:
            self.ears.close()

    async def take_floor(self, chunk: int) -> None:
        """The user's turn is taken up, and a reply begins: a run of the turn graph, as a task of its own."""
        said = self.ears.close()
        wish = Wish("judge", self._decision.action, self._situation, self._decision, self._judgement)
        self.mouth.begin(wish, said.text if said else "")

    async def yield_floor(self, chunk: int) -> None:
        """A barge-in: the generation number goes up, and nothing of the reply is heard from here on."""
        self.ears.announce()
        self.mouth.cut("barge_in")

    async def recall(self, id: str) -> None:
        """What is remembered that bears on what was said?"""
        reply, memory = self.mouth.reply, self.parts.memory
        if reply and reply.id == id and memory and reply.user_words:
            words, history = reply.user_words, reply.wish.situation.history
            self.facts = tuple(await self.with_memory(recall, memory, self.person, words, history))
            self.emit(events.MemoryRecalled, texts=self.facts)

    async def plan(self, id: str) -> None:
        """How is the action voiced? The strategy makes the prompt."""
        if (reply := self.mouth.reply) and reply.id == id:
            situation = reply.wish.situation.model_copy(update={"memory": self.facts})
            prompt = strategies.plan(reply.wish.decision, situation, self.seed + reply.generation)
            instruction = reply.wish.instruction or prompt.instruction
            heard = reply.user_words or prompt.heard
            reply.prompt = prompt.model_copy(update={"instruction": instruction, "heard": heard})

    async def speak(self, id: str) -> None:
        """Pieces are made, and leave when they are due, until all was played, or the reply was cut."""
        await self.mouth.speak(id)

    async def remember(self, id: str) -> TurnState:
        """What the user told goes to the memory; what was really said and heard, into the checkpoint."""
        reply, memory = self.mouth.last, self.parts.memory
        if reply and reply.id == id and memory and reply.user_words:
            before = reply.wish.situation.history[-1:]
            facts = extract.facts(reply.user_words, before[0].text if before and before[0].who == "agent" else "")
            stored = await self.with_memory(memory.remember, self.person, facts, self.id) if facts else []
            self.emit(events.MemoryWritten, texts=tuple(one.text for one in stored))
        return {"kept": self.kept()}

    def respond(self, instruction: str | None, text: str | None, metadata: dict[str, str] | None) -> None:
        """The client wants a reply now, whatever the judge thinks; ``text`` is a typed turn to answer."""
        self.mouth.cut("superseded")
        situation, said = self.ears.situation(self._chunks - 1, ""), self.ears.close()
        if text:
            said = self.add(Said(who="user", text=text))
        elif not said and self.history and self.history[-1].who == "user":
            said = self.history[-1]
        heard = situation.percept.model_copy(update={"stable": said.text if said else "", "tentative": ""})
        situation = situation.model_copy(update={"percept": heard})
        decision = Decision(chunk=heard.chunk, action="respond", move="take_floor", reasons=("asked to",), flip="")
        self.mouth.begin(Wish("client", "respond", situation, decision, None, instruction, metadata), heard.stable)

    async def close(self) -> None:
        """Cut what is being said; leave no task."""
        self.mouth.cut("closed")
        await self.mouth.rest()
        await self.stop_tasks()
        self._graphs.talks.pop(self.id, None)


# ---- the door


async def converse(wire: ServerConnection, settings: Settings, parts: Parts, clock: Clock) -> None:
    """One client of /v1/realtime, from its first message to its last."""
    assert wire.request is not None
    wishes, out = admission.wishes(wire.request.path, wire.request.headers), asyncio.Queue[str]()
    persona = personas.load(wishes.persona or settings.persona)
    identity = Identity(secrets.token_hex(9), secrets.token_hex(9), wishes.model, wishes.person, persona.name.lower(),
                        tuple(personas.names()), int(clock.today().timestamp() + 3600))  # fmt: skip
    realtime = Realtime(identity, output_rate=parts.model.spec.output_rate, events=wishes.events,
                        judgements=wishes.judgements, ids=lambda kind: f"{kind}_{secrets.token_hex(9)}")  # fmt: skip

    def send(frames: list[dict[str, Any]]) -> None:
        for frame in frames:
            out.put_nowait(encoded(frame))

    async def write() -> None:
        with suppress(ConnectionClosed):
            while True:
                await wire.send(await out.get())

    talk = Talk(identity.session, wishes.person, persona, parts, clock, settings, lambda e: send(realtime.project(e)))
    send(realtime.opened())
    talk.spawn(write())
    try:
        async for message in wire:
            answer = realtime.receive(message, round(talk.ms()))
            send(answer.frames)
            for command in answer.commands:
                try:
                    await _carry_out(talk, command)
                except PoiseError as error:
                    send(realtime.refused(error, command.event_id))
    finally:
        await talk.close()


async def _carry_out(talk: Talk, command: asked.Command) -> None:
    """What the client asks of the conversation."""
    match command:
        case asked.Feed():
            await talk.feed(command.pcm)
        case asked.Respond():
            talk.respond(command.instruction, command.text, command.metadata)
        case asked.Cancel():
            talk.mouth.cut("client_cancelled")
        case asked.Commit():
            talk.ears.close()
        case asked.ClearInput():
            talk.ears.drop()
        case asked.AddText():
            talk.add(Said(who=command.who, text=command.text))
        case asked.Acknowledge():
            talk.mouth.acknowledge(command.reply, command.played)
        case asked.Configure():
            talk.auto, talk.may_interrupt = command.auto, command.may_interrupt
        case asked.SetPersona():
            persona = personas.load(command.persona) if command.persona else talk.persona
            talk.persona = persona.model_copy(update={"stance": f"{persona.stance}\n{command.instructions}".strip()})
        case asked.Identify():
            talk.person = command.person


async def listen(settings: Settings) -> None:
    """Serve the web page and the wire until interrupted."""
    clock, files = RealClock(), pages.Files()
    parts = load(settings, clock)
    known = [{"name": name, "stance": personas.load(name).stance} for name in personas.names()]
    who = {"default": settings.persona, "personas": known}

    def answer(wire: ServerConnection, request: Request) -> Response | None:
        path = urlsplit(request.path).path
        page = files.get(path) or pages.as_json(who, 200 if path == "/v1/personas" else 404)
        if path == admission.REALTIME:
            refused = admission.admit(request.path, request.headers, None, ())
            if refused is None:
                return None
            page = pages.refusal(refused.status, refused.code, refused.message, refused.kind)
        return Response(page.status, "", Headers([*page.headers(), ("Connection", "close")]), page.body)

    async with serve(lambda wire: converse(wire, settings, parts, clock), "127.0.0.1", settings.port,
                     process_request=answer, compression=None, max_size=2**24) as server:  # fmt: skip
        print(f"Poise listens on http://127.0.0.1:{settings.port}/", flush=True)  # noqa: T201
        await server.serve_forever()


async def run_through(wav: Path, settings: Settings, parts: Parts, out: Callable[[str], object] = print) -> None:
    """A recording and the silence after it, in virtual time; one line per chunk, and one per reply."""
    clock, sound = VirtualClock(), decode(wav)
    out("chunk       s floor  probabilities of the five actions                    move         heard so far")

    def tell(event: events.Event) -> None:
        match event:
            case events.ChunkJudged(situation=at, judgement=judged, decision=decided):
                p = " ".join(f"{action[:3]} {judged.p[action]:.2f}" for action in judged.p)
                out(f"{event.chunk:5} {at.time_s:7.2f} {at.floor:6} {p} {decided.move:12} {at.percept.transcript}")
            case events.UserTurnDone() | events.MemoryRecalled() | events.MemoryWritten() | events.ReplyDone():
                out(f"      {type(event).__name__}: {event.model_dump(exclude={'at_ms', 'generation'})}")

    talk = Talk("wav", "wav", personas.load(settings.persona), parts, clock, settings, tell)
    while talk.ears.samples < len(sound) or talk.mouth.reply or talk.ears.turn:
        await clock.advance(CHUNK_SAMPLES / SAMPLE_RATE)
        chunk = sound[talk.ears.samples :][:CHUNK_SAMPLES]
        await talk.feed(np.pad(chunk, (0, CHUNK_SAMPLES - len(chunk))))
    await talk.close()


def main() -> None:
    """Read the arguments, then serve, or run a recording through."""
    parser = argparse.ArgumentParser(description="Poise on one page.")
    parser.add_argument("--wav", type=Path, help="a recording to run through instead of serving")
    parser.add_argument("--port", type=int, default=Settings.port)
    parser.add_argument("--persona", default=Settings.persona)
    parser.add_argument("--judge", default=Settings.judge, choices=["tuned", "rules"])
    args = parser.parse_args()
    settings = Settings(port=args.port, persona=args.persona, judge=args.judge, memory=args.wav is None)
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(run_through(args.wav, settings, load(settings, RealClock())) if args.wav else listen(settings))
    except Exception as error:
        if not hasattr(error, "mend") and not isinstance(error, OSError):
            raise
        sys.exit(f"poise: {error}")


if __name__ == "__main__":
    main()
