"""The token decoder against recorded numbers of the published one."""

import json

import pytest
import torch

from model.token2wav.cfm import ConditionalCfm
from model.token2wav.config import CfmConfig, EncoderConfig, FlowConfig, HiftConfig, RegulatorConfig
from model.token2wav.flow import Flow
from model.token2wav.flow_encoder import FlowEncoder
from model.token2wav.hift import Hift
from model.token2wav.regulator import LengthRegulator
from model.token2wav.upstream import Draws, UpstreamStream
from tests.parity.cases import STATE_DICTS, load, names

pytestmark = pytest.mark.parity
COMPATS = pytest.mark.parametrize("compat", ["upstream", None])


def ready(module, case, prefix=""):
    own = {name.removeprefix(prefix): tensor for name, tensor in case.weights.items() if name.startswith(prefix)}
    module.load_state_dict(own, strict=True)
    return module.eval()


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("folder", names("flow_encoder"))
def test_flow_encoder(folder):
    case = load(folder)
    encoder = ready(FlowEncoder(EncoderConfig.from_dict(case.config["encoder"])), case)
    ys, masks = encoder(case.inputs["xs"], case.inputs["xs_lens"])
    case.check("ys", ys)
    case.check("masks", masks)


@pytest.mark.parametrize("folder", names("length_regulator"))
def test_length_regulator(folder):
    case = load(folder)
    config = RegulatorConfig.from_dict(case.config["length_regulator"])
    case.check("y", ready(LengthRegulator(config, "upstream"), case)(case.inputs["x"], case.inputs["ylens"]))


@pytest.mark.parametrize("folder", names("cfm"))
def test_cfm(folder):
    case = load(folder)
    cfm = ready(ConditionalCfm(CfmConfig.from_dict(case.config["decoder"]), "upstream"), case)
    z, mu, mask, spks, cond = (case.inputs[name] for name in ("z", "mu", "mask", "spks", "cond"))
    case.check("estimator_out", cfm.estimator(z, mask, mu, case.inputs["t"], spks, cond))
    case.check("mel", cfm(z, mu, spks, cond, mask, steps=case.config["n_timesteps"]))


@COMPATS
@pytest.mark.parametrize("folder", names("flow"))
def test_flow(folder, compat):
    case = load(folder)
    flow = ready(Flow(FlowConfig.from_dict(case.config["flow"]), compat), case)
    for n in range(case.config["n_calls"]):
        given = {name: case.inputs[f"call{n}.{name}"] for name in ("prompt_token", "token", "z", "embedding")}
        units = torch.cat((given["prompt_token"], given["token"]), 1)
        prompt = case.inputs[f"call{n}.prompt_feat"].transpose(1, 2)
        case.check(f"call{n}.mel", flow(units, given["z"], given["embedding"], prompt))


@COMPATS
@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("folder", names("hift"))
def test_hift(folder, folded, compat):
    case = load(folder)
    hift = ready(Hift(HiftConfig.from_dict(case.config["hift"]), compat), case)
    if folded:
        hift.fold()
    mel, phase, noise = case.inputs["mel"], case.inputs["phase"], case.inputs["noise"]
    case.check("f0", hift.f0_predictor(mel))
    source, _ = hift.m_source(case.outputs["f0"], phase, noise)
    case.check("source_before_cache", source)
    case.check("audio", hift.decode(mel, case.outputs["source"]))
    audio, source = hift(mel, phase, noise, case.inputs.get("cache_source"))
    case.check("source", source, "end_to_end_atol")
    case.check("audio", audio, "end_to_end_atol")


@pytest.mark.parametrize("folder", names("token2wav_stream"))
def test_upstream_stream(folder):
    case = load(folder)
    flow = ready(Flow(FlowConfig.from_dict(case.config["flow"]), "upstream"), case, "flow.")
    hift = ready(Hift(HiftConfig.from_dict(case.config["hift"]), "upstream"), case, "hift.")
    stream = UpstreamStream(flow, hift, case.inputs["embedding"])
    blocks = case.inputs["tokens"].split(case.config["blocks"], 1)
    for n, units in enumerate(blocks):
        draws = Draws(*(case.inputs[f"block{n}.{name}"] for name in ("z", "phase", "noise")))
        assert stream.returned.shape[2] == int(case.outputs[f"block{n}.prompt_frames"])
        audio, mel = stream.push(units, n == len(blocks) - 1, draws)
        case.check(f"block{n}.mel", mel)
        case.check(f"block{n}.audio", audio)


@pytest.mark.parametrize(("name", "kind", "config"), [("flow", Flow, FlowConfig), ("hift", Hift, HiftConfig)])
def test_names_and_shapes_are_the_published_ones(name, kind, config):
    sizes = json.loads((STATE_DICTS / f"{name}.config.json").read_text(encoding="utf-8"))[name]
    with torch.device("meta"):
        module = kind(config.from_dict(sizes))
    lines = (STATE_DICTS / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:]
    wanted = [tuple(line.split("\t")[:2]) for line in lines]
    assert [(key, ",".join(map(str, value.shape))) for key, value in module.state_dict().items()] == wanted
