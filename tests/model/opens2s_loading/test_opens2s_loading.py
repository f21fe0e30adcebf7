"""Tiny checkpoints of the published layout, loaded in every form in which they come, and spoilt in many ways."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from model.interface import PoiseError
from model.opens2s import loading, shards, tiny
from model.opens2s.features import LogMel
from model.opens2s.files import CheckpointError
from model.opens2s.omnispeech import OmniSpeech
from model.opens2s.speech_tokenizer import SpeechTokenizer, SpeechTokenizerConfig
from model.token2wav.flow import Flow
from model.token2wav.hift import Hift

EMBEDDING, HEAD = "tts_lm_model.model.embed_tokens.weight", "tts_lm_model.lm_head.weight"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("good"), seed=7, units=30, window_s=2, interleave="2:3")


@pytest.fixture
def copy(good, tmp_path):
    return shutil.copytree(good, tmp_path / "copy")


def load(folder, **options):
    return loading.load(folder, progress=False, **{"device": "cpu", **options})


def stored(folder):
    found = {}
    for file in folder.glob("model-*.safetensors"):
        found |= load_file(file)
    return {name: tensor.clone() for name, tensor in found.items()}


def restore(folder, state, single=True):
    """Write other weights: one file, or shards again."""
    for file in folder.glob("model*"):
        file.unlink()
    if single:
        save_file(state, folder / "model.safetensors")
    else:
        tiny._save_shards(state, folder, 3)


def same_weights(module, state):
    found = module.state_dict()
    for name, tensor in state.items():
        assert torch.equal(found[name], tensor), name


def change(path, **values):
    data = json.loads(path.read_text(encoding="utf-8"))
    for key, value in values.items():
        place = data
        *way, last = key.split("__")
        for step in way:
            place = place[step]
        place[last] = value
    path.write_text(json.dumps(data), encoding="utf-8")


def test_what_is_loaded_computes_what_the_files_say(good):
    loaded = load(good)
    plain = OmniSpeech(loaded.checkpoint.config).eval()
    state = stored(good)
    plain.load_state_dict({**state, HEAD: state[EMBEDDING]}, strict=True)
    features, mask = loaded.checkpoint.log_mel([torch.sin(torch.arange(20_000) / 9)])
    ids = torch.tensor([[5, 70, 400, 8]])
    with torch.no_grad():
        for one, other in (
            (loaded.model.encode(features, mask)[0], plain.encode(features, mask)[0]),
            (loaded.model.llm_model(ids).logits, plain.llm_model(ids).logits),
            (loaded.model.tts_lm_model(ids).logits, plain.tts_lm_model(ids).logits),
            (loaded.model.speaker(), plain.speaker()),
        ):
            assert torch.equal(one, other)


def test_the_token_decoder_is_loaded_too(good):
    loaded = load(good)
    flow, vocoder = Flow(loaded.checkpoint.flow), Hift(loaded.checkpoint.vocoder)
    flow.load_state_dict(torch.load(good / "decoder" / "flow.pt", weights_only=True), strict=True)
    vocoder.load_state_dict(torch.load(good / "decoder" / "hift.pt", weights_only=True), strict=True)
    same_weights(loaded.flow, flow.state_dict())
    same_weights(loaded.vocoder, vocoder.fold().state_dict())


def test_it_is_ready_for_inference(good):
    loaded = load(good, dtype="bfloat16")
    for module in (loaded.model, loaded.flow, loaded.vocoder):
        assert not module.training
        assert not any(parameter.requires_grad for parameter in module.parameters())
        assert not any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.bfloat16}
    assert loaded.model.llm_model.model.rotary_emb.inv_freq.dtype == torch.float32
    assert {parameter.dtype for part in (loaded.flow, loaded.vocoder) for parameter in part.parameters()} == {
        torch.float32
    }


def test_every_value_comes_from_the_files(good):
    found = load(good).checkpoint
    assert found.tokens.unit_count == found.flow.vocab_size == 30
    assert found.config.interleave == (2, 3)
    assert found.log_mel.chunk == 32_000
    assert found.vocoder.sampling_rate == 22_050
    assert (found.text_limit, found.unit_limit) == (64, 256)
    assert (found.unit_sampling.temperature, found.unit_sampling.top_k, found.unit_sampling.top_p) == (0.6, 20, 0.95)
    assert load(good, compat="upstream").model.compat == "upstream"


def test_the_stored_dtype_is_the_default(tmp_path):
    folder = tiny.write(tmp_path, seed=1, dtype=torch.bfloat16)
    assert load(folder).model.llm_ln.weight.dtype == torch.bfloat16
    assert load(folder, dtype="float32").model.llm_ln.weight.dtype == torch.float32
    with pytest.raises(CheckpointError, match="int4"):
        load(folder, dtype="int4")


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("names", [(EMBEDDING,), (HEAD,), (EMBEDDING, HEAD)], ids=["embedding", "head", "both"])
def test_a_tied_head_may_have_either_name(copy, single, names):
    state = stored(copy)
    table = state.pop(EMBEDDING)
    restore(copy, state | {name: table.clone() for name in names}, single)
    model = load(copy).model
    assert model.tts_lm_model.lm_head.weight is model.tts_lm_model.model.embed_tokens.weight
    assert torch.equal(model.tts_lm_model.lm_head.weight, table)
    assert model.llm_model.lm_head.weight is not model.llm_model.model.embed_tokens.weight


def test_an_untied_head_is_its_own(tmp_path):
    folder = tiny.write(tmp_path, seed=2, tied=False)
    assert not torch.equal(stored(folder)[EMBEDDING], stored(folder)[HEAD])
    same_weights(load(folder).model, stored(folder))
    state = stored(folder)
    del state[HEAD]
    restore(folder, state)
    with pytest.raises(CheckpointError, match=HEAD):
        load(folder)


@pytest.mark.parametrize("sharded", [True, False])
def test_weights_in_pickles_do_as_well(copy, sharded):
    state = stored(copy)
    for file in copy.glob("model*"):
        file.unlink()
    if sharded:
        names = {f"pytorch_model-{n}.bin": list(state)[n::2] for n in range(2)}
        for file, held in names.items():
            torch.save({name: state[name] for name in held}, copy / file)
        index = {"weight_map": {name: file for file, held in names.items() for name in held}}
        (copy / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    else:
        torch.save(state, copy / "pytorch_model.bin")
    same_weights(load(copy).model, state)


def test_nothing_is_kept_of_the_files(copy):
    loaded = load(copy)
    wanted = stored(copy)
    for file in copy.glob("model*.safetensors"):
        file.write_bytes(b"\0" * file.stat().st_size)
    same_weights(loaded.model, wanted)


def test_parameters_have_no_memory_before_they_are_read(good):
    found = loading.read(good)
    model = loading.build(lambda: OmniSpeech(found.config), good)
    assert all(parameter.is_meta for parameter in model.parameters() if parameter.dim() > 1)


def test_all_misfits_are_named_in_one_error(copy):
    state = stored(copy)
    lost = [name for name in state if ".layers.1." in name][:12]
    for name in lost:
        del state[name]
    del state[EMBEDDING]
    state["llm_ln.weight"] = torch.ones(3)
    state["some.adapter"] = torch.ones(2)
    restore(copy, state)
    with pytest.raises(CheckpointError) as caught:
        load(copy)
    said = str(caught.value)
    assert "14 missing" in said  # both names of the tied table
    assert "and 4 more" in said
    assert "1 unknown (some.adapter)" in said
    assert "1 of another shape (llm_ln.weight is 3, not 32)" in said
    assert str(copy) in said


def test_quantised_weights_are_refused_by_name(copy):
    state = stored(copy)
    state["llm2tts.weight"] = state["llm2tts.weight"].to(torch.int8)
    state["llm_ln.bias"] = state["llm_ln.bias"].to(torch.float8_e4m3fn)
    restore(copy, state)
    with pytest.raises(CheckpointError, match=r"2 quantised \(llm2tts.weight, llm_ln.bias\)"):
        load(copy)


def test_the_decoder_must_fit_exactly(copy):
    path = copy / "decoder" / "hift.pt"
    state = torch.load(path, weights_only=True)
    state["conv_pre.weight"] = state.pop("conv_pre.weight_v")
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"1 missing \(conv_pre.weight_v\); 1 unknown \(conv_pre.weight\)"):
        load(copy)


def lose_shard(folder):
    (folder / "model-00002-of-00002.safetensors").unlink()


def cut_shard(folder):
    path = folder / "model-00001-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def escape(folder):
    change(folder / "model.safetensors.index.json", weight_map={"a": "../other.safetensors"})


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lose_shard, "model-00002-of-00002.safetensors"),
        (cut_shard, "model-00001-of-00002.safetensors"),
        (escape, "outside its folder"),
        (lambda f: change(f / "model.safetensors.index.json", weight_map=[]), "weight_map"),
        (lambda f: [file.unlink() for file in f.glob("model*")], "no weights"),
        (lambda f: (f / "config.json").unlink(), "config.json"),
        (lambda f: (f / "config.json").write_text("{"), "config.json"),
        (lambda f: change(f / "config.json", llm_config__vocab_size=100), "llm_config.vocab_size"),
        (lambda f: change(f / "config.json", tts_lm_config__vocab_size=434), "tts_lm_config.vocab_size"),
        (lambda f: change(f / "config.json", tts_lm_config__hidden_size=-8), "network"),
        (lambda f: change(f / "audio" / "preprocessor_config.json", feature_size=80), "80 bins"),
        (lambda f: change(f / "audio" / "preprocessor_config.json", chunk_length=30), "3000 frames"),
        (lambda f: change(f / "generation_config.json", max_new_tokens=0), "generation_config.json"),
        (lambda f: change(f / "tts" / "generation_config.json", temperature="hot"), "temperature"),
        (lambda f: change(f / "tts" / "generation_config.json", top_p=1.5), "top_p"),
        (lambda f: (f / "tts" / "generation_config.json").unlink(), "generation_config.json"),
        (lambda f: shutil.rmtree(f / "decoder"), "decoder"),
        (lambda f: (f / "decoder" / "flow.pt").unlink(), "flow.pt"),
        (lambda f: (f / "decoder" / "config.yaml").write_text("sample_rate: 22050"), "'flow'"),
    ],
)
def test_what_is_wrong_is_named(copy, spoil, named):
    spoil(copy)
    with pytest.raises(PoiseError) as caught:
        load(copy)
    assert named in str(caught.value)


def test_a_decoder_with_another_codebook_is_refused(good, tmp_path):
    other = tiny.write(tmp_path, seed=8, units=31)
    with pytest.raises(CheckpointError, match=r"30 units.*31"):
        load(good, decoder=other / "decoder")


def test_parts_may_lie_on_devices_of_their_own(good):
    loaded = load(good, device={"llm_model": "cpu", "vocoder": "cpu:0"})
    assert next(loaded.model.llm_model.parameters()).device.type == "cpu"
    with pytest.raises(CheckpointError, match="audio_encoder_model"):
        load(good, device={"ears": "cpu"})
    with pytest.raises(CheckpointError, match="abacus"):
        load(good, device="abacus")


def test_the_global_generator_is_left_alone_and_a_seed_repeats(good, tmp_path):
    before = torch.get_rng_state()
    again = tiny.write(tmp_path, seed=7, units=30, window_s=2, interleave="2:3")
    load(again)
    assert torch.equal(torch.get_rng_state(), before)
    one, other = stored(good), stored(again)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_loading_is_silent_unless_asked(good, capfd):
    load(good)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("prefix", ["", "model.encoder."])
def test_the_speech_tokenizer_is_found_in_a_whole_whisper(tmp_path, prefix):
    sizes = {
        "d_model": 16, "encoder_attention_heads": 2, "encoder_ffn_dim": 24, "max_source_positions": 100,
        "num_mel_bins": 8, "pooling_kernel_size": 4, "pooling_type": "avg", "pooling_position": 1,
        "quantize_position": 1, "quantize_vocab_size": 20, "quantize_causal_block_size": 40,
        "encoder_causal_convolution": True, "quantize_ema_decay": 0.99,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"feature_size": 8, "chunk_length": 2}))
    with shards.Weightless():
        like = SpeechTokenizer(SpeechTokenizerConfig.from_dict(sizes), LogMel(8, chunk_length=2)).state_dict()
    generator = torch.Generator().manual_seed(1)
    state = {name: torch.randn(tensor.shape, generator=generator) for name, tensor in like.items()}
    surplus = {"layers.1.fc1.weight": torch.ones(3, 3), "layer_norm.weight": torch.ones(16)}
    save_file({prefix + name: tensor for name, tensor in (state | surplus).items()}, tmp_path / "model.safetensors")
    tokenizer = loading.load_speech_tokenizer(tmp_path, "cpu", progress=False)
    same_weights(tokenizer, state)
    (units,) = tokenizer.units([torch.sin(torch.arange(16_000) / 7)])
    assert len(units) == 13
    save_file(
        {prefix + name: tensor for name, tensor in (surplus | {"bias": torch.ones(1)}).items()},
        tmp_path / "model.safetensors",
    )
    with pytest.raises(CheckpointError, match=r"1 unknown \(bias\)"):
        loading.load_speech_tokenizer(tmp_path, "cpu", progress=False)


def test_a_table_computed_from_sizes_has_memory():
    class Windowed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(4, 4)
            self.register_buffer("window", torch.hann_window(8), persistent=False)

    with shards.Weightless():
        module = Windowed()
    assert module.linear.weight.is_meta
    assert torch.equal(module.window, torch.hann_window(8))
