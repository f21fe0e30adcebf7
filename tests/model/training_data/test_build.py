"""From texts to spoken exchanges: resumable, checked, with reasons, a card and a page."""

import html.parser
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from model.training.data import sounds
from model.training.data.build_config import BuildConfig, BuildError, check, load
from model.training.data.journal import Journal
from tests.model.training_data.build_parts import HERE, built, needs_engines, quick


class AudioTags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "audio":
            self.sources += [value or "" for name, value in attrs if name == "src"]


@needs_engines
@pytest.mark.slow
def test_the_toy_build(tmp_path: Path) -> None:
    items, counts = built(HERE / "toy.yaml", tmp_path, processes=2)
    assert counts.kept == len(items)
    assert len(items) >= 10
    assert {item.licence for item in items.values()} == {"Apache-2.0 (with parts under CC0)"}
    assert counts.lost["duplicate"] == {"toy-0005": "of toy-0004"}
    child = items["toy-0003"]
    assert (child.user.labels.age, child.history[0].user.labels.emotion) == ("child", "afraid")
    assert child.agent.emotion == "cheerful"
    for item in items.values():
        assert item.agent.audio
        assert 0.3 < sounds.seconds(item.agent.audio) < 20
        assert len(sounds.load_16k(item.user.clips[0])) > 4_000
    assert any(item.system.startswith("You are ") for item in items.values())
    page = AudioTags()
    page.feed((tmp_path / "listen.html").read_text())
    assert page.sources
    assert all((tmp_path / source).is_file() for source in page.sources)
    card = (tmp_path / "card.md").read_text()
    assert "edits a word" in card
    assert f"{len(items)} spoken exchanges" in card
    assert "| duplicate | 1 |" in card


@pytest.mark.parametrize("form", ["messages", "raw", "shard", "combine"])
def test_output_in_every_form(form: str, tmp_path: Path) -> None:
    items, counts = built(quick(tmp_path, form=form), tmp_path / "out")
    assert sorted(items) == [
        "toy-0001",
        "toy-0002",
        "toy-0003",
        "toy-0004",
        "toy-0006",
        "toy-0007",
        "toy-0008",
        "toy-0009",
        "toy-0010",
    ]
    assert counts.kept == 9
    one = items["toy-0003"]
    assert one.user.text == "It starts with a boat and a very loud bird."
    assert len(one.history) == 1
    assert one.agent.audio
    assert sounds.seconds(one.agent.audio) > 1.0
    assert (one.licence, one.source) == ("Apache-2.0 (with parts under CC0)", "toy")


def test_a_killed_build_goes_on(tmp_path: Path) -> None:
    path = quick(tmp_path)
    whole, _ = built(path, tmp_path / "whole")
    out = tmp_path / "out"
    built(path, out)
    journal = out / "journal/takes.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:5]) + lines[5][:20])  # killed in the middle of a line
    kept = sorted((out / "audio").rglob("*.flac"))
    before = {path: path.stat().st_mtime_ns for path in kept}
    (out / "data.jsonl").unlink()
    again, _ = built(path, out)
    assert list(again) == list(whole)
    assert len(journal.read_bytes().splitlines()) == len(lines)
    assert sum(path.stat().st_mtime_ns == before[path] for path in kept) == 5, "what was there is not made again"

    before = {path: path.stat().st_mtime_ns for path in kept}
    text = path.with_name("toy.exchanges")
    text.write_text(text.read_text().replace("Lisbon", "Porto"))
    built(path, out)
    assert sum(path.stat().st_mtime_ns != before[path] for path in kept) == 2, "only what has changed is made again"


def test_a_torn_journal_line_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.add("a", "x", {"n": 1})
        journal.add("b", "x", {"n": 2})
    path.write_bytes(path.read_bytes()[:-4])
    with Journal(path) as journal:
        assert journal.get("a", "x") == {"n": 1}
        assert journal.get("a", "y") is None
        assert journal.get("b", "x") is None
        journal.add("b", "x", {"n": 3})
    assert [json.loads(line)["result"]["n"] for line in path.read_text().splitlines()] == [1, 3]


