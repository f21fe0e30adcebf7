"""The recorded cases themselves: that there are some, and that each has somebody who runs it."""

import json

import pytest

from tests.parity.cases import VECTORS, load

KNOWN = {
    "features", "encoder", "adapter", "splice_llm", "speech_decoder", "generate", "speech_tokenizer",
    "flow_encoder", "length_regulator", "cfm", "flow", "hift", "token2wav_stream",
}  # fmt: skip
FOLDERS = sorted(path.parent for path in VECTORS.glob("*/meta.json"))


@pytest.mark.parity
def test_there_are_cases():
    assert FOLDERS, f"{VECTORS} holds no cases"


@pytest.mark.parity
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_case_is_run_by_somebody(folder):
    assert json.loads((folder / "meta.json").read_text())["component"] in KNOWN


@pytest.mark.parity
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_wrong_number_is_noticed(folder):
    case = load(folder)
    if not case.meta["atol"]:
        return  # a case of ids only
    name = next(iter(case.meta["atol"]))
    case.check(name, case.outputs[name])
    with pytest.raises(AssertionError, match="off by"):
        case.check(name, case.outputs[name] + 2 * case.meta["atol"][name])
