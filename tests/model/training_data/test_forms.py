"""Every form is read and written with its exact names, and nothing is lost on the way from one to another."""

import io
import itertools
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.training.data import formats, sounds
from model.training.data.counts import Counts
from model.training.data.item import OPENS2S_UNITS, Agent, DataError, Exchange, Item, Labels, Sound, User
from model.training.data.places import sounds_of
from tests.model.training_data.data_parts import bare, dialogue, jsonl, piece, raw_row, rows_of, tar_of, tone

FORMS = tuple(formats.FORMS)


def place(folder: Path, form: str, name: str = "data") -> Path:
    return folder / name if formats.FORMS[form].is_folder else folder / f"{name}.jsonl"


def written(items: list[Item], folder: Path, form: str) -> tuple[Path, Counts]:
    counts = Counts()
    path = place(folder, form)
    formats.write(items, path, form, counts)
    return path, counts


def read(path: Path, form: str = "auto") -> tuple[list[Item], Counts]:
    counts = Counts()
    return list(formats.read(path, counts, form)), counts


@pytest.mark.parametrize(("first", "second"), list(itertools.product(FORMS, FORMS)))
def test_everything_survives_two_forms(first: str, second: str, tmp_path: Path) -> None:
    item = dialogue(tmp_path / "sounds")
    middle, _ = written([item], tmp_path / "a", first)
    counts = formats.convert(middle, place(tmp_path / "b", second), second)
    (found,), reading = read(place(tmp_path / "b", second))
    assert bare(found) == bare(item)
    assert counts.kept == 1
    assert not counts.lost
    assert not reading.lost
    for before, after in zip(sounds_of(item), sounds_of(found), strict=True):
        np.testing.assert_array_equal(sounds.load(after)[0], sounds.load(before)[0])


