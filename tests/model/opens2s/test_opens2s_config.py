import pytest

from model.opens2s.config import OpenS2SConfig
from model.opens2s.errors import ConfigError
from tests.model.opens2s.small import build, config


def test_what_is_written_is_parsed():
    read = OpenS2SConfig.from_dict(config(extra="ignored"))
    assert (read.kernels, read.interleave, read.adapter_inner_dim) == ((5, 3), (2, 3), 6)
    assert read.llm_config.hidden_size == 16


def test_what_is_missing_takes_upstreams_default():
    data = config()
    for name in ("conv_kernel_sizes", "interleave_strategy", "adapter_inner_dim", "lora_config"):
        del data[name]
    read = OpenS2SConfig.from_dict(data)
    assert (read.kernels, read.interleave, read.adapter_inner_dim) == ((5, 5), (1, 2), 512)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"llm_config": None}, "llm_config"),
        ({"tts_lm_config": {"hidden_size": 8}}, "tts_lm_config"),
        ({"llm_config": {"model_type": "no such"}}, "llm_config"),
        ({"audio_encoder_config": {"model_type": "qwen3"}}, "audio_encoder_config"),
        ({"interleave_strategy": "4"}, "interleave_strategy"),
        ({"interleave_strategy": "4:0"}, "interleave_strategy"),
        ({"conv_kernel_sizes": "5;5"}, "conv_kernel_sizes"),
        ({"adapter_inner_dim": "wide"}, "adapter_inner_dim"),
    ],
)
def test_what_makes_no_sense_is_named(changes, named):
    with pytest.raises(ConfigError, match=named):
        OpenS2SConfig.from_dict(config(**changes))


def test_heads_are_tied_as_configured():
    model = build()
    assert model.tts_lm_model.lm_head.weight is model.tts_lm_model.model.embed_tokens.weight
    assert model.llm_model.lm_head.weight is not model.llm_model.model.embed_tokens.weight


def test_the_stored_dtype_is_left_to_the_loader():
    data = config()
    data["llm_config"] = {**data["llm_config"], "torch_dtype": "bfloat16"}
    model = build(llm_config=data["llm_config"])
    assert {weight.dtype for weight in model.parameters()} == {model.llm_ln.weight.dtype}
