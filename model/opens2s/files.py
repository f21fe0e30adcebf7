"""Files of a published checkpoint: where they lie, and JSON and YAML read as plain data.

Nothing that a checkpoint holds is ever run: no remote code, no pickled objects, no YAML constructors.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from model.interface import WeightsError

WANTED = ("*.json", "*.jinja", "*.txt", "*.yaml", "*.safetensors", "*.pt", "*.bin", "tts/*", "audio/*")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_LARGEST = 64 * 2**20  # bytes of a JSON or YAML file: a published tokenizer has 11 MB


class CheckpointError(WeightsError):
    """A published checkpoint is missing, incomplete, damaged, or its parts do not fit together."""

    code = "checkpoint_unusable"


def folder(source: str | Path) -> Path:
    """The local folder of ``source``: a folder, or a hub id ``owner/name`` or ``owner/name@revision``.

    A hub id is downloaded into the hub's own cache, or taken from there. Raises CheckpointError.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise CheckpointError(f"{path} is a file, not the folder of a checkpoint.", "Give the folder it lies in.")
    text = str(source)
    if not _HUB_ID.fullmatch(text) or text.startswith("."):
        mend = "Give the path of a folder, or a hub id such as owner/name."
        raise CheckpointError(f"There is no folder {text}, and it is no hub id.", mend)
    return _download(*text.split("@", 1))


def _download(name: str, revision: str | None = None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(WANTED)))
    except Exception as error:  # the hub client raises its own, its HTTP library's and the system's errors
        reason = type(error).__name__
        raise CheckpointError(
            f"{name} is neither a folder here nor to be had from the hub ({reason}).",
            "Check the name and the network (HF_HUB_OFFLINE unset), or download it elsewhere and give the folder.",
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; raises CheckpointError that names the file and the place."""
    text = read_text(path)
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        where = f" near line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise CheckpointError(f"{path} is not valid JSON{where}.", "Download the file again.") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} does not hold an object.", "Download the file again.")
    return found


def read_text(path: Path) -> str:
    """The content of a text file; raises CheckpointError that names it."""
    try:
        if path.stat().st_size > _LARGEST:
            raise CheckpointError(f"{path} is larger than any file of its kind.", "Download the file again.")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing.", "Download the checkpoint again, with all its files.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}).", "Download the file again.") from None


class _Reference(str):
    """``!ref <name>`` before it is looked up."""


class _PlainLoader(yaml.SafeLoader):
    """Reads hyperpyyaml as data: ``!new:x`` and its kin keep what stands under them and build nothing."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):  # aliases can blow a small file up to any size
            raise yaml.YAMLError("aliases are not supported")
        return super().compose_node(parent, index)


def _plain(loader: _PlainLoader, tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        fields = loader.construct_mapping(node, deep=True)
        wrapped = tag.endswith("omegaconf.DictConfig") and isinstance(fields.get("content"), dict)
        return fields["content"] if wrapped else fields
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    text = str(node.value)
    return _Reference(text) if tag == "ref" else text


_PlainLoader.add_multi_constructor("!", _plain)
# YAML 1.2 (and hyperpyyaml) reads 1e-06 as a number, YAML 1.1 (and PyYAML) as a string
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a (hyperpy)YAML file as plain data; references to top-level values are followed.

    Tags construct nothing. Raises CheckpointError that names the file.
    """
    try:
        found = yaml.load(read_text(path), Loader=_PlainLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise CheckpointError(f"{path} is not valid YAML near line {line}.", "Download the file again.") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} does not hold named sections.", "Download the file again.")
    result: dict[str, Any] = _resolved(found, found)
    return result


def _resolved(value: Any, top: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(item, top) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, top) for item in value]
    seen = 0
    while isinstance(value, _Reference) and seen < len(top):  # a chain longer than the file is a circle
        target = top.get(value.strip("<> "))
        seen += 1
        if isinstance(target, dict | list):
            return str(value)  # whole sections are never copied
        value = target
    return None if isinstance(value, _Reference) else value
