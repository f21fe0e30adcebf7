"""``poise infer`` and ``poise eval speech`` as a user calls them, with the shipped weights."""

import importlib.util
import json
from pathlib import Path

import pytest
import soundfile as sf
from typer.testing import CliRunner

from agent import cli
from model.inference.tasks import UNKNOWN
from tests.model.evaluation import corpus_folder

RECORDINGS = Path(__file__).resolve().parents[1] / "recordings"


def poise(*words):
    done = CliRunner().invoke(cli.app, [str(word) for word in words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_one_recording_and_several_tasks_as_json_lines():
    done = poise("infer", RECORDINGS / "plain.flac", "--task", "transcribe", "--task", "age", "--json")
    words, age = (json.loads(line) for line in done.stdout.splitlines())
    assert words["task"] == "transcribe"
    assert words["text"]
    assert (age["text"], age["probabilities"]) == (UNKNOWN, {UNKNOWN: 1.0})


def test_speech_is_written_where_it_is_wanted(tmp_path):
    text = tmp_path / "words.txt"
    text.write_text("Good morning to you.")
    done = poise("infer", text, "--task", "speak", "--delivery", "calm", "--out", tmp_path / "said")
    samples, rate = sf.read(tmp_path / "said" / "words-speak.wav")
    assert rate == 16_000
    assert len(samples) > 8_000
    assert "words-speak.wav" in done.stdout


def test_a_list_is_answered_and_what_fails_is_told(tmp_path):
    listing, out = tmp_path / "list.jsonl", tmp_path / "answers.jsonl"
    rows = [{"key": "a", "wav": str(RECORDINGS / "plain.flac")}, {"key": "b", "wav": "gone.wav"}]
    listing.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{\n")
    done = poise("infer", "--batch", listing, "--task", "transcribe", "--task", "gender", "--out", out)
    first, second = (json.loads(line) for line in out.read_text().splitlines())
    assert [answer["task"] for answer in first["answers"]] == ["transcribe", "gender"]
    assert "gone.wav" in second["error"]
    assert "1 answered (0 by an earlier run), 2 failed" in done.stdout


def test_a_corpus_is_measured(tmp_path):
    rows = {"a": {"text": "hello", "emotion": "sad", "gender": "f", "data": (RECORDINGS / "plain.flac").read_bytes()}}
    folder = corpus_folder.write(tmp_path / "mine", rows)
    done = poise("eval", "speech", "--corpus", folder, "--split", "dev", "--out", tmp_path / "figures.json")
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures == json.loads((tmp_path / "figures.json").read_text())
    assert (figures["corpus"], figures["engine"], figures["clips"]) == ("mine", "nano", 1)
    assert figures["pocketsphinx"]["wer"]["items"] == 1
    assert figures["labels"]["gender"]["not_answered"] == 1
    assert "| nano |" in done.stdout


@pytest.mark.slow
def test_replies_are_measured(tmp_path):
    block = "@ tags=x\nu: sad | I lost my {} keys.\na: gentle | Oh no. Where were your {} keys?\n\n"
    (tmp_path / "a.exchanges").write_text("".join(block.format(n, n) for n in "abcdefghij" * 8))
    done = poise("eval", "speech", "--replies", 2, "--exchanges", tmp_path)
    figures = json.loads(done.stdout.splitlines()[-1])["replies"]
    assert figures["text"]["clean"]["empty"] == 0
    assert figures["speech"]["lines"] == 2
    assert figures["speech"]["delivery_control"]["nano"]["sounds"] == 16
    assert figures["judge"] is None


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("infer", "nowhere.wav"), "nowhere.wav"),
        (("infer", "nowhere.txt", "--task", "speak"), "nowhere.txt"),
        (("infer", "x.wav", "--task", "sing"), "'sing'"),
        (("infer", "--task", "transcribe"), "needs a recording"),
        (("infer", "--text", "hi", "--task", "speak", "--engine", "cascade"), "'cascade'"),
        (("infer", "--text", "hi", "--task", "speak", "--engine", "opens2s"), "needs a checkpoint"),
        (("infer", "--batch", "nowhere.jsonl"), "nowhere.jsonl"),
        (("eval", "speech", "--corpus", "nowhere", "--no-baseline"), "metadata.jsonl is not there"),
    ],
)
def test_what_is_wrong_is_said(words, wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match=wrong) as caught:
        poise(*words)
    assert caught.value.mend


@pytest.mark.parametrize("words", [("eval", "speech"), ("eval", "speech", "--replies", "3")])
def test_what_is_missing_is_said(words):
    done = poise(*words)
    assert done.exit_code == 2


@pytest.mark.skipif(importlib.util.find_spec("gradio") is not None, reason="Gradio is installed")
def test_the_page_says_what_to_install():
    with pytest.raises(Exception, match=r"poise-s2s\[page\]"):
        poise("infer", "--page")
