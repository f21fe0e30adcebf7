"""The command line: help without heavy packages, errors in one line and a status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def poise(*words: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does, from the checkout."""
    surroundings = {**os.environ, "POISE_HOME": str(home), "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "agent.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, env=surroundings, timeout=120, check=False)


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys, agent.cli; print([m for m in ('torch', 'chromadb', 'langgraph') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("demo", "--wav", "nowhere.wav"), "nowhere.wav"),
        (("serve", "--port", "99999"), "'port'"),
        (("serve", "--host", "0.0.0.0"), "token"),
        (("replay", "nowhere.jsonl", "--judge", "rules"), "nowhere.jsonl"),
        (("replay", "nowhere.jsonl", "--judge", "tarot"), "tarot"),
    ],
)
def test_bad_input_is_one_line_and_a_status(tmp_path: Path, words: tuple[str, ...], named: str) -> None:
    done = poise(*words, home=tmp_path)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("poise: ")]
    assert len(lines) == 1
    assert named in lines[0]
    assert "Traceback" not in done.stderr


def test_a_second_run_remembers_until_it_is_told_to_forget(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from memory import embed
    from memory.store import MemoryStore

    with MemoryStore(tmp_path / "memory", embed.load(), now=lambda: datetime(2026, 1, 1, tzinfo=UTC)) as store:
        store.remember("anna", ["The user's dog is called Benno."], session="one")
    assert "Benno" in poise("memory", "list", "anna", home=tmp_path).stdout
    assert poise("memory", "forget", "anna", home=tmp_path).stdout.startswith("1 ")
    assert "Benno" not in poise("memory", "list", "anna", home=tmp_path).stdout
