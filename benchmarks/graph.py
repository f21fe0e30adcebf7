"""What LangGraph itself costs per chunk: the compiled chunk graph against the same steps in a plain loop.

The nodes do nothing, so all that is measured is the way from one to the next. It knows no model and no session.
Run: python -m benchmarks.graph [chunks]
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agent.clock import RealClock
from agent.graph import Graphs

GOAL_MS = 3.0  # DESIGN.md section 3


class Nothing:
    """A room in which nothing happens."""

    async def decide(self, chunk: int) -> str:
        """Always the same way."""
        return "listen"

    async def hear(self, chunk: int) -> None:
        """Nothing."""

    judge = listen = hear


async def plain(room: Nothing, chunk: int) -> None:
    """The chunk graph's way, written out."""
    await room.hear(chunk)
    await room.judge(chunk)
    if await room.decide(chunk) == "listen":
        await room.listen(chunk)


async def timed(step: Callable[[int], Awaitable[None]], chunks: int) -> list[float]:
    """Milliseconds of each step."""
    clock, costs = RealClock(), []
    for chunk in range(chunks):
        began = clock.perf()
        await step(chunk)
        costs.append((clock.perf() - began) * 1000)
    return costs


async def measure(chunks: int) -> dict[str, Any]:
    """Both ways, after a few runs to warm up. On a busy machine only the CPU time says anything."""
    graphs, room = Graphs(Path()), Nothing()
    graphs.rooms["s"] = room  # type: ignore[assignment]
    await timed(lambda n: graphs.on_chunk("s", n), 50)
    used = time.process_time()
    graph = await timed(lambda n: graphs.on_chunk("s", n), chunks)
    used = (time.process_time() - used) / chunks * 1000
    loop = await timed(lambda n: plain(room, n), chunks)
    p50, p95 = statistics.median(graph), statistics.quantiles(graph, n=20)[-1]
    base = statistics.median(loop)
    return {
        "chunks": chunks,
        "graph_p50_ms": round(p50, 3),
        "graph_p95_ms": round(p95, 3),
        "graph_cpu_ms": round(used, 3),
        "plain_p50_ms": round(base, 4),
        "ratio": round(p50 / base, 1),
        "goal_ms": GOAL_MS,
    }


def main() -> None:
    """Print a line to read, and as the last line JSON."""
    found = asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
    sys.stdout.write(
        f"LangGraph per chunk: {found['graph_p50_ms']} ms (p95 {found['graph_p95_ms']}), of which "
        f"{found['graph_cpu_ms']} ms of this process's CPU; "
        f"plain loop {found['plain_p50_ms']} ms, ratio {found['ratio']}; goal {GOAL_MS} ms\n{json.dumps(found)}\n"
    )


if __name__ == "__main__":
    main()
