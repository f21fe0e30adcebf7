import json

import numpy as np
import pytest
import soundfile as sf

from model.inference import lists
from model.inference.batch import BatchError, Item, run
from model.interface import PoiseError
from tests.model.inference import echo_surface


@pytest.fixture
def todo(tmp_path):
    rows = []
    for number in range(7):
        sf.write(tmp_path / f"{number}.wav", np.full(8_000 * (number + 1), 0.1, np.float32), 16_000)
        rows.append({"key": f"clip {number}", "wav": f"{number}.wav"})
    rows[3]["wav"] = "nowhere.wav"
    path = tmp_path / "list.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found, lost = lists.read(path)
    assert not lost
    return found


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("processes", [1, 2])
def test_order_is_kept_and_what_fails_has_its_reason(todo, tmp_path, processes):
    out, ticks = tmp_path / "out.jsonl", []
    counts = run(todo, ["transcribe", "age"], echo_surface.load, out, processes, lambda: ticks.append(1))
    rows = rows_of(out)
    assert [row["key"] for row in rows] == [item.key for item in todo]
    assert [len(row["answers"][0]["text"].split()) for row in rows if "answers" in row] == [1, 2, 3, 5, 6, 7]
    assert rows[0]["answers"][1]["text"] == "unknown"
    assert counts.answered == 6
    assert list(counts.failed) == ["clip 3"]
    assert "nowhere.wav" in counts.failed["clip 3"]
    assert len(ticks) == len(todo)


def test_a_stopped_batch_goes_on_where_it_was(todo, tmp_path):
    out, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    run(todo, ["transcribe"], echo_surface.load, whole)
    lines = whole.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:4]) + lines[4][:9])
    loads = []
    counts = run(todo, ["transcribe"], lambda: loads.append(1) or echo_surface.load(), out)
    assert out.read_bytes() == whole.read_bytes()
    assert (counts.answered, counts.earlier, len(loads)) == (6, 3, 1)
    run(todo, ["transcribe"], lambda: pytest.fail("there is nothing left to do"), out)


def test_answers_of_another_run_are_not_touched(todo, tmp_path):
    out = tmp_path / "out.jsonl"
    run(todo[:2], ["transcribe"], echo_surface.load, out)
    before = out.read_bytes()
    for items, tasks in ((todo[1:], ["transcribe"]), (todo, ["emotion"])):
        with pytest.raises(BatchError, match="another list or other tasks"):
            run(items, tasks, echo_surface.load, out)
    assert out.read_bytes() == before
    out.write_text("notes\n")
    with pytest.raises(BatchError, match="something else"):
        run(todo, ["transcribe"], echo_surface.load, out)
    assert out.read_text() == "notes\n"


@pytest.mark.parametrize("processes", [1, 2])
def test_an_engine_that_cannot_be_loaded_says_why_and_nothing_is_written(todo, tmp_path, processes):
    out = tmp_path / "out.jsonl"
    with pytest.raises(PoiseError, match="no weights"):
        run(todo, ["transcribe"], echo_surface.refuse, out, processes)
    assert rows_of(out) == []


def test_speech_is_written_beside_the_answers(tmp_path):
    out = tmp_path / "said.jsonl"
    run([Item("../../odd key", text="hi"), Item("b", text="ho")], ["speak"], echo_surface.load, out)
    for row in rows_of(out):
        path = row["answers"][0]["audio"]
        samples, rate = sf.read(path)
        assert (len(samples), rate) == (800, echo_surface.RATE)
        assert str(tmp_path / "said") in path


def test_keys_that_would_share_a_file_do_not(tmp_path):
    out = tmp_path / "said.jsonl"
    run([Item("a/b", text="hi"), Item("a_b", text="ho ho")], ["speak"], echo_surface.load, out)
    sizes = [len(sf.read(row["answers"][0]["audio"])[0]) for row in rows_of(out)]
    assert sizes == [800, 2_000]
