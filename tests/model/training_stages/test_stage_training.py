"""Each stage: its loss falls, only what it says changes, and its folder is a checkpoint again."""

import pytest
import torch
from safetensors.torch import load_file

from model.opens2s import check, loading
from model.training.stages import stage
from model.training.stages.empathy import Empathy
from model.training.stages.examples import StageError
from model.training.stages.generation import Generation, States, Words
from model.training.stages.understanding import Understanding
from tests.model.training_stages import toy

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # matplotlib's, about its font cache
ADDED = ("llm_model.model.embed_tokens.weight", "llm_model.lm_head.weight")
DECODER = ("tts_lm_model.",)
STAGES = {
    "understanding": (Understanding(plan=toy.FAST.model_copy(update={"rate": 0.03, "steps": 20})), ("audio_adapter.",)),
    "generation": (
        Generation(words=Words(plan=toy.FAST), states=States(plan=toy.FAST)),
        ("llm2tts.", "llm_ln.", *DECODER),
    ),
    "empathy": (
        Empathy(plan=toy.FAST),
        ("audio_adapter.", "llm_model.", "llm2tts.", "llm_ln.", *DECODER),
    ),
}


def weights(folder):
    found = {}
    for file in folder.glob("model*.safetensors"):
        found |= load_file(file)
    return found


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_learns_changes_what_it_says_and_writes_a_checkpoint(tmp_path, name):
    course, trained = STAGES[name]
    source = toy.checkpoint(tmp_path / "model")
    data = toy.write(toy.spoken(tmp_path / "data"), tmp_path / "data" / "rows.jsonl")
    said = []
    summaries = stage.run(course, name, source, [data], tmp_path / "out", tell=said.append)
    for summary in summaries:
        learnt = "units" if "units" in summary.last else "text"
        assert summary.last[learnt] < 0.97 * summary.first[learnt], summary.line()
        assert all(nats < summary.first[part] for part, nats in summary.last.items()), summary.line()
    assert said == [summary.line() for summary in summaries]
    before, after = weights(source), weights(tmp_path / "out")
    assert before.keys() == after.keys()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    may = {key for key in before if key.startswith(trained)}
    if name != "empathy":
        rows = set(stage.added_tokens(loading.read(source).tokens))
        for key in ADDED:
            different = (before[key] != after[key]).any(1).nonzero()[:, 0].tolist()
            assert different
            assert set(different) <= rows
        may |= set(ADDED)
    assert changed <= may
    assert may == changed
    report = check.check(tmp_path / "out", device="cpu")
    assert report.usable, check.show(report)


def test_a_ratio_that_nobody_gives_is_not_made_up(tmp_path):
    source = toy.checkpoint(tmp_path / "model")
    path = source / "config.json"
    path.write_text(path.read_text().replace('"interleave_strategy": "4:8"', '"other": 1'))
    data = toy.write(toy.spoken(tmp_path / "data"), tmp_path / "data" / "rows.jsonl")
    course = Understanding(plan=toy.FAST.model_copy(update={"steps": 1}))
    with pytest.raises(StageError, match="no interleave_strategy"):
        stage.run(course, "understanding", source, [data], tmp_path / "out")
    stage.run(course, "understanding", source, [data], tmp_path / "out", interleave="2:6", tell=lambda _: None)
    assert loading.read_config(tmp_path / "out").interleave == (2, 6)


@pytest.mark.parametrize(
    ("text", "said"),
    [("plan: {rate: fast}", "plan.rate"), ("plum: 1", "plum"), (": :", "cannot be read"), (None, "cannot be read")],
)
def test_settings_that_cannot_be_used_are_named(tmp_path, text, said):
    path = tmp_path / "settings.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StageError, match=said):
        stage.settings(Understanding, path)
