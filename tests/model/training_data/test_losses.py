"""What published readers and loaders drop, replace or trip over without a word is kept here, or counted by key."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from model.training.data import filters, formats, labels, mixing
from model.training.data.counts import Counts
from model.training.data.filters import Rules
from model.training.data.item import OSUM_UNITS, Agent, Exchange, Item, Sound, User
from tests.model.training_data.data_parts import jsonl, piece, raw_row, rows_of, tar_of, tone, wav_bytes


def read(path: Path, form: str = "auto") -> tuple[dict[str, Item], Counts]:
    counts = Counts()
    return {item.key: item for item in formats.read(path, counts, form)}, counts


def fitting(items: list[Item], **rules: Any) -> tuple[dict[str, Item], Counts]:
    counts = Counts()
    return {item.key: item for item in filters.fitting(items, Rules(**rules), counts)}, counts


def spoken(folder: Path, key: str = "k", **changes: Any) -> Item:
    clip = Sound(path=str(tone(folder / "tone.wav", 1.0)))
    agent = Agent(text="I see.", units=tuple(range(30)), codec=OSUM_UNITS)
    item = Item(key=key, task=labels.SPEECH_CHAT, user=User(clips=(clip,)), agent=agent, licence="CC0")
    return item.model_copy(update=changes)


def test_unreadable_lines_and_audio_are_named(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF not really")
    (tmp_path / "empty.wav").write_bytes(b"")
    tone(tmp_path / "good.wav")
    rows = [raw_row("good.wav"), raw_row("bad.wav", key="bad"), raw_row("none.wav", key="gone"),
            raw_row("empty.wav", key="empty"), raw_row("good.wav", key="cut", start=3, end=4),
            {"key": "notext", "wav": "good.wav"}, raw_row("good.wav", key="units", extra={"speech_token": [9000]}),
            raw_row("good.wav", key="words", extra={"speech_token": "1 2"}), [1]]  # fmt: skip
    path = jsonl(tmp_path / "list.jsonl", rows)
    with path.open("ab") as file:
        file.write(b'{"key": broken\n\xff\xfe\n')
    counts = formats.convert(path, tmp_path / "out", "shard")
    assert counts.kept == 1
    assert {reason: sorted(keys) for reason, keys in counts.lost.items()} == {
        "audio cannot be read": ["bad", "empty"],
        "audio is missing": ["gone"],
        "cut lies outside the audio": ["cut"],
        "no field txt": ["notext"],
        "speech_token is out of range": ["units"],
        "speech_token is no list of whole numbers": ["words"],
        "line is no JSON object": ["list.jsonl:9"],
        "line is not JSON": ["list.jsonl:10", "list.jsonl:11"],
    }
    assert counts.kept + counts.lost_total == len(path.read_bytes().splitlines())
    assert "bad" in str(counts)


def test_faulty_message_rows_are_named(tmp_path: Path) -> None:
    def row(key: str, content: Any, role: str = "assistant") -> dict[str, Any]:
        return {"key": key, "messages": [{"role": role, "content": content}]}

    rows = [row("good", [piece("Hi.")]), row("role", "Hi.", "tool"), row("units", [piece("a", units="<|audio_1|>x")]),
            row("range", [piece("a", units="<|audio_16384|>")]), row("type", [{"text": 3}]), row("content", 5),
            {"key": "none"}, {"key": "empty", "messages": []}, row("beside", "a") | {"poise": {"a.b": 1}}]  # fmt: skip
    items, counts = read(jsonl(tmp_path / "list.jsonl", rows))
    assert list(items) == ["good"]
    assert counts.lost_total == len(rows) - 1
    assert {key for keys in counts.lost.values() for key in keys} == {row["key"] for row in rows[1:]}


def test_damaged_tars_give_what_is_whole(tmp_path: Path) -> None:
    members: dict[str, bytes | str] = {}
    for n in range(3):
        members |= {f"k{n}.txt": "Hi.", f"k{n}.wav": wav_bytes()}
    tar = tar_of(tmp_path / "a.tar", members)
    tar.write_bytes(tar.read_bytes()[:-20_000])
    items, counts = read(tar)
    assert {key for key, item in items.items() if item.user.clips} == {"k0", "k1"}
    assert sum(len(keys) for keys in counts.lost.values()) >= 1
    assert any("a.tar" in key for keys in counts.lost.values() for key in keys)
    (tmp_path / "b.tar").write_bytes(b"no tar at all" * 100)
    items, counts = read(tmp_path / "b.tar")
    assert (items, list(counts.lost)) == ({}, ["tar is damaged"])


def test_odd_tar_members_are_named_and_order_does_not_matter(tmp_path: Path) -> None:
    tar = tar_of(tmp_path / "a.tar", {
        "a.txt": "one", "b.txt": "two", "a.wav": wav_bytes(), "b.flac": wav_bytes(), "README": "x",
        "b.task": b"\xff\xfe", "c.wav": wav_bytes(), "a.wav_7x": "?",
    }, finished=False)  # fmt: skip
    items, counts = read(tar)
    assert list(items) == ["a"]
    assert items["a"].user.clips[0].name == "a.wav"
    lost = {key for keys in counts.lost.values() for key in keys}
    assert lost == {"a.tar:README", "b", "c"}  # no name; not UTF-8; no txt


def test_a_working_list_needs_no_bar(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        tar_of(tmp_path / f"{name}.tar", {f"{name}.txt": "a", f"{name}.task": "<TEXT2TEXT>"}, finished=name != "two")
    (tmp_path / "shards_list.txt").write_text(f"-|one.tar\n{tmp_path}/two.tar\n/old/place/three.tar\ngone.tar\n")
    items, counts = read(tmp_path)
    assert list(items) == ["one", "two", "three"]
    assert counts.lost["file of the list is missing"] == {"shards_list.txt:4": "gone.tar"}
    assert counts.notes["tar has no .finished mark"] == {"two.tar": ""}


def test_no_audio_is_never_noise(tmp_path: Path) -> None:
    members = {"text.txt": "A cat.", "text.task": "<TEXT2TEXT>", "mute.txt": "hello", "mute.task": "<TRANSCRIBE>"}
    items, _ = read(tar_of(tmp_path / "a.tar", members))
    assert all(item.user.clips == () for item in items.values())
    kept, counts = fitting(list(items.values()))
    assert list(kept) == ["text"]
    assert counts.lost == {"task needs audio, there is none": {"mute": "<TRANSCRIBE>"}}


def test_thinking_without_thought_and_speech_without_units_serve_what_they_can(tmp_path: Path) -> None:
    plain = Agent(text="I see.")
    items = [
        spoken(tmp_path, "think", task="<S2TCHAT> <TEXT2TOKEN> <THINK>"),
        spoken(tmp_path, "thinker", task="<S2TCHAT> <THINKER>", agent=plain),
        spoken(tmp_path, "mute", agent=plain),
        spoken(tmp_path, "speak", task="<TEXT2TOKEN>", agent=plain),
    ]
    kept, counts = fitting(items)
    assert {key: item.task for key, item in kept.items()} == {
        "think": "<S2TCHAT> <TEXT2TOKEN>", "thinker": "<S2TCHAT>", "mute": "<S2TCHAT>",
    }  # fmt: skip
    assert set(counts.lost) == {"task is to speak, there are no units"}
    assert sum(len(keys) for keys in counts.notes.values()) == 3
    kept, counts = fitting(items, downgrade=False)
    assert not kept
    assert counts.lost_total == 4


def test_a_hole_costs_only_what_lies_before_it(tmp_path: Path) -> None:
    tone(tmp_path / "w.wav")
    row = raw_row("w.wav", wav_1="w.wav", txt_1="One.", wav_3="w.wav", txt_3="Three.")
    items, counts = read(jsonl(tmp_path / "list.jsonl", [row]))
    assert counts.notes["hole in the history"] == {"kid_0001": "exchange 2 of 3"}
    samples = {item.key: item for item in mixing.expanded(items.values(), counts)}
    assert [one.agent.text for one in samples["kid_0001"].history] == ["Three."]
    assert [(key, len(item.history)) for key, item in samples.items()] == [
        ("kid_0001.1", 0), ("kid_0001.3", 0), ("kid_0001", 1),
    ]  # fmt: skip
    assert "history begins after a hole" in counts.notes


def test_every_exchange_of_a_dialogue_is_a_sample(tmp_path: Path) -> None:
    turns = [Exchange(user=User(text=f"u{n}"), agent=Agent(text=f"a{n}" if n != 1 else "")) for n in range(3)]
    item = Item(key="d", task="<TEXT2TEXT>", history=tuple(turns), user=User(text="u3"), agent=Agent(text="a3"))
    found = list(mixing.expanded([item], Counts()))
    assert [(one.agent.text, len(one.history)) for one in found] == [("a0", 0), ("a2", 2), ("a3", 3)]
    counts = Counts()
    silent = item.model_copy(update={"agent": Agent()})
    assert [one.key for one in mixing.expanded([silent], counts)] == ["d.1", "d.3"]
    assert set(counts.lost) == {"exchange without an answer is no sample"}


def test_text_that_is_no_unicode_costs_one_sample(tmp_path: Path) -> None:
    tone(tmp_path / "w.wav")
    path = jsonl(tmp_path / "list.jsonl", [raw_row("w.wav"), raw_row("w.wav", key="after")])
    broken = b'{"key": "lone", "wav": "w.wav", "txt": "a\\ud800b", "task": "<S2TCHAT>"}\n'
    other = b'{"key": "odd", "wav": "w.wav", "txt": "hi", "task": "<S2TCHAT>", "x": "\\ud800"}\n'
    latin = b'{"key": "latin", "wav": "w.wav", "txt": "\xe9", "task": "<S2TCHAT>"}\n'
    path.write_bytes(broken + latin + other + path.read_bytes())
    for form in formats.FORMS:
        out = tmp_path / form / ("data" if formats.FORMS[form].is_folder else "data.jsonl")
        counts = formats.convert(path, out, form)
        assert counts.kept + counts.lost_total == 5
        assert {"kid_0001", "after"} <= set(read(out)[0])
        assert {key for keys in counts.lost.values() for key in keys} <= {"lone", "latin", "odd"}


def test_damaged_values_beside_a_record_harm_nobody_else(tmp_path: Path) -> None:
    def row(poise: Any) -> dict[str, Any]:
        return {"messages": [{"role": "assistant", "content": "Hi."}], "poise": poise}

    damaged = [5, {"history.7.user.text": "x"}, {"agent": 3}, {"a.b.c": 1}, {"kept": 3}, {"user.clips.0.path": 4},
               {"kept": {"messages": {"messages": 5}}}, {"kept": {"osum": {"txt": 5, "extra": 1, "task": []}}},
               {"units": [1]}, {"agent.units": ["x"]}, {"": 1}]  # fmt: skip
    path = jsonl(tmp_path / "list.jsonl", [*map(row, damaged), row({})])
    for form in formats.FORMS:
        out = tmp_path / form / ("data" if formats.FORMS[form].is_folder else "data.jsonl")
        counts = formats.convert(path, out, form)
        assert counts.kept + counts.lost_total == len(damaged) + 1
        assert "list.jsonl:12" in read(out)[0]


@pytest.mark.parametrize("count", [1, 5, 100])
def test_the_last_batches_of_every_kind_come(count: int) -> None:
    samples = [
        (kind, 10 + n % 7) for kind, n in itertools.product(("s2s", "think", "t2s", "t2t", "chat"), range(count))
    ]
    found = list(mixing.batches(samples, lambda s: s[0], lambda s: s[1], 100))
    assert sorted(sample for batch in found for sample in batch) == sorted(samples)
    assert all(len({kind for kind, _ in batch}) == 1 for batch in found)
    assert all(max(size for _, size in batch) * len(batch) <= 100 for batch in found)
    assert list(mixing.batches([("a", 900)], lambda s: s[0], lambda s: s[1], 100)) == [[("a", 900)]]


def test_the_word_helper_drops_no_dialogue(tmp_path: Path) -> None:
    item = spoken(tmp_path, agent=Agent(text="Be a good helper to her.", units=tuple(range(30)), codec=OSUM_UNITS))
    assert list(fitting([item])[0]) == ["k"]
    assert list(fitting([item], names=("help", "HelperBot"))[0]) == ["k"]
    _, counts = fitting([item], names=("helper",))
    assert counts.lost == {"reply holds a name that is ruled out": {"k": "helper"}}


def test_a_target_that_is_only_a_tag_is_left_alone(tmp_path: Path) -> None:
    tone(tmp_path / "w.wav", 1.0)
    rows = [{"key": "age", "wav": "w.wav", "txt": "<ADULT>", "task": "<AGE>", "extra": {}},
            {"key": "both", "wav": "w.wav", "txt": "hello<SAD>", "task": "<TRANSCRIBE> <EMOTION>", "extra": {}},
            {"key": "none", "wav": "w.wav", "txt": "none of us", "task": "<TRANSCRIBE>", "extra": {}}]  # fmt: skip
    items, _ = read(jsonl(tmp_path / "list.jsonl", rows))
    assert items["age"].agent.text == "<ADULT>"
    assert items["age"].user.labels.age == "adult"
    assert items["both"].agent.text == "hello<SAD>"
    kept, _ = fitting(list(items.values()))
    assert kept["none"].agent.text == "none of us"
    assert set(kept) == {"age", "both", "none"}


@pytest.mark.parametrize("tail", ["<HISTORY>", "<STREAMING>", "<THINK>"])
def test_history_and_streaming_keep_their_units(tail: str, tmp_path: Path) -> None:
    tone(tmp_path / "w.wav", 1.0)
    extra = {"speech_token_1": [7, 8], "speech_token": list(range(30))}
    row = raw_row("w.wav", task=f"<S2TCHAT> <TEXT2TOKEN> {tail}", wav_1="w.wav", txt_1="Hi.", extra=extra)
    items, _ = read(jsonl(tmp_path / "list.jsonl", [row]))
    kept, counts = fitting(list(items.values()))
    assert not counts.lost
    assert len(kept["kid_0001"].agent.units) == 30
    assert kept["kid_0001"].history[0].agent.units == (7, 8)


def test_history_counts_at_the_rate_it_is_heard(tmp_path: Path) -> None:
    clip = Sound(path=str(tone(tmp_path / "long.wav", 19.0)))
    earlier = Exchange(user=User(clips=(clip,)), agent=Agent(text="Yes."))
    item = spoken(tmp_path, history=(earlier, earlier))
    assert filters.length(item) < 700  # 38 s are 475 positions, not 3,800 frames
    assert list(fitting([item])[0]) == ["k"]
    _, counts = fitting([item], max_length=500)
    assert set(counts.lost) == {"sample is too long"}


def test_combined_lines_with_another_name_for_the_task(tmp_path: Path) -> None:
    members: dict[str, bytes | str] = {}
    for key in ("a", "b", "c"):
        members |= {f"{key}.wav": wav_bytes(1.0), f"{key}.wav_1": wav_bytes()}
    members |= {"a.task": "<S2TCHAT>", "a.txt": "old", "a.extra": "{}", "left.txt": "x"}
    tar_of(tmp_path / "tars/x.tar", members)
    lines = [{"key": "a", "wav": "only-meta", "txt": "new", "task": "<S2TCHAT>", "extra": {"age": "<OLD>"}},
             {"key": "b", "wav": "only-meta", "txt": "Hi.", "tas_tag": "<S2TCHAT>", "extra": '{"age": "<CHILD>"}'},
             {"key": "c", "wav": "only-meta", "txt": "hi"},
             {"key": "d", "wav": "only-meta", "txt": "Hi.", "task": "<TEXT2TEXT>"}]  # fmt: skip
    jsonl(tmp_path / "x.list", lines)
    (tmp_path / "combines_list.txt").write_text("x.list\ny.list\n")
    (tmp_path / "combines_tar_root.txt").write_text("tars\n")
    items, counts = read(tmp_path)
    assert {key: item.task for key, item in items.items()} == {
        "a": "<S2TCHAT>", "b": "<S2TCHAT>", "c": "<TRANSCRIBE>", "d": "<TEXT2TEXT>",
    }  # fmt: skip
    assert items["a"].agent.text == "new"
    assert items["b"].user.labels.age == "child"
    assert len(items["a"].history) == 1
    assert items["a"].history[0].user.clips
    assert set(counts.lost) == {"in the tar, but not in its list", "file of the list is missing"}
    assert {"tas_tag taken as task", "no task: taken as <TRANSCRIBE>"} < set(counts.notes)


def test_converting_keeps_each_task(tmp_path: Path) -> None:
    tone(tmp_path / "w.wav")
    tasks = ["<AGE>", "<S2TCHAT>", "<S2TCHAT> <TEXT2TOKEN> <STREAMING>"]
    source = jsonl(tmp_path / "list.jsonl", [raw_row("w.wav", key=task, task=task) for task in tasks])
    formats.convert(source, tmp_path / "out", "combine")
    formats.convert(tmp_path / "out", tmp_path / "back.jsonl", "raw")
    assert [row["task"] for row in rows_of(tmp_path / "back.jsonl")] == tasks


def test_weights_stay_with_their_streams() -> None:
    streams = {"a": range(5), "b": range(400), "c": range(4000)}
    weights = {"a": 1.0, "b": 1.0, "c": 9.0}
    found = list(mixing.drawn(streams, weights, seed=3))
    assert {name: sum(one == name for one, _ in found) for name in streams} == {"a": 5, "b": 400, "c": 4000}
    after = [name for name, _ in found[200:2200]]  # "a" has ended long before
    assert 0.07 < after.count("b") / len(after) < 0.13
    assert found == list(mixing.drawn(streams, weights, seed=3))


def test_mix_by_weight(tmp_path: Path) -> None:
    def source(name: str, count: int) -> None:
        rows = [
            {"messages": [{"role": "assistant", "content": [piece(name)]}], "key": f"{name}{n}"} for n in range(count)
        ]
        jsonl(tmp_path / f"{name}.jsonl", rows)

    source("twice", 10)
    source("half", 100)
    source("once", 7)
    mix = tmp_path / "mix.yaml"
    mix.write_text("twice: {path: twice.jsonl, weight: 2}\nhalf: {path: half.jsonl, weight: 0.5}\n"
                   "once: {path: once.jsonl, form: messages}\n")  # fmt: skip
    counts = formats.convert(mix, tmp_path / "all.jsonl", "messages", seed=1)
    texts = [row["messages"][0]["content"][0]["text"] for row in rows_of(tmp_path / "all.jsonl")]
    assert {name: texts.count(name) for name in ("twice", "half", "once")} == {"twice": 20, "half": 50, "once": 7}
    assert texts != sorted(texts)
    assert len({row["key"] for row in rows_of(tmp_path / "all.jsonl")}) == counts.kept == 77
    mix.write_text("bad: {path: x, weight: 0}\n")
    with pytest.raises(Exception, match="weight of bad"):
        formats.convert(mix, tmp_path / "none.jsonl", "messages")


def test_each_rule_counts_under_its_name(tmp_path: Path) -> None:
    short = Sound(path=str(tone(tmp_path / "short.wav", 0.1)))
    items = [
        spoken(tmp_path, "fits"),
        spoken(tmp_path, "short", user=User(clips=(short,))),
        spoken(tmp_path, "empty", agent=Agent(units=(1,), codec=OSUM_UNITS)),
        spoken(tmp_path, "few", agent=Agent(text="many words are here", units=(1,), codec=OSUM_UNITS)),
        spoken(tmp_path, "owned", licence="CC BY-NC 4.0"),
    ]
    kept, counts = fitting(items, permissive=True)
    assert list(kept) == ["fits"]
    assert {reason: list(keys) for reason, keys in counts.lost.items()} == {
        "audio is too short": ["short"], "text is too short": ["empty"], "fewer units than the text needs": ["few"],
        "licence does not permit shipping": ["owned"],
    }  # fmt: skip
    _, counts = fitting(items[:1], needed=("age",))
    assert set(counts.lost) == {"label age is not known"}
