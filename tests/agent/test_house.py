"""What connections share: personas by name, sessions over the loaded parts, asides outside every conversation."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.clock import RealClock
from agent.config import Settings
from agent.house import House, aside_prompt, known_personas, open_house
from agent.metrics import Metrics
from agent.parts import assemble
from agent.vad import SileroVad
from policies.judge import timeout
from policies.persona import PersonaError

from .tiny_engine import TinyModel


def house(home: Path) -> House:
    settings = Settings.load(home=home, memory=False, checkpoints="memory")
    parts = assemble(settings, model=TinyModel("one two"), judge=timeout.load(), vad=SileroVad())
    return open_house(settings, parts, RealClock(), Metrics())


def test_the_configured_persona_is_among_the_known(tmp_path: Path) -> None:
    assert known_personas("Maren")[0] == "maren"
    path = tmp_path / "otto.yaml"
    path.write_text("name: Otto\nstance: a patient gardener\n")
    name, known = known_personas(str(path))
    assert known[name].stance == "a patient gardener"
    assert {"maren", "otto"} <= set(known)


def test_an_unknown_persona_ends_the_start() -> None:
    with pytest.raises(PersonaError, match="nobody"):
        known_personas("nobody")


async def test_an_aside_is_a_whole_reply_with_its_sound(tmp_path: Path) -> None:
    made = house(tmp_path)
    text, pcm = await made.aside(made.personas["maren"], "Say it gently.", "How is he?")
    assert (text, len(pcm)) == ("one two", 8_000)


def test_an_aside_sees_no_history_and_no_memory() -> None:
    persona = known_personas("sol")[1]["sol"]
    prompt = aside_prompt(persona, None, "How is he?")
    assert (prompt.history, prompt.memory, prompt.heard) == ((), (), "How is he?")
    assert prompt.stance == persona.stance
