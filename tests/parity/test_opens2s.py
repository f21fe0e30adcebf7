"""The rebuilt OpenS2S against recorded numbers of the published code."""

import pytest
import torch
from transformers import AutoConfig

from model.opens2s.adapter import Subsampler
from model.opens2s.config import OpenS2SConfig
from model.opens2s.encoder import AudioEncoder
from model.opens2s.features import LogMel
from model.opens2s.generation import Limits, generate
from model.opens2s.interleave import Units, interleave, shifted_cross_entropy
from model.opens2s.layers import within
from model.opens2s.omnispeech import OmniSpeech
from model.opens2s.sampling import Sampling
from model.opens2s.speech_tokenizer import SpeechTokenizer, SpeechTokenizerConfig
from model.opens2s.splice import Batch, splice
from tests.parity.cases import load, names

pytestmark = pytest.mark.parity


def waveforms(case):
    return [case.inputs[f"waveform_{k}"] for k in range(case.config["n_waveforms"])]


def omnispeech(case):
    """The whole small model with the case's weights; tied heads are absent from them."""
    model = OmniSpeech(OpenS2SConfig.from_dict(case.config), compat="upstream").eval()
    loaded = model.load_state_dict(case.weights, strict=False)
    tied = {
        f"{name}.lm_head.weight"
        for name in ("llm_model", "tts_lm_model")
        if case.config[name.replace("_model", "_config")].get("tie_word_embeddings")
    }
    assert set(loaded.missing_keys) <= tied
    assert not loaded.unexpected_keys
    return model


def masked(values, mask):
    return values * mask.to(values.dtype)[..., None]


@pytest.mark.parametrize("folder", names("features"))
def test_features(folder):
    case = load(folder)
    features, mask = LogMel.from_config(case.config["feature_extractor"])(waveforms(case), compat="upstream")
    kept = case.config.get("keep_frames", features.shape[2])
    case.check("input_features", features[:, :, :kept])
    case.check("attention_mask", mask)
    assert torch.equal(features[:, :, kept:], features[:, :, kept - 1 : kept].expand_as(features[:, :, kept:]))


@pytest.mark.parametrize("folder", names("encoder"))
@torch.inference_mode()
def test_encoder(folder):
    case = load(folder)
    sizes = dict(case.config["audio_encoder_config"])
    encoder = AudioEncoder(AutoConfig.for_model(sizes.pop("model_type"), **sizes)).eval()
    encoder.load_state_dict(case.weights)
    states, lengths = encoder(case.inputs["input_features"], case.inputs["attention_mask"].sum(1))
    case.check("output_lengths", lengths)
    case.check("last_hidden_state", states)


@pytest.mark.parametrize("folder", names("adapter"))
@torch.inference_mode()
def test_adapter(folder):
    case = load(folder)
    sizes = case.config
    kernels = tuple(map(int, sizes["conv_kernel_sizes"].split(",")))
    adapter = Subsampler(sizes["in_dim"], sizes["mid_dim"], sizes["out_dim"], kernels, compat="upstream").eval()
    adapter.load_state_dict(case.weights)
    y, lengths = adapter(case.inputs["x"], case.inputs["attention_mask"].sum(1))
    case.check("y", y)
    case.check("mask", within(lengths, int(lengths.max())))


@pytest.mark.parametrize("folder", names("splice_llm"))
@torch.inference_mode()
def test_splice_and_llm(folder):
    case = load(folder)
    model = omnispeech(case)
    given = case.inputs
    speech = {"features": given["speech_values"], "features_mask": given["speech_mask"]}
    embeddings, mask = model.encode(given["speech_values"], given["speech_mask"])
    case.check("speech_features", embeddings)
    case.check("speech_features_mask", mask)
    batch = Batch(given["input_ids"], given["attention_mask"], given["labels"], given["token_types"], **speech)
    spliced = splice(model, batch, left=case.config["left_pad"])
    case.check("inputs_embeds", spliced.embeddings)
    case.check("attention_mask_out", spliced.mask)
    case.check("labels_out", spliced.labels)
    case.check("token_types_out", spliced.types)
    states = model.llm_model.base_model(inputs_embeds=spliced.embeddings, attention_mask=spliced.mask)[0]
    logits = model.llm_model.get_output_embeddings()(states)
    case.check("hidden_states", masked(states, spliced.mask))
    case.check("logits", masked(logits, spliced.mask))
    case.check("loss", shifted_cross_entropy(logits, spliced.labels)[None])


@pytest.mark.parametrize("folder", names("speech_decoder"))
@torch.inference_mode()
def test_speech_decoder(folder):
    case = load(folder)
    model = omnispeech(case)
    given = case.inputs
    units = Units(given["speech_units"], given["speech_units_mask"], given["spk_embs"])
    row = interleave(model, given["hidden_states"], given["token_types"], units)
    case.check("tts_inputs_embeds", row.embeddings)
    case.check("tts_attention_mask", row.mask)
    case.check("tts_labels", row.labels)
    states = model.tts_lm_model.base_model(inputs_embeds=row.embeddings, attention_mask=row.mask)[0]
    logits = model.tts_lm_model.get_output_embeddings()(states)
    case.check("logits", masked(logits, row.mask))
    case.check("loss", shifted_cross_entropy(logits, row.labels)[None])


@pytest.mark.parametrize("folder", names("generate"))
def test_generate(folder):
    case = load(folder)
    limits = [
        Limits.from_config(case.config[name], Sampling(), compat="upstream")
        for name in ("generation_config", "tts_generation_config")
    ]
    batch = Batch(
        case.inputs["input_ids"],
        features=case.inputs.get("speech_values"), features_mask=case.inputs.get("speech_mask"),
    )  # fmt: skip
    made = generate(omnispeech(case), batch, text=limits[0], units=limits[1])
    case.check("text_ids", torch.tensor([made.text_ids]))
    case.check("unit_token_ids", torch.tensor([made.unit_token_ids]))
    if "rounds" in case.meta:
        assert [{"text": list(text), "units": list(units)} for text, units in made.rounds] == case.meta["rounds"]


@pytest.mark.parametrize("folder", names("speech_tokenizer"))
@torch.inference_mode()
def test_speech_tokenizer(folder):
    case = load(folder)
    tokenizer = SpeechTokenizer(
        SpeechTokenizerConfig.from_dict(case.config["tokenizer_config"]),
        LogMel.from_config(case.config["feature_extractor"]),
    ).eval()
    tokenizer.load_state_dict(case.weights)
    features, mask = tokenizer.features(waveforms(case))
    case.check("input_features", features)
    case.check("attention_mask", mask)
    found = tokenizer(features, mask.sum(1))
    case.check("pre_vq_hidden", found.states)
    case.check("token_ids", found.ids)
    case.check("token_mask", within(found.lengths, found.ids.shape[1]))
    distances = (found.states[:, :, None] - tokenizer.codebook.weight).square().sum(-1)
    best = distances.topk(2, largest=False).values
    case.check("top2_distance_gap", best[..., 1] - best[..., 0])
    for k, units in enumerate(tokenizer.units(waveforms(case))):
        case.check(f"units_{k}", units)
