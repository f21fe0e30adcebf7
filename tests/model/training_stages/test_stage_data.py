"""Rows: what is lost is counted with its reason, what is kept is dealt exactly once, and nothing is made up."""

import random
from collections import Counter

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.training.stages.data import Entry, Frames, Limits, Rows, deal
from model.training.stages.empathy import Empathy
from model.training.stages.examples import LostRowError, StageError, clip
from model.training.stages.layout import Speller
from tests.model.training_stages import toy


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return toy.opened(tmp_path_factory.mktemp("model"))


def rows_of(checkpoint, path, limits=None):
    speller, course = Speller.of(checkpoint.checkpoint), Empathy(as_text=0)
    config = checkpoint.checkpoint.config
    return Rows([path], lambda e, n: course.lay(speller, e, n), checkpoint.log_mel, config, limits or Limits())


def user(audio):
    reply = {"role": "assistant", "content": "Yes."}
    return {"messages": [{"role": "user", "content": [{"audio": audio}]}, reply]}


def test_lost_rows_are_counted_by_reason(checkpoint, tmp_path):
    good = toy.spoken(tmp_path)
    soundfile.write(tmp_path / "short.wav", np.zeros(1000, np.float32), 16_000)
    (tmp_path / "noise.wav").write_bytes(b"RIFF????")
    no_voice = toy.spoken(tmp_path)[1]
    no_voice["messages"][1]["content"][0]["spk_emb"] = "nobody.npy"
    bad = [user("nowhere.wav"), user("noise.wav"), user("short.wav"), "no json", no_voice, {"messages": []}, ""]
    long = {"messages": [{"role": "user", "content": "word " * 4000}, {"role": "assistant", "content": "Yes."}]}
    rows = rows_of(checkpoint, toy.write([*good, *bad, long], tmp_path / "rows.jsonl"))
    rows.survey(tmp_path / "kept.json", "")
    assert len(rows) == len(good)
    assert rows.lost == {
        "a clip cannot be read": 2,
        "a clip is shorter than 0.5 s": 1,
        "not a row of messages": 1,
        "a speaker embedding cannot be read": 1,
        "neither a reply nor an action to learn from": 1,
        "longer than 4096 positions": 1,
    }
    assert sum(rows.lost.values()) + len(rows) + 1 == len([*good, *bad, long])  # an empty line is nothing


def test_a_survey_is_taken_over_until_the_data_change(checkpoint, tmp_path):
    path = toy.write(toy.spoken(tmp_path), tmp_path / "rows.jsonl")
    rows_of(checkpoint, path).survey(tmp_path / "kept.json", "a")
    (tmp_path / "0.wav").write_bytes(b"")
    again = rows_of(checkpoint, path)
    again.survey(tmp_path / "kept.json", "a")
    assert len(again) == 6
    with pytest.raises(StageError, match="a clip cannot be read"):
        again[[0]]
    other = rows_of(checkpoint, path)
    other.survey(tmp_path / "kept.json", "b")
    assert (len(other), other.lost) == (5, {"a clip cannot be read": 1})


def test_nothing_to_learn_from_is_an_error(checkpoint, tmp_path):
    rows = rows_of(checkpoint, toy.write(["x", "y"], tmp_path / "rows.jsonl"))
    with pytest.raises(StageError, match="2 for: not a row of messages"):
        rows.survey(tmp_path / "kept.json", "")
    with pytest.raises(StageError, match="cannot be read"):
        rows_of(checkpoint, tmp_path / "none.jsonl").survey(tmp_path / "kept.json", "")


def test_lengths_are_those_of_the_model(checkpoint, tmp_path):
    rows = rows_of(checkpoint, toy.write(toy.spoken(tmp_path), tmp_path / "rows.jsonl"))
    rows.survey(tmp_path / "kept.json", "")
    for number, entry in enumerate(rows.entries):
        packed = rows[[number]]
        batch = packed.batch
        with torch.inference_mode():
            frames = int(checkpoint.model.encode(batch.features, batch.features_mask)[1].sum())
        assert entry.length == batch.ids.shape[1] - 1 + frames + packed.units.ids.shape[1]
    count = Frames(checkpoint.checkpoint.config, checkpoint.log_mel)
    for samples in (500, 16_000, 16_001, 40_000):
        features, mask = checkpoint.log_mel([torch.zeros(samples)])
        with torch.inference_mode():
            assert count(samples) == int(checkpoint.model.encode(features, mask)[1].sum())


def test_a_batch_holds_each_rows_own_units_and_speaker(checkpoint, tmp_path):
    written = toy.spoken(tmp_path)
    written[1] = {"messages": [{"role": "user", "content": "Hm?"}, {"role": "assistant", "content": "Yes."}]}
    rows = rows_of(checkpoint, toy.write(written, tmp_path / "rows.jsonl"))
    rows.survey(tmp_path / "kept.json", "")
    packed = rows[[2, 1, 0]]
    bias = checkpoint.checkpoint.tokens.unit_bias
    said = [[int(i) - bias for i in row[:12]] for row in packed.units.ids]
    assert said == [[(2 * 7 + n) % toy.UNITS for n in range(12)], list(range(12))]
    assert not packed.units.speakers[0].any()
    assert packed.units.speakers[1].any()
    assert len(packed.batch.features) == 2


def test_clips_of_any_rate_and_channels_are_read(tmp_path):
    wave = np.stack([np.linspace(-0.5, 0.5, 22_050), np.zeros(22_050)], 1).astype(np.float32)
    soundfile.write(tmp_path / "a.flac", wave, 22_050)
    assert clip(tmp_path / "a.flac", 16_000).shape == (16_000,)
    soundfile.write(tmp_path / "b.wav", np.full(9000, np.nan, np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(LostRowError, match="no numbers"):
        clip(tmp_path / "b.wav", 16_000)


kinds = st.sampled_from([(False, False), (True, False), (True, True)])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(kinds, st.integers(5, 90)), min_size=1, max_size=70),
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 9),
)  # fmt: skip
def test_every_row_is_dealt_once(given_rows, size, accumulation, processes, seed):
    entries = [Entry(file=0, start=0, line=n, sheet=0, kind=k, length=size_) for n, (k, size_) in enumerate(given_rows)]
    left = []
    total = size * accumulation * processes
    steps = list(deal(entries, size, total, processes, random.Random(seed), left))
    assert len(steps) == -(-len(entries) // total)
    dealt = Counter(row for step in steps for micro in step for mine in micro for row in mine)
    assert set(dealt.values()) <= {1}
    assert sorted([*dealt, *left]) == list(range(len(entries)))
    assert all(number < processes for number in Counter(entries[row].kind for row in left).values())
    for step in steps:
        for micro in step:
            assert len(micro) == processes
            assert all(micro)
            assert len({entries[row].kind for mine in micro for row in mine}) == 1
            assert max(map(len, micro)) <= 2 * size
