"""The two LangGraph graphs, compiled once for all sessions, and where the turn graph keeps its checkpoints.

Their state is small: ids, numbers, short strings. Whatever lives (sound, models, tasks) is found by session id in
``Graphs.rooms``. The nodes only say what comes after what; what they do is the session's business.
"""

from __future__ import annotations

import asyncio
import importlib
import sqlite3
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal, Protocol, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from model.interface import PoiseError

Way = Literal["listen", "take_floor", "yield_floor"]
PRUNE = (
    "DELETE FROM writes WHERE thread_id = ? AND checkpoint_id < (SELECT max(checkpoint_id) FROM checkpoints "
    "WHERE thread_id = ?)",
    "DELETE FROM checkpoints WHERE thread_id = ? AND checkpoint_id < (SELECT max(checkpoint_id) FROM checkpoints "
    "WHERE thread_id = ?)",
)


class CheckpointError(PoiseError):
    """Checkpoints cannot be opened, read or written."""

    code = "checkpoint_unusable"


class ChunkState(TypedDict, total=False):
    """State of the chunk graph."""

    session: str
    chunk: int
    way: Way


class TurnState(TypedDict, total=False):
    """State of the turn graph; what of it is kept from turn to turn is ``kept``."""

    session: str
    reply: str
    kept: dict[str, Any]  # history and policy state, as JSON


class Room(Protocol):
    """What the nodes ask of a session."""

    async def hear(self, chunk: int) -> None:
        """Take in a chunk."""

    async def judge(self, chunk: int) -> None:
        """Judge the situation at its end."""

    async def decide(self, chunk: int) -> Way:
        """Decide, and say which way to go."""

    async def listen(self, chunk: int) -> None:
        """Nobody's floor changes by the agent's will."""

    async def take_floor(self, chunk: int) -> None:
        """Begin a reply."""

    async def yield_floor(self, chunk: int) -> None:
        """Cut the reply."""

    async def recall(self, reply: str) -> None:
        """Fetch what is remembered."""

    async def plan(self, reply: str) -> None:
        """Make the prompt."""

    async def speak(self, reply: str) -> None:
        """Speak until the reply has been played or cut."""

    async def remember(self, reply: str) -> dict[str, Any]:
        """Store what was heard; returns what the checkpoint must keep."""


class Graphs:
    """Both graphs and the rooms they work on."""

    def __init__(self, home: Path, checkpoints: str = "memory") -> None:
        """``checkpoints`` is "memory", "sqlite" (a file in ``home``) or a postgresql:// address."""
        self.rooms: dict[str, Room] = {}
        self.chunk = chunk_graph(self.rooms).compile()
        self._home, self._kind = home, checkpoints
        self._stack, self._opening = AsyncExitStack(), asyncio.Lock()
        self._saver: BaseCheckpointSaver[Any] | None = None
        self._turn: Any = None

    async def open(self) -> None:
        """Open the checkpoints; once is enough, more does no harm. Raises CheckpointError."""
        async with self._opening:
            if self._saver is None:
                self._saver = await _open_saver(self._kind, self._home, self._stack)
                self._turn = turn_graph(self.rooms).compile(checkpointer=self._saver)

    async def close(self) -> None:
        """Close the checkpoints."""
        self._saver = self._turn = None
        await self._stack.aclose()

    async def on_chunk(self, session: str, chunk: int) -> None:
        """Run one chunk through."""
        await self.chunk.ainvoke({"session": session, "chunk": chunk})

    async def on_turn(self, session: str, reply: str) -> None:
        """Run one turn through; leaves one checkpoint. Raises CheckpointError where it cannot be written."""
        try:
            await self._turn.ainvoke({"session": session, "reply": reply}, _thread(session), durability="exit")
            await self._prune(session)
        except sqlite3.Error as error:
            raise _unusable(error, self._home) from None

    async def save(self, session: str, kept: dict[str, Any]) -> None:
        """Write a checkpoint without a turn. Raises CheckpointError."""
        try:
            await self._turn.aupdate_state(_thread(session), {"session": session, "kept": kept}, as_node="remember")
            await self._prune(session)
        except sqlite3.Error as error:
            raise _unusable(error, self._home) from None

    async def resume(self, session: str) -> dict[str, Any] | None:
        """What the last checkpoint of a session kept; None if it has none. Raises CheckpointError."""
        try:
            snapshot = await self._turn.aget_state(_thread(session))
        except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
            raise _unusable(error, self._home) from None
        kept: dict[str, Any] | None = snapshot.values.get("kept")
        return kept

    async def forget(self, session: str) -> None:
        """Drop the checkpoints of a session."""
        if self._saver is not None:
            await self._saver.adelete_thread(session)

    async def _prune(self, session: str) -> None:
        saver: Any = self._saver
        if isinstance(saver, InMemorySaver):
            for kept in saver.storage[session].values():
                for id in sorted(kept)[:-1]:
                    del kept[id]
                    saver.writes.pop((session, "", id), None)
        elif self._kind == "sqlite":
            async with saver.lock:
                for statement in PRUNE:
                    await saver.conn.execute(statement, (session, session))
                await saver.conn.commit()
        else:
            async with saver._cursor() as cursor:
                for statement in PRUNE:
                    table = statement.replace("FROM writes", "FROM checkpoint_writes").replace("?", "%s")
                    await cursor.execute(table, (session, session))


