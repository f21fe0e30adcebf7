import json

import numpy as np
import pytest
import soundfile as sf

from model.inference import lists
from model.inference.batch import BatchError
from model.interface import PoiseError
from model.training.data import formats
from model.training.data.counts import Counts
from model.training.data.item import Agent, Item, Sound, User
from model.training.data.sounds import load_16k


def write(path, rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_plain_lines_with_sound_or_text(tmp_path):
    good = [{"key": "a", "wav": "x/a.wav"}, {"key": "b", "txt": "hello"}, {"key": "c", "text": "you", "wav": None}]
    bad = ["{", [1], {"wav": "x.wav"}, {"key": "d"}, {"key": 3, "txt": "x"}]
    found, lost = lists.read(write(tmp_path / "list.jsonl", [*good, "", *bad]))
    assert [(item.key, item.text) for item in found] == [("a", ""), ("b", "hello"), ("c", "you")]
    assert found[0].sound.path == str(tmp_path / "x" / "a.wav")
    assert list(lost) == [f"list.jsonl:{number}" for number in range(5, 10)]


def test_messages_ask_for_the_last_turn_of_the_user(tmp_path):
    spoken = {"role": "user", "content": [{"text": "", "audio": "a.wav", "speech_units": "", "spk_emb": ""}]}
    typed = {"role": "user", "content": "how are you"}
    answer = {"role": "assistant", "content": [{"text": "Well.", "audio": "", "speech_units": "", "spk_emb": ""}]}
    rows = [{"key": "one", "messages": [typed, answer, spoken, answer]}, {"key": "two", "messages": [typed]}, "{"]
    found, lost = lists.read(write(tmp_path / "m.jsonl", rows), "messages")
    assert [item.key for item in found] == ["one", "two"]
    assert found[0].sound.path.endswith("a.wav")
    assert (found[1].sound, found[1].text) == (None, "how are you")
    assert len(lost) == 1


@pytest.mark.parametrize("form", list(formats.FORMS))
def test_every_format_is_read_with_its_sound(tmp_path, form):
    sf.write(tmp_path / "a.wav", np.full(16_000, 0.25, np.float32), 16_000)
    heard = User(clips=(Sound(path=str(tmp_path / "a.wav")),))
    items = [
        Item(key=key, task="<S2TCHAT>", user=heard, agent=Agent(text="Well."), licence="CC0") for key in ("b", "a", "c")
    ]
    path = tmp_path / "written" if formats.FORMS[form].is_folder else tmp_path / "written.jsonl"
    formats.write(items, path, form, Counts())
    found, lost = lists.read(path, form)
    assert not lost
    assert [item.key for item in found] == ["b", "a", "c"]
    assert [len(load_16k(item.sound)) for item in found] == [16_000] * 3


def test_an_item_to_be_spoken_is_asked_by_its_words(tmp_path):
    item = Item(key="a", task="<TEXT2TOKEN>", agent=Agent(text="Say me."))
    formats.write([item], tmp_path / "r.jsonl", "raw", Counts())
    (found,), _ = lists.read(tmp_path / "r.jsonl", "raw")
    assert (found.sound, found.text) == (None, "Say me.")


def test_a_key_that_comes_again_is_told_apart(tmp_path):
    found, _ = lists.read(write(tmp_path / "list.jsonl", [{"key": "a", "txt": "x"}, {"key": "a", "txt": "y"}]))
    assert [item.key for item in found] == ["a", "a~2"]


def test_a_list_of_nothing_says_so(tmp_path):
    with pytest.raises(PoiseError, match="'tape'"):
        lists.read(tmp_path / "l", "tape")
    with pytest.raises(PoiseError, match="cannot be read"):
        lists.read(tmp_path / "l")
    with pytest.raises(BatchError, match="no item"):
        lists.read(write(tmp_path / "l", ["{"]))
    with pytest.raises(PoiseError, match="cannot be read"):
        lists.read(tmp_path / "gone", "messages")
