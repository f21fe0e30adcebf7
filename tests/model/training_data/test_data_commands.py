"""`poise data convert` and `poise data build` as they are called, and the page that shows them."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from agent.cli import app
from model.training.data.build_config import BuildConfig, WriterConfig
from model.training.data.build_writer import LocalChat, WriterError
from model.training.data.filters import Rules, read_rules
from model.training.data.item import DataError
from model.training.data.mixing import read_mix
from tests.model.training_data.data_parts import dialogue, jsonl, raw_row, rows_of, tone

DOCS = Path(__file__).parents[3] / "docs" / "data.md"


def run(*words: object) -> str:
    result = CliRunner().invoke(app, ["data", *map(str, words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_convert_prints_and_reports_what_was_lost(tmp_path: Path) -> None:
    tone(tmp_path / "w.wav", 1.0)
    rows = [raw_row("w.wav"), raw_row("gone.wav", key="gone"), raw_row("w.wav", key="few", txt="word " * 300)]
    rows[0]["extra"]["speech_token"] = list(range(20))
    source = jsonl(tmp_path / "list.jsonl", rows)
    rules = tmp_path / "rules.yaml"
    rules.write_text("max_tokens: 100\n")
    report = tmp_path / "report.json"
    shown = run("convert", source, tmp_path / "out.jsonl", "--to", "messages", "--rules", rules, "--report", report)
    assert "1 kept, 2 lost" in shown
    assert "audio is missing: gone" in shown
    assert json.loads(report.read_text())["lost"]["text is too long"] == {"few": "300 of 100 tokens"}
    assert len(rows_of(tmp_path / "out.jsonl")) == 1


def test_convert_expands_dialogues(tmp_path: Path) -> None:
    from model.training.data import formats
    from model.training.data.counts import Counts

    formats.write([dialogue(tmp_path / "s")], tmp_path / "in.jsonl", "messages", Counts())
    assert "3 kept" in run("convert", tmp_path / "in.jsonl", tmp_path / "out", "--to", "shard", "--expand")


def test_errors_are_typed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no form 'parquet'"):
        run("convert", jsonl(tmp_path / "a.jsonl", [raw_row("w.wav")]), tmp_path / "b", "--to", "parquet")
    (tmp_path / "rules.yaml").write_text("max_tokns: 3\n")
    with pytest.raises(DataError, match="max_tokns"):
        read_rules(tmp_path / "rules.yaml")


def test_what_the_page_shows_is_valid(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    mix, rules, build = (yaml.safe_load(block) for block in blocks)
    BuildConfig.model_validate(build)
    Rules.model_validate(rules)
    (tmp_path / "mix.yaml").write_text(yaml.safe_dump(mix))
    assert read_mix(tmp_path / "mix.yaml")


@pytest.mark.skipif(not (shutil.which("espeak-ng") and shutil.which("flite")), reason="no speech engines")
def test_build_as_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "two.exchanges").write_text("@ tags=a\nu: sad | Hello.\na: warm | Hello, you.\n")
    voice = {"engine": "espeak", "name": "f3", "licence": "CC0"}
    plain = {"name": "two", "texts": [{"kind": "exchanges", "path": "two.exchanges", "licence": "CC0"}],
             "users": [voice], "agent": voice, "gates": {"recogniser": "none"}}  # fmt: skip
    (tmp_path / "build.yaml").write_text(yaml.safe_dump(plain))
    shown = run("build", tmp_path / "build.yaml", "--out", tmp_path / "out", "--processes", "1")
    assert "1 kept, 0 lost" in shown
    assert (tmp_path / "out/listen.html").is_file()


@pytest.mark.slow
def test_a_chat_model_of_ones_own(tmp_path: Path) -> None:
    """A tiny random model says nothing of use, but it says the same again for the same seed."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate(["[UNK]", "[EOS]", "user", "system", "said", "tea", "yes"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", eos_token="[EOS]")
    fast.chat_template = "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}"
    fast.save_pretrained(tmp_path)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=7, eos_token_id=1, pad_token_id=1, **sizes)).save_pretrained(tmp_path)
    chat = LocalChat(WriterConfig(local=str(tmp_path)))
    once = chat.write("system", "tea", 1)
    assert chat.write("system", "tea", 1) == once
    assert any(chat.write("system", "tea", seed) != once for seed in range(2, 5))
    with pytest.raises(WriterError, match="cannot be loaded"):
        LocalChat(WriterConfig(local=str(tmp_path / "nothing")))
