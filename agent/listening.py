"""The listening side of a session: ears, user turns, and the situation of each chunk.

It opens and closes the user's turns and keeps the floor on the user's side; it decides nothing, and it does not
know how replies are made. Chunks come one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent import situations
from agent.audio import Samples
from agent.conversation import Conversation
from agent.events import SpeechStarted, SpeechStopped, TranscriptGrew, UserTurnDone
from agent.floor import Happening
from agent.vad import Activity, Voice
from memory.recall import recall
from model.interface import CHUNK_S, CHUNK_SAMPLES, SAMPLE_RATE, Chunk, Listener, Percept, Said, Turn
from policies import cues
from policies.situation import Floor, Situation

DIES_AWAY_S = 0.8  # silence after which what the user said over the agent was no claim to the floor
KEPT_WORDS = 3  # so many words said over the agent are kept in the history all the same
ABOUT = "the user's name, family, work and plans"  # asked of memory when a session begins
REFRESH_WORDS = 3  # new words after which memory is searched again


@dataclass
class UserTurn:
    """The user's turn that is open."""

    item: str
    start: int  # sample of the stream
    announced: bool = False
    told: str = ""  # stable words told so far
    before: str = ""  # words of this turn taken up earlier, to which no reply was heard


@dataclass
class Timing:
    """What one chunk has cost, in ms of the clock's ``perf``, and when it came."""

    arrived: float = 0.0  # clock
    began: float = 0.0  # perf
    ms: dict[str, float] = field(default_factory=dict)


