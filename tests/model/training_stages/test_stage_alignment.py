"""Data of stage 1 and units of replies: every row accounted for, and a run that is broken off goes on."""

import json
from pathlib import Path

import pytest

from model.training.stages.alignment import CONTINUE, FEEL, NOTE, Alignment, make, part_of
from model.training.stages.examples import StageError, read
from model.training.stages.speech_units import fill
from tests.model.training_stages import toy

FEW = Alignment(longest=6, batch=4)
quiet = {"tell": lambda _: None}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return toy.checkpoint(tmp_path_factory.mktemp("model"))


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_llm_goes_on_from_the_words_and_the_rows_hold_the_clip(model, tmp_path):
    given = [*toy.spoken(tmp_path / "data"), "no row", {"messages": [{"role": "user", "content": "no clip"}]}]
    data = toy.write(given, tmp_path / "data" / "rows.jsonl")
    out = tmp_path / "made" / "aligned.jsonl"
    lost = make(model, data, out, FEW, **quiet)
    assert lost == {"not a row of messages": 1, "not one clip with its transcript in the first turn": 1}
    made = rows(out)
    tasks = [(row["extra"]["line"], row["extra"]["task"]) for row in made]
    assert tasks == sorted(tasks, key=lambda task: task[0])
    assert [task for line, task in tasks if line == 0] == ["continue", "feel", "note"]
    assert [task for line, task in tasks if line == 2] == ["continue"]  # nobody knows how that was said
    for row in made:
        user, assistant = row["messages"]
        assert user["content"][0]["text"] == {"continue": CONTINUE, "feel": FEEL, "note": NOTE}[row["extra"]["task"]]
        assert (out.parent / user["content"][1]["audio"]).is_file()
        words = toy.WORDS[row["extra"]["line"]]
        assert words not in json.dumps(user)
        if row["extra"]["task"] == "note":
            assert assistant["content"][0]["text"].startswith(f"{words} <")
        read(json.dumps(row))


def test_broken_off_and_in_parts_it_is_the_same(model, tmp_path):
    data = toy.write(toy.spoken(tmp_path), tmp_path / "rows.jsonl")
    make(model, data, tmp_path / "whole.jsonl", FEW, **quiet)
    whole = rows(tmp_path / "whole.jsonl")
    lines = (tmp_path / "whole.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "broken.jsonl").write_text("".join(lines[:5]) + lines[5][:20], encoding="utf-8")
    make(model, data, tmp_path / "broken.jsonl", FEW, **quiet)
    assert rows(tmp_path / "broken.jsonl") == whole
    for rank in range(4):
        make(model, data, tmp_path / f"{rank}.jsonl", FEW, (rank, 4), **quiet)
    parts = [row for rank in range(4) for row in rows(tmp_path / f"{rank}.jsonl")]
    assert [row["extra"]["line"] for row in parts] == [row["extra"]["line"] for row in whole]


@pytest.mark.parametrize("text", ["8/8", "1", "a/b", "1/2/3", "-1/2"])
def test_parts_that_are_none_are_refused(text):
    with pytest.raises(StageError, match="no part"):
        part_of(text)


def test_recorded_replies_get_units(tmp_path):
    tokenizer = toy.speech_tokenizer(tmp_path / "tokenizer")
    names = toy.clips(tmp_path)
    user = {"role": "user", "content": [{"audio": names[0]}]}

    def answered(**reply):
        return {"messages": [user, {"role": "assistant", "content": [{"text": "Yes.", **reply}]}]}

    given = [
        answered(audio=names[1]),
        {**answered(), "poise": {"agent.audio.path": names[1], "agent.emotion": "sad"}},
        answered(speech_units="<|audio_3|>"),
        answered(audio="nowhere.wav"),
        "no row",
        {"messages": [user, {"role": "assistant", "content": "Only text."}]},
    ]
    data = toy.write(given, tmp_path / "rows.jsonl")
    lost = fill(tokenizer, data, tmp_path / "out.jsonl", "cpu", **quiet)
    assert lost == {"a clip cannot be read": 1, "not a row of messages": 1}
    found = [read(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    units = [each.messages[1].content[0].units() for each in found]
    assert units[0] == units[1]
    assert len(units[0]) == -(-int(16_000 * 0.6) // 1280)
    assert units[2:] == [[3], []]
    assert found[1].extra["agent.emotion"] == "sad"
    assert not any(item.audio for each in found for item in each.messages[1].content)
    with pytest.raises(StageError, match="beside"):
        fill(tokenizer, data, Path("elsewhere") / "out.jsonl")