def chunk_graph(rooms: dict[str, Room]) -> StateGraph[ChunkState]:
    """hear, judge, decide; then listen, take the floor or yield it."""

    async def hear(state: ChunkState) -> None:
        await rooms[state["session"]].hear(state["chunk"])

    async def judge(state: ChunkState) -> None:
        await rooms[state["session"]].judge(state["chunk"])

    async def decide(state: ChunkState) -> ChunkState:
        return {"way": await rooms[state["session"]].decide(state["chunk"])}

    async def listen(state: ChunkState) -> None:
        await rooms[state["session"]].listen(state["chunk"])

    async def take_floor(state: ChunkState) -> None:
        await rooms[state["session"]].take_floor(state["chunk"])

    async def yield_floor(state: ChunkState) -> None:
        await rooms[state["session"]].yield_floor(state["chunk"])

    async def way_of(state: ChunkState) -> Way:  # async, as LangGraph sends plain functions through a thread
        return state["way"]

    graph = StateGraph(ChunkState)
    for node in (hear, judge, decide, listen, take_floor, yield_floor):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "hear")
    graph.add_edge("hear", "judge")
    graph.add_edge("judge", "decide")
    ways = ["listen", "take_floor", "yield_floor"]
    graph.add_conditional_edges("decide", way_of, ways)
    for way in ways:
        graph.add_edge(way, END)
    return graph


def turn_graph(rooms: dict[str, Room]) -> StateGraph[TurnState]:
    """recall, plan, speak, remember."""

    async def recall(state: TurnState) -> None:
        await rooms[state["session"]].recall(state["reply"])

    async def plan(state: TurnState) -> None:
        await rooms[state["session"]].plan(state["reply"])

    async def speak(state: TurnState) -> None:
        await rooms[state["session"]].speak(state["reply"])

    async def remember(state: TurnState) -> TurnState:
        return {"kept": await rooms[state["session"]].remember(state["reply"])}

    graph = StateGraph(TurnState)
    before = START
    for node in (recall, plan, speak, remember):
        graph.add_node(node.__name__, node)
        graph.add_edge(before, node.__name__)
        before = node.__name__
    graph.add_edge(before, END)
    return graph


def _thread(session: str) -> RunnableConfig:
    return {"configurable": {"thread_id": session}}


async def _open_saver(kind: str, home: Path, stack: AsyncExitStack) -> BaseCheckpointSaver[Any]:
    if kind == "memory":
        return InMemorySaver()
    if kind.startswith(("postgres://", "postgresql://")):
        return await _open_postgres(kind, stack)
    if kind != "sqlite":
        raise CheckpointError(
            f"Checkpoints cannot be kept in {kind!r}.", "Set POISE_CHECKPOINTS to sqlite, memory or postgresql://..."
        )
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    try:
        home.mkdir(parents=True, exist_ok=True)
        saver = await stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(home / "checkpoints.sqlite")))
        await saver.setup()
        await saver.conn.execute("PRAGMA synchronous=NORMAL")
    except (sqlite3.Error, OSError) as error:
        await stack.aclose()
        raise _unusable(error, home) from None
    return saver


async def _open_postgres(address: str, stack: AsyncExitStack) -> BaseCheckpointSaver[Any]:
    try:
        postgres = importlib.import_module("langgraph.checkpoint.postgres.aio")
    except ImportError:
        raise CheckpointError(
            "Checkpoints in PostgreSQL need a package that is not installed.", "pip install 'poise-s2s[postgres]'"
        ) from None
    try:
        saver = await stack.enter_async_context(postgres.AsyncPostgresSaver.from_conn_string(address))
        await saver.setup()
    except Exception as error:  # psycopg's own tree, not importable without the extra
        reason = type(error).__name__
        raise CheckpointError(f"The checkpoint database cannot be opened ({reason}).", "Check the address.") from None
    opened: BaseCheckpointSaver[Any] = saver
    return opened


def _unusable(error: Exception, home: Path) -> CheckpointError:
    file = home / "checkpoints.sqlite"
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return CheckpointError(
        f"The checkpoints in {file} cannot be used: {reason}.", "Free the disk, or move that file away to begin anew."
    )
