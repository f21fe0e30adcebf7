"""The trace of a session: JSON lines of every event, enough to replay every decision to the bit.

The writer buffers and writes at turn ends, so it never holds the loop up for long; sound is not kept. The replay
knows only a judge and the policy. Neither knows sessions, engines or sockets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from agent.events import AudioSent, ChunkJudged, Event, ReplyDone, ReplyPiece
from model.interface import PoiseError
from policies import policy
from policies.situation import Decision, Judge, Judgement, PolicyState, Situation

FORMAT = 1
BUFFER = 64_000  # characters
SHARED = ("persona", "memory", "history")  # of a situation; left out of a line where unchanged
VERSIONS = ("poise-s2s", "numpy", "torch", "langgraph", "onnxruntime", "transformers", "pydantic")


class TraceError(PoiseError):
    """A trace cannot be written or read."""

    code = "trace_unusable"


class TraceWriter:
    """Appends to one file; events come from the event loop only."""

    def __init__(self, folder: Path, session: str, **header: Any) -> None:
        """Raises TraceError if the folder cannot be written to."""
        self.path = Path(folder) / f"{session}.jsonl"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] | None = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise TraceError(
                f"The trace {self.path} cannot be written: {error.strerror}.",
                "Set POISE_HOME to a folder of yours, or POISE_TRACE=false.",
            ) from None
        self._lines: list[str] = []
        self._size = 0
        self._shared: dict[str, Any] = {}
        self._put({"kind": "header", "format": FORMAT, "session": session, "versions": _versions(), **header})

    def begin(self, **about: Any) -> None:
        """Take down whose session this is."""
        self._put({"kind": "Session", **about})

    def write(self, event: Event) -> None:
        """Take an event down."""
        if isinstance(event, ChunkJudged):
            self._put_chunk(event)
        elif isinstance(event, AudioSent):
            self._put({**_dumped(event, exclude={"pcm"}), "samples": len(event.pcm)})  # type: ignore[arg-type]
        elif isinstance(event, ReplyPiece):
            self._put({**_dumped(event, exclude={"piece": {"pcm"}}), "samples": len(event.piece.pcm)})
        else:
            self._put(_dumped(event))
        if isinstance(event, ReplyDone) or self._size > BUFFER:
            self.flush()

    def state(self, state: PolicyState) -> None:
        """Take down a policy state that did not come about by deciding."""
        self._put({"kind": "PolicyState", **state.model_dump(mode="json")})

    def flush(self) -> None:
        """Write what waits. A full disk ends the trace, not the session."""
        if self._file is None:
            return
        try:
            self._file.write("".join(self._lines))
            self._file.flush()
        except OSError:
            self._file = None
        self._lines, self._size = [], 0

    def close(self) -> None:
        """Write what waits and close the file."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _put_chunk(self, event: ChunkJudged) -> None:
        shared = {name: getattr(event.situation, name) for name in SHARED}
        same = {
            n for n in SHARED if n in self._shared and (self._shared[n] is shared[n] or self._shared[n] == shared[n])
        }
        self._shared = shared
        self._put(_dumped(event, exclude={"situation": same}))

    def _put(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"
        self._lines.append(text)
        self._size += len(text)


@dataclass(frozen=True)
class Report:
    """What a replay has found."""

    chunks: int
    same: int
    first_difference: str  # "" if there is none
    header: dict[str, Any]

    @property
    def is_exact(self) -> bool:
        """Whether every decision came out the same."""
        return self.same == self.chunks


def read(path: Path | str) -> Iterator[dict[str, Any]]:
    """The lines of a trace, with what chunks share filled in. Raises TraceError."""
    shared: dict[str, Any] = {}
    try:
        with Path(path).open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                line = _parsed(text, path, number)
                if line["kind"] == "ChunkJudged":
                    shared |= {name: line["situation"][name] for name in SHARED if name in line["situation"]}
                    line["situation"] = {**line["situation"], **shared}
                yield line
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"The trace {path} cannot be read ({type(error).__name__}).", "Check the path.") from None


def replay(path: Path | str, judge: Judge) -> Report:
    """Judge and decide every chunk of a trace again, and compare to the bit. Raises TraceError."""
    state, header, chunks, same, difference = PolicyState(), {}, 0, 0, ""
    for number, line in enumerate(read(path), 1):
        try:
            if line["kind"] == "header":
                state, header = PolicyState(), line
            elif line["kind"] == "PolicyState":
                state = PolicyState(**{k: v for k, v in line.items() if k != "kind"})
            elif line["kind"] == "ChunkJudged":
                found, state = _again(line, judge, state)
                chunks, same = chunks + 1, same + (not found)
                difference = difference or found
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(path, number, error) from None
    if not header:
        raise TraceError(f"{path} is no trace: it has no header.", "Give a file of POISE_HOME/traces.")
    return Report(chunks, same, difference, header)


def _again(line: dict[str, Any], judge: Judge, state: PolicyState) -> tuple[str, PolicyState]:
    """How a chunk now differs from what was recorded ("" if it does not), and the state after it."""
    situation = Situation.model_validate(line["situation"])
    then, decided = Judgement.model_validate(line["judgement"]), Decision.model_validate(line["decision"])
    judgement = judge.judge(situation)
    decision, after = policy.decide(judgement, situation, state)
    if decision == decided and judgement.p == then.p:
        return "", after
    return (
        f"Chunk {decided.chunk}: was {decided.action}/{decided.move} with {then.p}, "
        f"is now {decision.action}/{decision.move} with {judgement.p}."
    ), after


def _parsed(text: str, path: Path | str, number: int) -> dict[str, Any]:
    try:
        line = json.loads(text)
        if not isinstance(line["kind"], str) or not isinstance(line.get("situation", {}), dict):
            raise TypeError("kind")
        if line["kind"] == "ChunkJudged":
            line["situation"], line["judgement"], line["decision"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, number, error) from None
    return dict(line)


def _damaged(path: Path | str, number: int, error: Exception) -> TraceError:
    return TraceError(
        f"Line {number} of {path} is damaged ({type(error).__name__}).", "Take that line out, or record anew."
    )


def _dumped(event: Event, exclude: Any = None) -> dict[str, Any]:
    return {"kind": type(event).__name__, **event.model_dump(mode="json", exclude=exclude)}


def _versions() -> dict[str, str]:
    found = {}
    for name in VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
