"""The user's page: its snippet runs, and its figures follow from the published sizes."""

import json
import re
from pathlib import Path

from model.opens2s.check import Report
from model.opens2s.config import OpenS2SConfig
from model.opens2s.omnispeech import OmniSpeech
from model.opens2s.shards import Weightless
from tests.parity.cases import HERE

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "opens2s.md").read_text(encoding="utf-8")


def test_the_snippet_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(snippet, {})
    said = capsys.readouterr().out
    assert "This checkpoint can be used." in said
    assert said.endswith("(4, 8)\n")


def test_the_memory_is_that_of_the_published_sizes():
    folder = HERE / "state_dicts"
    sizes = json.loads((folder / "omnispeech.config.json").read_text(encoding="utf-8"))
    with Weightless():
        model = OmniSpeech(OpenS2SConfig.from_dict(sizes))
    decoder = {
        part: sum(_values(line) for line in (folder / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:])
        for part, name in (("flow", "flow"), ("vocoder", "hift"))
    }
    report = Report(findings=(), parameters={"model": sum(p.numel() for p in model.parameters()), **decoder})
    assert f"| bfloat16, float16 | {report.memory('bfloat16') / 1e9:.1f} GB |" in PAGE
    assert f"| float32 | {report.memory('float32') / 1e9:.1f} GB |" in PAGE


def _values(line):
    total = 1
    for size in line.split("\t")[1].split(","):
        total *= int(size or 1)
    return total