def test_what_is_refused_is_kept_with_its_reason(tmp_path: Path) -> None:
    path = quick(tmp_path)
    text = path.with_name("toy.exchanges")
    text.write_text(text.read_text() + "\n@ tags=x\nu: sad | This is unspeakable.\na: calm | Is it?\n")
    plain = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(plain | {"gates": {"recogniser": "none", "max_seconds": 5.0}}))
    items, counts = built(path, tmp_path / "out")
    rows = {row["key"]: row for row in map(json.loads, (tmp_path / "out/rejected.jsonl").read_text().splitlines())}
    assert rows["toy-0005"]["reasons"] == ["duplicate"]
    assert rows["toy-0011"]["reasons"] == ["engine failed"]
    assert "cannot say this" not in items
    long = [key for key, row in rows.items() if row["reasons"] == ["too long"]]
    assert long
    assert all((tmp_path / "out" / rows[key]["audio"][0]).is_file() for key in long)
    assert rows[long[0]]["script"]["lines"][0]["user"]
    assert set(items) | set(rows) == {f"toy-{n:04d}" for n in range(1, 12)}
    assert counts.lost_total == len(rows)


def test_several_processes_make_the_same(tmp_path: Path) -> None:
    path = quick(tmp_path, texts=[{"kind": "exchanges", "path": "toy.exchanges", "licence": "CC0", "limit": 3}])
    built(path, tmp_path / "one", processes=1)
    built(path, tmp_path / "two", processes=2)
    ones, twos = (sorted((tmp_path / name / "audio").rglob("*.flac")) for name in ("one", "two"))
    assert [one.read_bytes() for one in ones] == [two.read_bytes() for two in twos]
    assert ones


class Model(http.server.BaseHTTPRequestHandler):
    """An endpoint that speaks the chat protocol; every third answer is no JSON."""

    asked: list[dict[str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        prompt = body["messages"][1]["content"]
        if len(self.asked) % 3 == 0:
            text = "I would rather not."
        elif '"said"' in prompt:
            text = f'<think>{{"no": 1}}</think>Here: {{"said": "I am back from number {len(self.asked)}."}}'
        else:
            text = '{"thought": "She is tired.", "delivery": "Gentle", "reply": "Sit down first. Tea?"}'
        answer = json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    Model.asked = []
    with http.server.HTTPServer(("127.0.0.1", 0), Model) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def test_texts_by_a_chat_model(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_KEY", "secret")
    writer = {"url": endpoint, "model": "toy", "key_variable": "TOY_KEY", "tries": 4}
    texts = [{"kind": "exchanges", "path": "toy.exchanges", "licence": "CC0", "limit": 2},
             {"kind": "writer", "licence": "CC BY 4.0", "name": "chat", "limit": 4}]  # fmt: skip
    path = quick(tmp_path, writer=writer, texts=texts)
    plain = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(plain | {"gates": {"recogniser": "none", "near_duplicate": 1.0}}))
    items, counts = built(path, tmp_path / "out", processes=1)
    made = [item for key, item in items.items() if key.startswith("chat-")]
    assert len(made) == 4
    assert {item.user.labels.emotion for item in made} <= set(yaml.safe_load("[neutral, happy, sad, angry]"))
    assert all((item.agent.emotion, item.agent.thought) == ("gentle", "She is tired.") for item in made)
    assert {item.source for item in made} == {"chat (toy)"}
    assert {item.licence for item in made} == {"CC BY 4.0 (with parts under CC0)"}
    assert "The cat has not come in" in Model.asked[0]["messages"][1]["content"], "examples come from the files"
    asked = len(Model.asked)
    built(path, tmp_path / "out")
    assert len(Model.asked) == asked, "what was written is not asked for again"
    assert not counts.lost
    assert all("secret" not in file.read_text() for file in (tmp_path / "out").rglob("*.jsonl"))


def test_a_writer_that_cannot_be_used(endpoint: str, tmp_path: Path) -> None:
    texts = [{"kind": "writer", "licence": "CC0", "name": "chat", "limit": 3}]
    path = quick(tmp_path, writer={"url": endpoint, "model": "toy", "tries": 1}, texts=texts)
    _, counts = built(path, tmp_path / "out")
    assert counts.lost["writer gave no usable answer"]
    nowhere = quick(tmp_path, writer={"url": "http://127.0.0.1:9/v1", "model": "toy"}, texts=texts)
    with pytest.raises(BuildError, match="gave no answer"):
        built(nowhere, tmp_path / "other")
    keyless = quick(tmp_path, writer={"url": endpoint, "model": "t", "key_variable": "NO_SUCH_KEY"}, texts=texts)
    with pytest.raises(BuildError, match="NO_SUCH_KEY is not set"):
        built(keyless, tmp_path / "other")


def test_the_toy_configuration_is_sound() -> None:
    config = load(HERE / "toy.yaml")
    assert isinstance(config, BuildConfig)
    check(config)
