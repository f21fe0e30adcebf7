"""Names and shapes of all parameters at published sizes, without their memory."""

import json

import pytest
import torch

from model.opens2s.config import OpenS2SConfig
from model.opens2s.features import LogMel
from model.opens2s.omnispeech import OmniSpeech
from model.opens2s.shards import Weightless
from model.opens2s.speech_tokenizer import SpeechTokenizer, SpeechTokenizerConfig
from model.token2wav.config import FlowConfig, HiftConfig
from model.token2wav.flow import Flow
from model.token2wav.hift import Hift
from tests.parity.cases import STATE_DICTS

BUILD = {
    "omnispeech": lambda sizes: OmniSpeech(OpenS2SConfig.from_dict(sizes)),
    "flow": lambda sizes: Flow(FlowConfig.from_dict(sizes["flow"])),
    "hift": lambda sizes: Hift(HiftConfig.from_dict(sizes["hift"])),
    "speech_tokenizer": lambda sizes: SpeechTokenizer(
        SpeechTokenizerConfig.from_dict(sizes), LogMel(sizes["num_mel_bins"])
    ),
}


def published(name):
    """Name and shape of each tensor."""
    header, *lines = (STATE_DICTS / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    assert header.split("\t")[:2] == ["name", "shape"]
    rows = [line.split("\t") for line in lines]
    return {row[0]: tuple(int(size) for size in row[1].split(",") if size) for row in rows}


@pytest.mark.parity
@pytest.mark.parametrize("name", BUILD)
@pytest.mark.parametrize("context", [lambda: torch.device("meta"), Weightless], ids=["meta", "weightless"])
def test_names_and_shapes_are_the_published_ones(name, context):
    sizes = json.loads((STATE_DICTS / f"{name}.config.json").read_text(encoding="utf-8"))
    with context():
        module = BUILD[name](sizes)
    found = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
    wanted = published(name)
    assert sorted(found.keys() ^ wanted.keys()) == []
    assert {key: shape for key, shape in found.items() if shape != wanted[key]} == {}
    assert list(found) == list(wanted)
