"""A checkpoint of a few thousand weights and data of a few rows, the same each time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile
import torch
from safetensors.torch import save_file

from model.opens2s import shards, tiny
from model.opens2s.features import LogMel
from model.opens2s.speech_tokenizer import SpeechTokenizer, SpeechTokenizerConfig
from model.training.stages.folders import Opened, open_for_training
from model.training.stages.trainer import Plan

UNITS = 24
FAST = Plan(rate=3e-3, warmup=2, batch=2, accumulation=2, precision="no", save_every=1000, steps=12, weight_decay=0.0)
WORDS = ("Good morning.", "I am so tired.", "It rains again.", "Tell me more.", "We won the game!", "Where is my bag?")
REPLIES = ("Good morning to you.", "Then rest a little.", "Stay inside.", "Gladly.", "How lovely!", "On the chair.")


def checkpoint(folder: Path) -> Path:
    """A folder of the published layout."""
    return tiny.write(folder, seed=3, units=UNITS, width=16, layers=1)


def opened(folder: Path) -> Opened:
    """The same, open for training."""
    return open_for_training(checkpoint(folder))


def units(seed: int, count: int = 12) -> str:
    """A row of units as it is written."""
    return "".join(f"<|audio_{(seed * 7 + n) % UNITS}|>" for n in range(count))


def clips(folder: Path) -> list[str]:
    """A tone for each of WORDS, of different lengths; their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(len(WORDS)):
        t = np.arange(int(16_000 * (0.55 + 0.05 * n))) / 16_000
        soundfile.write(folder / f"{n}.wav", (0.3 * np.sin(2 * np.pi * (150 + 90 * n) * t)).astype(np.float32), 16_000)
    return [f"{n}.wav" for n in range(len(WORDS))]


def spoken(folder: Path) -> list[dict]:
    """Rows with audio of the user (with transcripts), a spoken reply, and labels."""
    emotions = ("happy", "sad", None, "neutral", "happy", "angry")
    rows, names = [], clips(folder)
    np.save(folder / "voice.npy", np.linspace(-1, 1, 512, dtype=np.float32).reshape(1, 1, 512))
    for n, name in enumerate(names):
        reply = {"text": REPLIES[n], "speech_units": units(n), "spk_emb": "voice.npy" if n == 0 else ""}
        rows.append(
            {
                "messages": [
                    {"role": "user", "content": [{"text": WORDS[n], "audio": name}]},
                    {"role": "assistant", "content": [reply]},
                ],
                "extra": {"q_emotion": emotions[n], "reply_emotion": "<comforting>", "think_str": "A tired voice."},
            }
        )
    return rows


def write(rows: list, path: Path) -> Path:
    """Rows as JSON Lines; what is a string already is written as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def speech_tokenizer(folder: Path) -> Path:
    """A speech tokenizer of UNITS codes."""
    sizes = {
        "d_model": 16, "encoder_attention_heads": 2, "encoder_ffn_dim": 24, "max_source_positions": 100,
        "num_mel_bins": 8, "pooling_kernel_size": 4, "pooling_type": "avg", "pooling_position": 1,
        "quantize_position": 1, "quantize_vocab_size": UNITS, "quantize_causal_block_size": 40,
        "encoder_causal_convolution": True,
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(sizes))
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": 8, "chunk_length": 2}))
    with shards.Weightless():
        like = SpeechTokenizer(SpeechTokenizerConfig.from_dict(sizes), LogMel(8, chunk_length=2)).state_dict()
    generator = torch.Generator().manual_seed(1)
    state = {name: torch.randn(tensor.shape, generator=generator) for name, tensor in like.items()}
    save_file(state, folder / "model.safetensors")
    return folder