WORDS = st.text("ab <>|é", max_size=8)
LABEL = st.none() | st.sampled_from(["happy", "afraid", "odd"])
AGENTS = st.builds(
    Agent,
    text=WORDS,
    units=st.lists(st.integers(0, 4095), max_size=3).map(tuple),
    codec=st.sampled_from([OPENS2S_UNITS, "own"]),
    emotion=st.none() | st.sampled_from(["gentle", "sorry", "happy"]),
    thought=WORDS,
    voice=st.sampled_from(["", "v.npy"]),
)
USERS = st.builds(User, text=WORDS, prompt=WORDS, labels=st.builds(Labels, emotion=LABEL, age=LABEL, style=LABEL))
ITEMS = st.builds(
    Item,
    key=st.just("k"),
    task=st.sampled_from(["<TEXT2TEXT>", "<S2TCHAT> <THINKER>", "<AGE>", "<TRANSCRIBE> <EMOTION>", "<TEXT2TOKEN>"]),
    user=USERS,
    agent=AGENTS,
    history=st.lists(st.builds(Exchange, user=USERS, agent=AGENTS), max_size=3).map(tuple),
    system=WORDS,
    source=WORDS,
    extra=st.dictionaries(st.sampled_from(["dataset", "duration"]), st.integers()),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(item=ITEMS)
@pytest.mark.parametrize("form", FORMS)
def test_any_item_survives(form: str, item: Item, tmp_path: Path) -> None:
    path, counts = written([item], tmp_path, form)
    found, _ = read(path, form)
    if counts.lost:  # a conversation in which nobody says anything
        assert list(counts.lost) == ["no turn in the messages"]
    else:
        assert bare(found[0]) == bare(item)


def test_raw_rows_come_back_as_they_were(tmp_path: Path) -> None:
    tone(tmp_path / "wav/kid.wav", 1.0)
    rows = [
        raw_row("wav/kid.wav"),
        raw_row("wav/kid.wav", key="b", task="TEXT2TOKEN", txt="<HAPPY>Yes!", lang="en", speaker="x", odd={"a": [1]}),
        raw_row("wav/kid.wav", key="c", task="<AGE>", txt="<ADULT>", extra={"age": "<YOUTH>", "gender": "<NONE>"}),
        raw_row("wav/kid.wav", key="d", start=0.25, end=0.75, emotion="<FEAR>", wav_1="wav/kid.wav", txt_1="Hi."),
        {"key": "e", "wav": "wav/kid.wav", "txt": "hello there<SAD>", "task": "<TRANSCRIBE> <EMOTION>", "extra": {}},
    ]
    source = jsonl(tmp_path / "list.jsonl", rows)
    counts = formats.convert(source, tmp_path / "again.jsonl", "raw", "raw")
    assert rows_of(tmp_path / "again.jsonl") == rows
    assert (counts.kept, counts.lost_total) == (5, 0)
    items, _ = read(source)
    assert items[0].agent.emotion == "comforting"
    assert items[0].agent.text == "That hurts."
    assert items[0].user.labels == Labels(emotion="sad", age="child", gender="female")
    assert items[1].task == "<TEXT2TOKEN>"
    assert items[2].user.labels.age == "adult"
    assert items[2].user.labels.gender is None
    assert (items[4].user.text, items[4].user.labels.emotion) == ("hello there", "sad")


@pytest.mark.parametrize("way", ["messages", "shard", "combine"])
def test_raw_rows_come_back_from_elsewhere(way: str, tmp_path: Path) -> None:
    tone(tmp_path / "kid.wav", 1.0)
    rows = [
        raw_row("kid.wav"),
        raw_row("kid.wav", key="b", task="TEXT2TOKEN", txt="<HAPPY>Yes!", odd=1, extra={"age": "<YOUTH>", "new": 2}),
    ]
    source = jsonl(tmp_path / "list.jsonl", rows)
    middle = place(tmp_path / "middle", way)
    formats.convert(source, middle, way)
    formats.convert(middle, tmp_path / "back.jsonl", "raw")
    for row in (back := rows_of(tmp_path / "back.jsonl")):
        assert (tmp_path / row.pop("wav")).is_file()
    assert back == [{name: value for name, value in row.items() if name != "wav"} for row in rows]


def test_message_rows_come_back_as_they_were(tmp_path: Path) -> None:
    tone(tmp_path / "a.wav")
    tone(tmp_path / "b.wav")
    units = "<|audio_5|><|audio_16383|>"
    odd = {"role": "user", "content": [{"audio": "a.wav"}, {"text": "Both?"}, piece(audio="b.wav", text="second")]}
    rows = [
        {"messages": [{"role": "user", "content": [piece(audio="a.wav")]},
                      {"role": "assistant", "content": [piece("Hi.", units=units, voice="v.npy")]}]},
        {"messages": [{"role": "system", "content": "Be brief."}, odd, odd, {"role": "assistant", "content": "Yes."}],
         "id": 7, "split": {"name": "train"}},
        {"messages": [{"role": "assistant", "content": [piece("I begin.")]},
                      {"role": "user", "content": [{"text": "Do "}, {"text": "you?"}]}], "key": "own"},
    ]  # fmt: skip
    counts = formats.convert(jsonl(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl", "messages")
    again = rows_of(tmp_path / "out.jsonl")
    assert [{name: row[name] for name in before} for before, row in zip(rows, again, strict=True)] == rows
    assert not counts.lost
    items, _ = read(tmp_path / "in.jsonl")
    assert items[0].agent.units == (5, 16383)
    assert items[0].task == "<S2TCHAT> <TEXT2TOKEN>"
    assert len(items[1].user.clips) == 2
    assert items[1].system == "Be brief."

    (tmp_path / "far").mkdir()
    formats.convert(tmp_path / "in.jsonl", tmp_path / "far/out.jsonl", "messages")
    moved = rows_of(tmp_path / "far/out.jsonl")[1]["messages"][1]["content"]
    assert [sorted(part) for part in moved] == [["audio"], ["text"], sorted(piece())], "the order of pieces stays"
    assert Path(moved[0]["audio"]) == tmp_path / "a.wav"


def test_members_of_a_shard(tmp_path: Path) -> None:
    wavs = tone(tmp_path / "w.wav", rate=44_100)
    rows = [raw_row("w.wav", key=f"k{n}", lang="en", wav_1="w.wav", txt_1="Hi.") for n in range(3)]
    source = jsonl(tmp_path / "list.jsonl", rows)
    counts = Counts()
    from model.training.data import shard

    shard.write(formats.read(source, counts), tmp_path / "out", counts, per_tar=2)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    tars = ["shard_000000000.tar", "shard_000000001.tar"]
    assert names == sorted([*tars, *(f"{tar}.finished" for tar in tars), "shards_list.txt"])
    assert [Path(line).name for line in (tmp_path / "out/shards_list.txt").read_text().splitlines()] == tars
    with tarfile.open(tmp_path / "out" / tars[0]) as tar:
        members = [member.name for member in tar]
        audio = tar.extractfile("k0.wav")
        assert audio is not None
        about = sf.info(io.BytesIO(audio.read()))
    assert (about.samplerate, about.subtype, about.channels) == (16_000, "PCM_16", 1)
    assert sorted(members[: len(members) // 2]) == sorted(
        f"k0.{name}" for name in ("txt", "wav", "task", "lang", "duration", "extra", "wav_1", "txt_1")
    )
    assert wavs.is_file()


def test_layout_of_combined_data(tmp_path: Path) -> None:
    tone(tmp_path / "w.wav")
    source = jsonl(tmp_path / "list.jsonl", [raw_row("w.wav")])
    formats.convert(source, tmp_path / "out", "combine")
    out = tmp_path / "out"
    assert Path((out / "combines_tar_root.txt").read_text().strip()) == out
    assert [Path(line).name for line in (out / "combines_list.txt").read_text().splitlines()] == [
        "shards_000000000.list"
    ]
    (line,) = rows_of(out / "shards_000000000.list")
    assert line == {**raw_row("only-meta"), "tar_path_key": "shards_000000000"}
    with tarfile.open(out / "shards_000000000.tar") as tar:
        members = {member.name for member in tar}
    assert {"kid_0001.txt", "kid_0001.task", "kid_0001.extra", "kid_0001.wav"} <= members

    moved = out.rename(tmp_path / "moved")
    items, counts = read(moved)
    assert len(items) == 1
    assert not counts.lost


def test_units_of_another_tokenizer_are_carried_not_passed_off(tmp_path: Path) -> None:
    item = dialogue(tmp_path / "sounds")
    item = item.model_copy(update={"agent": item.agent.model_copy(update={"units": (9000,), "codec": OPENS2S_UNITS})})
    path, counts = written([item], tmp_path, "raw")
    (row,) = rows_of(path)
    assert "speech_token" not in row["extra"]
    assert any("another tokenizer" in reason for reason in counts.notes)
    assert read(path)[0][0].agent.units == (9000,)


def test_a_cut_is_kept_or_made(tmp_path: Path) -> None:
    tone(tmp_path / "long.wav", 2.0)
    source = jsonl(tmp_path / "list.jsonl", [raw_row("long.wav", start=0.5, end=1.25)])
    for form in ("messages", "shard"):
        formats.convert(source, place(tmp_path / form, form), form)
        (item,), _ = read(place(tmp_path / form, form))
        assert sounds.seconds(item.user.clips[0]) == pytest.approx(0.75)


def test_keys_that_come_twice_or_look_like_paths(tmp_path: Path) -> None:
    tar = tar_of(tmp_path / "in/x.tar", {"../../up.wav": (tone(tmp_path / "w.wav")).read_bytes(), "../../up.txt": "a"})
    items, _ = read(tar)
    counts = Counts()
    formats.write([*items, *items], tmp_path / "out/list.jsonl", "raw", counts)
    rows = rows_of(tmp_path / "out/list.jsonl")
    assert [row["key"] for row in rows] == ["../../up", "../../up~2"]
    assert "key occurs again" in counts.notes
    assert {path.parent.name for path in tmp_path.rglob("*up*")} == {"list_audio"}


def test_sounds_never_overwrite_each_other(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    clips = [tone(folder / f"{n}.wav", 0.1 * (n + 1)).read_bytes() for n in range(3)]
    texts: dict[str, bytes | str] = {"a.txt": "x", "a.txt_1": "z", "a_h1.txt": "y"}
    tar_of(folder / "x.tar", {**texts, "a.wav": clips[0], "a.wav_1": clips[1], "a_h1.wav": clips[2]})
    formats.convert(folder / "x.tar", tmp_path / "out.jsonl", "messages")
    items, _ = read(tmp_path / "out.jsonl")
    found = [round(sounds.seconds(sound), 2) for item in items for sound in sounds_of(item)]
    assert sorted(found) == [0.1, 0.2, 0.3]


def test_an_interrupted_writer_leaves_no_list(tmp_path: Path) -> None:
    def failing() -> list[Item]:
        yield dialogue(tmp_path / "sounds")  # type: ignore[misc]
        raise KeyboardInterrupt

    for form in FORMS:
        with pytest.raises(KeyboardInterrupt):
            formats.write(failing(), place(tmp_path / form, form), form, Counts())
        left = [path.name for path in (tmp_path / form).rglob("*") if path.suffix in (".jsonl", ".txt", ".finished")]
        assert left == []


def test_errors_of_a_whole_source(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data of a known form"):
        read(tmp_path / "nothing.jsonl")
    with pytest.raises(DataError, match="over itself"):
        formats.convert(tmp_path / "a", tmp_path / "a", "raw")
    with pytest.raises(DataError, match="no form"):
        formats.write([], tmp_path / "x", "wrong", Counts())
    with pytest.raises(DataError, match="is a folder"):
        formats.write([], tmp_path, "raw", Counts())


def test_sound_of_a_moved_file_is_a_counted_loss(tmp_path: Path) -> None:
    item = Item(key="k", task="<TRANSCRIBE>", user=User(clips=(Sound(path="/nowhere/x.wav"),)), agent=Agent(text="a"))
    _, counts = written([item], tmp_path, "messages")
    assert counts.lost["audio is missing"] == {"k": "/nowhere/x.wav"}
