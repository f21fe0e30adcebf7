"""Counts and times of a running server, as Prometheus text.

It is fed with the same events as every projection, plus what the doors see (frames, refusals, closes). It
holds numbers only, never words or ids of people, and knows of no socket.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque

from agent.events import ChunkJudged, Event, Failed, MemoryRecalled, MemoryWritten, ReplyDone, TurnTimed

BUCKETS = (0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.12, 0.16, 0.25, 0.5, 0.9, 1.5, 3.0)  # seconds
LATE_MS = 160.0
WINDOW = 1_024  # chunks over which quantiles are taken


class Histogram:
    """A Prometheus histogram over :data:`BUCKETS`."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one time."""
        self._counts[bisect_left(BUCKETS, seconds)] += 1
        self._sum += seconds

    def lines(self, name: str, label: str = "") -> list[str]:
        """The exposition lines; ``label`` like ``stage="hear"``."""
        comma, total, out = f"{label}," if label else "", 0, []
        for bound, count in zip((*BUCKETS, "+Inf"), self._counts, strict=True):
            total += count
            out.append(f'{name}_bucket{{{comma}le="{bound}"}} {total}')
        braces = f"{{{label}}}" if label else ""
        return [*out, f"{name}_sum{braces} {self._sum:.6f}", f"{name}_count{braces} {total}"]


class Metrics:
    """All numbers of one process."""

    def __init__(self) -> None:
        self.sessions = 0
        self.counters: Counter[tuple[str, str]] = Counter()
        self._histograms: dict[tuple[str, str], Histogram] = {}
        self._judged: deque[float] = deque(maxlen=WINDOW)

    def count(self, name: str, label: str = "", by: int = 1) -> None:
        """Raise a counter."""
        self.counters[name, label] += by

    def time(self, name: str, seconds: float, label: str = "") -> None:
        """Add a time to a histogram."""
        self._histograms.setdefault((name, label), Histogram()).add(seconds)

    def see(self, event: Event) -> None:
        """Take what an event of a session has to say."""
        match event:
            case ChunkJudged():
                self._chunk(event)
            case TurnTimed():
                self._turn(event)
            case ReplyDone():
                self.count("poise_replies_total", f'status="{event.status}"')
            case Failed():
                self.count("poise_errors_total", f'type="{event.code}"')
            case MemoryRecalled() | MemoryWritten():
                op = "recall" if isinstance(event, MemoryRecalled) else "write"
                self.count("poise_memory_facts_total", f'op="{op}"', len(event.texts))

    def _chunk(self, event: ChunkJudged) -> None:
        late = event.stage_ms.get("late", 0.0)
        self.count("poise_chunks_judged_total")
        self.count("poise_chunks_late_total", by=int(late > LATE_MS))
        self.count("poise_decisions_total", f'action="{event.decision.action}",move="{event.decision.move}"')
        self.time("poise_chunk_lateness_seconds", late / 1000)
        stages = {stage: ms for stage, ms in event.stage_ms.items() if stage != "late"}
        for stage, ms in stages.items():
            self.time("poise_chunk_seconds", ms / 1000, f'stage="{stage}"')
        self._judged.append(late)

    def _turn(self, event: TurnTimed) -> None:
        if event.user_stopped_ms is not None and event.first_audio_ms is not None:
            whole = (event.first_audio_ms - event.user_stopped_ms) / 1000
            self.time("poise_first_audio_seconds", max(0.0, whole), 'part="all"')
            if event.decided_ms is not None:
                wait = (event.decided_ms - event.user_stopped_ms) / 1000
                self.time("poise_first_audio_seconds", max(0.0, wait), 'part="wait"')
                self.time("poise_first_audio_seconds", max(0.0, whole - wait), 'part="speak"')
        if event.barge_in_ms is not None and event.silent_ms is not None:
            self.time("poise_barge_in_seconds", max(0.0, event.silent_ms - event.barge_in_ms) / 1000)

    def quantile(self, share: float) -> float:
        """Time from a chunk's arrival to its decision, ms, over the last chunks; 0 when there is none."""
        ordered = sorted(self._judged)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    def text(self, version: str) -> str:
        """The whole exposition."""
        lines = [f'poise_build_info{{version="{version}"}} 1', f"poise_sessions {self.sessions}"]
        for share in (0.5, 0.95, 0.99):
            lines.append(f'poise_judgement_ms{{quantile="{share}"}} {self.quantile(share):.2f}')
        for (name, label), value in sorted(self.counters.items()):
            lines.append(f"{name}{{{label}}} {value}" if label else f"{name} {value}")
        for (name, label), histogram in sorted(self._histograms.items(), key=lambda pair: pair[0]):
            lines += histogram.lines(name, label)
        return "\n".join(lines) + "\n"
