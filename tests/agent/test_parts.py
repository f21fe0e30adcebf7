"""Parts are found by name; a name that is none is told with those there are."""

import sys
import types
from pathlib import Path

import pytest

from agent import parts
from agent.config import Settings
from agent.parts import UnknownPartError
from policies.judge import tuned
from tests.agent.tiny_engine import TinyModel


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("tiny_engine_of_a_test")
    module.load = TinyModel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(parts.ENGINES, "tiny", f"{module.__name__}:load")
    monkeypatch.setitem(parts.ENGINES, "broken", "no_such_module:load")


@pytest.mark.usefixtures("tiny")
async def test_parts_are_built_by_name(tmp_path: Path):
    built = parts.build(Settings(home=tmp_path, engine="tiny", judge="rules", memory=False, checkpoints="memory"))
    assert (built.model.spec.name, built.judge.name, built.memory) == ("tiny", "rules", None)
    assert len(built.vad.open().probabilities(__import__("numpy").zeros(2560, "float32"))) == 5
    await built.close()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"engine": "diesel"}, "nano"),
        ({"judge": "judy", "engine": "tiny"}, "rules"),
        ({"engine": "broken"}, "no_such_module"),
    ],
)
def test_an_unknown_name_is_told_with_those_there_are(tmp_path: Path, given: dict[str, str], told: str):
    with pytest.raises(UnknownPartError) as caught:
        parts.build(Settings(home=tmp_path, memory=False, **given))  # type: ignore[arg-type]
    assert told in str(caught.value)


def test_a_judge_may_be_a_file_of_weights(tmp_path: Path):
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(tuned.WEIGHTS.read_bytes())
    assert parts.load_judge(Settings(home=tmp_path, judge=str(mine))).name == "tuned"
    mine.write_bytes(b"no weights")
    with pytest.raises(tuned.WeightsError, match=r"mine\.safetensors are missing or damaged"):
        parts.load_judge(Settings(home=tmp_path, judge=str(mine)))
