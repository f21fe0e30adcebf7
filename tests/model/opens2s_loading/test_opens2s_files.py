"""JSON and YAML of a checkpoint as plain data, and where a checkpoint is looked for."""

import contextlib

import pytest
from huggingface_hub import constants

from model.opens2s import files
from model.opens2s.files import CheckpointError, read_json, read_yaml


def written(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_tags_become_plain_data_and_references_are_followed(tmp_path):
    path = written(
        tmp_path,
        """\
__set_seed1: !apply:random.seed [1986]
rate: 22050
again: !ref <rate>
flow: !new:some.Class
    rate: !ref <again>
    sigma: 1e-06
    small: -2.5E+3
    name: '1e-06'
    params: !new:omegaconf.DictConfig
        content:
            solver: 'euler'
    builder: !name:some.function
    lists: [[1, 3], [!ref <rate>]]
    part: !ref <flow>
    nothing: !ref <nowhere>
""",
    )
    assert read_yaml(path) == {
        "__set_seed1": [1986],
        "rate": 22050,
        "again": 22050,
        "flow": {
            "rate": 22050,
            "sigma": 1e-6,
            "small": -2500.0,
            "name": "1e-06",
            "params": {"solver": "euler"},
            "builder": "",
            "lists": [[1, 3], [22050]],
            "part": "<flow>",
            "nothing": None,
        },
    }


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:pathlib.Path.touch [{mark}]",
        "a: !apply:pathlib.Path.touch [{mark}]",
        "a: !new:subprocess.Popen\n    args: [touch, {mark}]",
        "a: !!python/name:os.system",
    ],
)
def test_nothing_is_constructed(tmp_path, text):
    """Upstream's reader runs what `!new` and `!apply` name; ours keeps the words or refuses."""
    mark = tmp_path / "mark"
    path = written(tmp_path, text.format(mark=mark))
    with contextlib.suppress(CheckpointError):
        assert isinstance(read_yaml(path)["a"], dict | list)
    assert not mark.exists()


def test_references_in_a_circle_end(tmp_path):
    assert read_yaml(written(tmp_path, "a: !ref <b>\nb: !ref <a>\n")) == {"a": None, "b": None}


@pytest.mark.parametrize(
    "text", ["a: [1,", "- 1", "", "a: &x [1]\nb: *x", "a: 1\n\tb: 2", "? [1]\n: 2\n" + "[" * 5000, "\x00"]
)
def test_damaged_yaml_is_named(tmp_path, text):
    path = written(tmp_path, text)
    with pytest.raises(CheckpointError) as caught:
        read_yaml(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff{}", b'{"a": 1,}', b"[" * 100_000, None])
def test_damaged_json_is_named(tmp_path, content):
    path = tmp_path / "config.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_json(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("source", ["nowhere", "./no/where", "../no", "a/b/c", "/no/such", "owner/name; rm"])
def test_what_is_no_folder_and_no_hub_id_is_named(source):
    with pytest.raises(CheckpointError, match="no hub id"):
        files.folder(source)


def test_a_file_is_not_a_checkpoint(tmp_path):
    path = tmp_path / "model.safetensors"
    path.touch()
    with pytest.raises(CheckpointError, match="is a file"):
        files.folder(path)


def test_without_network_a_hub_id_is_an_error_in_plain_words(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError) as caught:
        files.folder("nobody/no-such-checkpoint")
    assert "nobody/no-such-checkpoint" in str(caught.value)
    assert "network" in caught.value.mend
