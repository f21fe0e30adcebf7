"""`poise model check` on a good checkpoint and on spoilt ones."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from agent import cli
from model.opens2s import tiny


class Bomb:
    """Unpickles by running code."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("good"), seed=5)


@pytest.fixture
def copy(good, tmp_path):
    return shutil.copytree(good, tmp_path / "copy")


def run(*words):
    """What the command prints, without colours or line breaks of a terminal, and its status."""
    done = CliRunner().invoke(cli.app, ["model", "check", "--device", "cpu", *map(str, words)])
    return done.stdout, done.exit_code


def bad(text):
    return [line for line in text.splitlines() if line.startswith("BAD")]


def reshape(folder):
    path = folder / "model-00001-of-00002.safetensors"
    state = load_file(path)
    name = next(iter(state))
    save_file({**state, name: torch.ones(2, 2)}, path)
    return name


def lose_token(folder):
    path = folder / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace("<|im_tts_start|>", "<|nothing|>"), encoding="utf-8")
    return "<|im_tts_start|>"


def lose_shard(folder):
    (folder / "model-00002-of-00002.safetensors").unlink()
    return "model-00002-of-00002.safetensors"


def damage_json(folder):
    (folder / "config.json").write_text('{"a": ', encoding="utf-8")
    return "config.json is not valid JSON"


def lose_decoder(folder):
    shutil.rmtree(folder / "decoder")
    return "decoder"


def test_a_good_checkpoint_is_told_part_by_part(good):
    text, status = run(good)
    assert status == 0
    assert not bad(text)
    assert text.endswith("This checkpoint can be used.\n")
    for said in (
        "ok   loading",
        "llm_model",
        "vocoder",
        "weights in bfloat16",
        "4 text states to 8 units",
        "ours agree",
    ):
        assert said in text
    assert "loading" not in run(good, "--no-load")[0]


def test_sizes_are_those_of_the_weights(good):
    text, _ = run(good, "--no-load")
    held = sum(t.numel() for file in good.glob("model-*.safetensors") for t in load_file(file).values())
    decoder = sum(t.numel() for n in ("flow", "hift") for t in torch.load(good / "decoder" / f"{n}.pt").values())
    counts = [
        int(line.split()[1].replace(",", ""))
        for line in text.splitlines()
        if line.endswith("parameters") and line[0] == " "
    ]
    assert sum(counts) == held + decoder
    for dtype, size in (("float32", 4), ("bfloat16", 2)):
        assert f"weights in {dtype}: {(size * held + 4 * decoder) / 1e6:,.1f} MB" in text


@pytest.mark.parametrize("spoil", [reshape, lose_token, lose_shard, damage_json, lose_decoder])
def test_what_is_wrong_is_named_and_the_status_is_1(copy, spoil):
    named = spoil(copy)
    text, status = run(copy)
    assert status == 1
    assert any(named in line for line in bad(text))
    assert text.endswith("This checkpoint cannot be used as it is.\n")


def test_all_faults_are_told_at_once(copy, tmp_path):
    named = [lose_token(copy), lose_shard(copy)]
    mark = tmp_path / "mark"
    torch.save({"weight": Bomb(mark)}, copy / "decoder" / "flow.pt")
    text, status = run(copy)
    assert status == 1
    assert len(bad(text)) == 3
    assert "could run code" in text
    assert all(name in text for name in named)
    assert not mark.exists()


def test_a_hub_id_without_network_is_an_answer_not_a_traceback(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    text, status = run("nobody/no-such-checkpoint")
    assert status == 1
    assert "nobody/no-such-checkpoint" in bad(text)[0]


@pytest.mark.parametrize(
    ("template", "said"),
    [("{{ messages[0]['content'] }}", "differs"), ("{% for", "cannot be used"), (None, "none in the checkpoint")],
)
def test_another_chat_template_is_noted(copy, template, said):
    path = copy / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**settings, "chat_template": template}), encoding="utf-8")
    text, status = run(copy, "--no-load")
    assert status == 0
    assert [said in line for line in text.splitlines() if line.startswith("note chat template")] == [True]
