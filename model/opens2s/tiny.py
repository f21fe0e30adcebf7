"""A checkpoint folder of the published layout with tiny random weights, for tests, benchmarks and trials of the server.

It babbles. Every file that a real checkpoint has is there, in the same form, so that what loads this loads that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE
from torch import Tensor, nn

from model.opens2s.config import OpenS2SConfig
from model.opens2s.files import read_yaml
from model.opens2s.omnispeech import OmniSpeech
from model.opens2s.shards import Weightless, ties
from model.token2wav.config import FlowConfig, HiftConfig
from model.token2wav.flow import Flow
from model.token2wav.hift import Hift

SENTENCES = (
    "You are a helpful assistant.",
    "That sounds like a long day. Do you want to tell me more about it?",
    "I am glad that you called; let us look at it together, one thing at a time.",
    "Heute war es ruhig, und am Abend kam der Regen.",
    "今天天气很好，我们出去走走吧。",
)
# as a chat model's tokenizer has them, then the four that OpenS2S adds, in its order
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
PLAIN = ("<think>", "</think>")
ADDED = ("<|im_audio_start|>", "<|im_audio_end|>", "<|im_tts_start|>", "<|im_tts_end|>")
_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEMPLATE = """\
{%- for turn in messages %}
    {%- set words = turn['content'] %}
    {%- if turn['role'] == 'assistant' and '</think>' in words %}
        {%- set words = words.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- '<|im_start|>' + turn['role'] + '\\n' + words + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and not enable_thinking %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""


def write(
    folder: Path,
    seed: int = 0,
    *,
    units: int = 48,
    width: int = 32,
    layers: int = 2,
    window_s: int = 1,
    interleave: str = "4:8",
    tied: bool = True,
    shards: int = 2,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """Write the checkpoint into ``folder`` and its token decoder into ``folder/decoder``; returns ``folder``.

    ``units``: size of the codebook; ``width``: of all networks, a multiple of 16; ``window_s``: seconds in one window
    of the audio encoder; ``tied``: whether the speech decoder's two ends are one tensor.
    """
    generator = torch.Generator().manual_seed(seed)
    text = _tokenizer([*ADDED])
    unit = _tokenizer([f"<|audio_{n}|>" for n in range(units)])
    ends = [text.token_to_id(token) for token in ("<|im_end|>", "<|endoftext|>")]
    config = _config(width, layers, window_s, interleave, tied, text.get_vocab_size(), unit.get_vocab_size())
    _save_tokenizer(text, folder)
    _save_tokenizer(unit, folder / "tts")
    _save_json(folder / "config.json", config)
    sampling = {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "pad_token_id": ends[1]}
    _save_json(folder / "generation_config.json", {**sampling, "eos_token_id": ends, "max_new_tokens": 64})
    _save_json(folder / "tts" / "generation_config.json", {**sampling, "eos_token_id": ends[0], "max_new_tokens": 256})
    _save_json(folder / "audio" / "preprocessor_config.json", _preprocessor(window_s))
    model = _random(lambda: OmniSpeech(OpenS2SConfig.from_dict(config)), generator)
    _save_shards({name: tensor.to(dtype) for name, tensor in model.items()}, folder, shards)
    _write_decoder(folder / "decoder", units, width, generator)
    return folder


def _tokenizer(extra: list[str]) -> Tokenizer:
    """A byte-level BPE with the pre-tokenizer of the Qwen family, taught on a few sentences."""
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([*SENTENCES, "system\nuser\nassistant\n\n"], trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in PLAIN])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in extra])
    return tokenizer


def _save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "Qwen2Tokenizer",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 2048,
        "chat_template": TEMPLATE,
    }
    _save_json(folder / "tokenizer_config.json", settings)


def _config(
    width: int, layers: int, window_s: int, interleave: str, tied: bool, text: int, units: int
) -> dict[str, Any]:
    heads = width // 8
    language = {
        "model_type": "qwen3",
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 2,
        "head_dim": 8,
        "intermediate_size": 2 * width,
        "rope_theta": 1e6,
        "rms_norm_eps": 1e-6,
        "max_position_embeddings": 2048,
        "attention_bias": False,
        "hidden_act": "silu",
    }
    return {
        "architectures": ["OmniSpeechModel"],
        "model_type": "omnispeech",
        "audio_encoder_config": {
            "model_type": "qwen2_audio_encoder",
            "num_mel_bins": 16,
            "d_model": width,
            "encoder_layers": layers,
            "encoder_attention_heads": heads,
            "encoder_ffn_dim": 2 * width,
            "max_source_positions": 50 * window_s,
            "activation_function": "gelu",
            "scale_embedding": False,
        },
        "llm_config": {**language, "hidden_size": width, "vocab_size": text, "tie_word_embeddings": False},
        "tts_lm_config": {**language, "hidden_size": width, "vocab_size": units, "tie_word_embeddings": tied},
        "lora_config": None,
        "conv_kernel_sizes": "5,5",
        "adapter_inner_dim": width,
        "interleave_strategy": interleave,
    }


def _preprocessor(window_s: int) -> dict[str, Any]:
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": 16,
        "sampling_rate": 16_000,
        "hop_length": 160,
        "chunk_length": window_s,
        "n_fft": 400,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": True,
    }


