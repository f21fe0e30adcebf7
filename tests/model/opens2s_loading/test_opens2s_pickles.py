"""Pickles of weights: code in them is never run, and what is good is rewritten once."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model.opens2s.files import CheckpointError
from model.opens2s.pickles import converted, state_dict


class Bomb:
    """Unpickles by running code."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "flow.pt"
    whole = torch.arange(12.0).reshape(3, 4)
    torch.save({"a": whole, "b": whole[1:], "c.t": whole.t(), "n": torch.tensor(3)}, path)
    return path


def same(found, path):
    wanted = torch.load(path, weights_only=True)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_the_older_format_is_read(weights):
    torch.save(torch.load(weights, weights_only=True), weights, _use_new_zipfile_serialization=False)
    same(load_file(converted(weights)), weights)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])
def test_code_in_a_pickle_is_not_run(tmp_path, nested, old):
    mark, path = tmp_path / "mark", tmp_path / "flow.pt"
    bomb = Bomb(mark)
    torch.save(
        {"weight": torch.zeros(2), "x": {"y": bomb} if nested else bomb}, path, _use_new_zipfile_serialization=not old
    )
    for read in (state_dict, converted):
        with pytest.raises(CheckpointError) as caught:
            read(path)
        assert str(path) in str(caught.value)
    assert not mark.exists()
    assert [found.name for found in tmp_path.iterdir()] == ["flow.pt"]
    torch.load(path, weights_only=False)  # as upstream reads it
    assert mark.exists()


def test_a_bare_pickle_is_not_run(tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "flow.pt"
    path.write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(CheckpointError, match=r"flow\.pt"):
        state_dict(path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"a": 1}, {1: torch.zeros(1)}, {"a": {"b": torch.zeros(1)}}])
def test_anything_but_tensors_by_name_is_refused(tmp_path, content):
    path = tmp_path / "flow.pt"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"flow\.pt"):
        converted(path)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.98])
def test_a_damaged_file_is_named(weights, keep):
    content = weights.read_bytes()
    weights.write_bytes(content[: keep if isinstance(keep, int) else int(keep * len(content))])
    with pytest.raises(CheckpointError, match=r"flow\.pt"):
        converted(weights)


def test_a_missing_file_is_named(tmp_path):
    for read in (state_dict, converted):
        with pytest.raises(CheckpointError, match="missing"):
            read(tmp_path / "flow.pt")


def test_it_is_rewritten_once_and_again_when_it_changes(weights):
    place = converted(weights)
    assert place == weights.with_name("flow.pt.safetensors")
    same(load_file(place), weights)
    before = place.stat().st_mtime_ns, place.stat().st_ino
    assert converted(weights) == place
    assert (place.stat().st_mtime_ns, place.stat().st_ino) == before
    torch.save({"other": torch.ones(5)}, weights)
    same(load_file(converted(weights)), weights)
    place.write_bytes(b"damaged")
    same(load_file(converted(weights)), weights)
    assert sorted(found.name for found in weights.parent.iterdir()) == ["flow.pt", "flow.pt.safetensors"]


def test_where_the_folder_cannot_be_written_the_cache_is_used(weights, tmp_path):
    weights.with_name("flow.pt.safetensors").mkdir()  # in the way of the file
    place = converted(weights)
    assert tmp_path / "cache" in place.parents
    same(load_file(place), weights)
    assert converted(weights) == place


def test_where_nothing_can_be_written_the_pickle_itself_is_read(weights, monkeypatch):
    weights.with_name("flow.pt.safetensors").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    assert converted(weights) == weights
    same(state_dict(converted(weights)), weights)