class Listening:
    """Hears one session."""

    def __init__(self, conversation: Conversation, listener: Listener, voice: Voice) -> None:
        self._c, self._listener, self._voice = conversation, listener, voice
        self.activity = Activity()
        self.turn: UserTurn | None = None
        self.percept: Percept = SILENCE
        self.timing = Timing()
        self.said: Said | None = None  # the user's last turn that was taken up
        self._taken_at = 0  # sample at which it was
        self._watch = situations.Watch()
        self._to_tell: list[Turn] = []  # for the model, before it hears the next chunk
        self._refreshed = 0  # words at which memory was searched last
        self._refreshing = False
        self._arrived = (0, 0.0)  # samples of the stream, session clock in ms

    @property
    def samples(self) -> int:
        """Samples of the stream heard so far."""
        return self._arrived[0]

    def session_ms(self, sample: int) -> float:
        """When a sample of the stream arrived, on the session clock."""
        samples, ms = self._arrived
        return ms - (samples - sample) * 1000 / SAMPLE_RATE

    async def hear(self, index: int, pcm: Samples, arrived: float) -> None:
        """Take in a chunk; then the user's turn and floor are up to date."""
        c = self._c
        self.timing = Timing(arrived, c.clock.perf())
        turns, self._to_tell = self._to_tell, []
        self._arrived = ((index + 1) * CHUNK_SAMPLES, c.ms() - (c.clock.now() - arrived) * 1000)
        probabilities, self.percept = await c.compute(self._hear, index, pcm, turns)
        self.activity.feed(probabilities)
        self._keep_floor()
        self._tell_growth()

    def tell(self, turn: Turn) -> None:
        """Tell the model what was really said and heard, before it hears more."""
        self._to_tell.append(turn)

    def situation(self, index: int, agent_says: str) -> Situation:
        """All that may be seen at the end of this chunk."""
        percept = self.percept
        if self.turn is not None and self.turn.before:
            percept = percept.model_copy(update={"stable": f"{self.turn.before} {percept.stable}".strip()})
        time_s = (index + 1) * CHUNK_S
        self._watch = situations.watch(self._watch, percept, time_s)
        self._refresh_memory(percept.transcript)
        return situations.build(
            percept,
            self._c.persona,
            self._watch,
            time_s,
            floor=self._c.floor,
            memory=self._c.facts,
            history=self._c.recent,
            agent_says=agent_says,
        )

    def announce(self) -> None:
        """The user's turn is one: say so, unless that was done."""
        turn = self.turn
        if turn is not None and not turn.announced:
            turn.announced = True
            self._c.emit(SpeechStarted, item=turn.item, start_ms=turn.start * 1000 // SAMPLE_RATE)
            self._tell_growth()

    def close(self) -> Said | None:
        """The user's turn is over and taken up: say so, and begin the next with empty ears."""
        turn, percept = self.turn, self.percept
        if turn is None:
            return None
        self.announce()
        words = f"{turn.before} {percept.transcript}".strip()
        seconds = self._stopped(turn)
        emotion = max(percept.emotion, key=percept.emotion.__getitem__) if percept.emotion else None
        self._c.emit(UserTurnDone, item=turn.item, transcript=percept.transcript, emotion=emotion, seconds=seconds)
        said = Said(who="user", text=words, emotion=emotion)
        self._empty(said)
        self._c.happen(Happening.USER_OFF)
        self.said = self._c.add(said) if words else None
        return said

    def give_back(self) -> None:
        """The reply was cut before anything was heard of it: the user simply goes on."""
        if self.said is None or self.turn is None or not self._c.history or self._c.history[-1] is not self.said:
            return
        self.turn.before = self.said.text
        self._c.replace_last(self.said, None)
        self.said = None

    def drop(self) -> None:
        """Forget what was heard and not taken up."""
        if self.turn is not None and self._c.floor in (Floor.USER, Floor.BOTH):
            self._c.happen(Happening.USER_OFF)
        if self.turn is not None and self.turn.announced:
            self._stopped(self.turn)
        self._empty(None)

    def agent_stopped(self) -> None:
        """A reply has ended: what is being said over it becomes a turn, or is let go."""
        if self.turn is None:
            return
        if not self.activity.speaking and cues.is_back_channel(cues.words(self.percept.transcript)):
            self._let_go()
            return
        if self._c.floor == Floor.NOBODY:
            self._c.happen(Happening.USER_ON)
        self.announce()

    async def recall_person(self) -> None:
        """What is remembered of this person at all, before anything was said."""
        if self._c.parts.memory is not None:
            self._refreshing = True
            await self._recall(ABOUT)

    def silent_s(self) -> float:
        """Seconds of the stream since speech was last heard."""
        return 0.0 if self.activity.speaking else (self.samples - self.activity.ended) / SAMPLE_RATE

    def _stopped(self, turn: UserTurn) -> float:
        """Say that the user's speech is over; returns how long it was, in seconds."""
        end = max(self.activity.ended, turn.start)
        self._c.emit(SpeechStopped, item=turn.item, end_ms=end * 1000 // SAMPLE_RATE)
        return (end - turn.start) / SAMPLE_RATE

    def _hear(self, index: int, pcm: Samples, turns: list[Turn]) -> tuple[tuple[float, ...], Percept]:
        """On the inference pool."""
        perf, ms = self._c.clock.perf, self.timing.ms
        began = perf()
        probabilities = self._voice.probabilities(pcm)
        heard = perf()
        for turn in turns:
            self._listener.end_turn(turn)
        percept = self._listener.hear(Chunk(index=index, pcm=pcm, speech=max(probabilities)))
        ms["vad"], ms["hear"] = (heard - began) * 1000, (perf() - heard) * 1000
        return probabilities, percept

    def _keep_floor(self) -> None:
        """Open a turn where speech has begun; while the agent speaks, keep track of overlap."""
        c, speaking = self._c, self.activity.speaking
        if speaking and self.turn is None:
            self.turn = UserTurn(c.name("item"), max(self.activity.began, self._taken_at))
            c.happen(Happening.USER_ON)
            if c.floor == Floor.USER:
                self.announce()
        elif speaking and c.floor == Floor.AGENT:
            c.happen(Happening.USER_ON)
        elif not speaking and c.floor == Floor.BOTH:
            c.happen(Happening.USER_OFF)
        elif not speaking and self.turn is not None and c.floor == Floor.AGENT and self.silent_s() > DIES_AWAY_S:
            self._let_go()
        elif self.turn is None and c.floor == Floor.NOBODY and self.percept.pause_s > DIES_AWAY_S:
            self._empty(None)  # a click or a cough, too short to be a turn: it must not begin the next one

    def _let_go(self) -> None:
        """What was said over the agent was no claim to the floor."""
        words = self.percept.transcript
        said = Said(who="user", text=words) if words else None
        if said is not None and len(words.split()) >= KEPT_WORDS:
            self._c.add(said)
        self._empty(said)

    def _empty(self, said: Said | None) -> None:
        self.tell(Turn(user=said, agent=None))
        self.turn, self._taken_at, self._refreshed = None, self.samples, 0
        self.percept = SILENCE.model_copy(update={"chunk": self.percept.chunk})
        self._watch = situations.Watch(grew_s=self.samples / SAMPLE_RATE)

    def _tell_growth(self) -> None:
        turn, stable = self.turn, self.percept.stable
        if turn is None or not turn.announced or not stable.startswith(turn.told) or stable == turn.told:
            return
        delta, turn.told = stable[len(turn.told) :], stable
        self._c.emit(TranscriptGrew, item=turn.item, delta=delta)

    def _refresh_memory(self, words: str) -> None:
        """Search memory anew where the transcript has grown; never waits."""
        count = len(words.split())
        if self._c.parts.memory is None or self._refreshing or count < self._refreshed + REFRESH_WORDS:
            return
        self._refreshed, self._refreshing = count, True
        self._c.spawn(self._recall(words))

    async def _recall(self, words: str) -> None:
        c, memory = self._c, self._c.parts.memory
        try:
            assert memory is not None
            c.facts = tuple(await c.with_memory(recall, memory, c.person, words, c.recent))
        except Exception as error:
            c.fail("the memory", error)
        finally:
            self._refreshing = False


SILENCE = Percept(
    chunk=-1,
    stable="",
    tentative="",
    confidence=None,
    emotion=None,
    event=None,
    facing=None,
    speech=0.0,
    pause_s=0.0,
    spoken_s=0.0,
    level_db=-100.0,
    states=None,
)