def _decoder_config(units: int, width: int) -> str:
    """The token decoder's configuration as it is published: hyperpyyaml, with sections that nobody needs."""
    return f"""\
__set_seed1: !apply:random.seed [1986]
sample_rate: 22050
llm_input_size: {width}
spk_embed_dim: 192
llm: !new:cosyvoice.llm.llm.TransformerLM
    llm_input_size: !ref <llm_input_size>
    text_encoder: !new:cosyvoice.transformer.encoder.ConformerEncoder
        input_size: !ref <llm_input_size>
flow: !new:cosyvoice.flow.flow.MaskedDiffWithXvec
    input_size: {width}
    output_size: 80
    spk_embed_dim: !ref <spk_embed_dim>
    output_type: 'mel'
    vocab_size: {units}
    input_frame_rate: 12.5
    only_mask_loss: True
    encoder: !new:cosyvoice.transformer.encoder.BlockConformerEncoder
        output_size: {width}
        attention_heads: 2
        linear_units: {2 * width}
        num_blocks: 2
        dropout_rate: 0.1
        positional_dropout_rate: 0.1
        attention_dropout_rate: 0.1
        normalize_before: True
        input_layer: 'linear'
        pos_enc_layer_type: 'rel_pos_espnet'
        selfattention_layer_type: 'block_rel_selfattn'
        block_size: 10
        input_size: {width}
        use_cnn_module: False
        macaron_style: False
    length_regulator: !new:cosyvoice.flow.length_regulator.InterpolateRegulator
        channels: 80
        sampling_ratios: [1, 1]
    decoder: !new:cosyvoice.flow.flow_matching.ConditionalCFM
        in_channels: 240
        n_spks: 1
        spk_emb_dim: 80
        cfm_params: !new:omegaconf.DictConfig
            content:
                sigma_min: 1e-06
                solver: 'euler'
                t_scheduler: 'cosine'
                training_cfg_rate: 0.2
                inference_cfg_rate: 0.7
                reg_loss_type: 'l1'
        estimator: !new:cosyvoice.flow.decoder.ConditionalDecoder
            in_channels: 320
            out_channels: 80
            channels: [{width}, {width}]
            dropout: 0
            attention_head_dim: 8
            n_blocks: 1
            num_mid_blocks: 1
            num_heads: 2
            act_fn: 'gelu'
hift: !new:cosyvoice.hifigan.generator.HiFTGenerator
    in_channels: 80
    base_channels: {width}
    nb_harmonics: 8
    sampling_rate: !ref <sample_rate>
    nsf_alpha: 0.1
    nsf_sigma: 0.003
    nsf_voiced_threshold: 10
    upsample_rates: [8, 8]
    upsample_kernel_sizes: [16, 16]
    istft_params:
        n_fft: 16
        hop_len: 4
    resblock_kernel_sizes: [3]
    resblock_dilation_sizes: [[1, 3]]
    source_resblock_kernel_sizes: [3, 3]
    source_resblock_dilation_sizes: [[1, 3], [1, 3]]
    lrelu_slope: 0.1
    audio_limit: 0.99
    f0_predictor: !new:cosyvoice.hifigan.f0_predictor.ConvRNNF0Predictor
        num_class: 1
        in_channels: 80
        cond_channels: {width}
get_tokenizer: !name:whisper.tokenizer.get_tokenizer
    multilingual: True
data_pipeline: [!ref <get_tokenizer>]
"""


def _write_decoder(folder: Path, units: int, width: int, generator: torch.Generator) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(_decoder_config(units, width), encoding="utf-8")
    sizes = read_yaml(folder / "config.yaml")
    torch.save(_random(lambda: Flow(FlowConfig.from_dict(sizes["flow"])), generator), folder / "flow.pt")
    vocoder = _random(lambda: Hift(HiftConfig.from_dict(sizes["hift"])), generator)
    vocoder["conv_post.weight_g"] *= 0.2  # magnitudes are exponentials: noise, but not at full scale
    vocoder["conv_post.bias"] -= 1
    torch.save(vocoder, folder / "hift.pt")


def _random(build: Callable[[], nn.Module], generator: torch.Generator) -> dict[str, Tensor]:
    """Weights for a module: gains near 1, matrices that keep the size of what they map; one name for a tied tensor."""
    with Weightless():
        module = build()
    second = {name for group in ties(module) for name in group if "embed" not in name}
    return {name: _fill(name, like, generator) for name, like in module.state_dict().items() if name not in second}


def _fill(name: str, like: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(like.shape, generator=generator)
    if name.endswith("bias") or like.dim() == 0:
        return 0.1 * noise
    if like.dim() == 1 or name.endswith("weight_g"):
        return 1 + 0.1 * noise
    return noise / math.sqrt(like[0].numel())


def _save_shards(state: Mapping[str, Tensor], folder: Path, count: int) -> None:
    names = list(state)
    files = {f"model-{n + 1:05d}-of-{count:05d}.safetensors": names[n::count] for n in range(count)}
    for file, held in files.items():
        save_file({name: state[name].contiguous() for name in held}, folder / file, metadata={"format": "pt"})
    total = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    where = {name: file for file, held in files.items() for name in held}
    _save_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": where})


def _save_json(path: Path, data: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False), encoding="utf-8")
