"""Loads the published model from a folder or the hub: every part read from its files, checked against the others.

Nothing published is assumed: sizes, token ids, limits and rates all come from the checkpoint, and what does not fit is
an error that names it. How tensors get into modules is `shards`' job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from torch import nn

from model.opens2s import files, shards, tokens
from model.opens2s.compat import Compat
from model.opens2s.config import OpenS2SConfig
from model.opens2s.errors import RequestError
from model.opens2s.features import LogMel
from model.opens2s.files import CheckpointError
from model.opens2s.omnispeech import OmniSpeech
from model.opens2s.pickles import converted
from model.opens2s.sampling import Sampling
from model.opens2s.speech_tokenizer import SpeechTokenizer, SpeechTokenizerConfig, adapt_state_dict
from model.opens2s.tokens import TextCodec, Tokens
from model.token2wav.config import FlowConfig, HiftConfig
from model.token2wav.flow import Flow
from model.token2wav.hift import Hift

Module = TypeVar("Module", bound=nn.Module)
Devices = str | Mapping[str, str]  # "auto", one device, or devices by part
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
DECODER = ("flow", "vocoder")  # parts of the token decoder, by the names that device maps use


@dataclass(frozen=True)
class Checkpoint:
    """All of a checkpoint but its weights, read and found to fit together."""

    folder: Path
    decoder: Path
    config: OpenS2SConfig
    flow: FlowConfig
    vocoder: HiftConfig
    log_mel: LogMel
    tokens: Tokens
    codec: TextCodec
    text_sampling: Sampling
    unit_sampling: Sampling
    text_limit: int | None  # most new tokens, where the checkpoint says so
    unit_limit: int | None


@dataclass(frozen=True)
class Loaded:
    """A checkpoint and its networks, ready for inference; the token decoder is always float32."""

    checkpoint: Checkpoint
    model: OmniSpeech
    flow: Flow
    vocoder: Hift


def load(
    source: str | Path,
    decoder: str | Path | None = None,
    *,
    device: Devices = "auto",
    dtype: str = "auto",
    compat: Compat = None,
    progress: bool = True,
) -> Loaded:
    """Load a checkpoint: folder or hub id, with the token decoder from ``decoder`` (default: its ``decoder`` folder).

    ``device``: "auto" (a GPU if there is one), a device, or devices by part ("llm_model", "flow", ...; parts that are
    not named go to the automatic one). ``dtype``, of the speech language model: one of DTYPES, or "auto" for the stored
    one.
    Raises CheckpointError, or the error of the part whose configuration cannot be used.
    """
    return fill(read(source, decoder), device, dtype, compat, progress)


def read(source: str | Path, decoder: str | Path | None = None) -> Checkpoint:
    """All but the weights; raises as `load` does."""
    folder = files.folder(source)
    place = decoder_folder(folder, decoder)
    config = read_config(folder)
    flow, vocoder = read_decoder_config(place)
    ids, codec = tokens.read(folder)
    text_sampling, text_limit = read_sampling(folder / "generation_config.json")
    unit_sampling, unit_limit = read_sampling(folder / "tts" / "generation_config.json")
    checkpoint = Checkpoint(
        folder=folder,
        decoder=place,
        config=config,
        flow=flow,
        vocoder=vocoder,
        log_mel=read_log_mel(folder, config),
        tokens=ids,
        codec=codec,
        text_sampling=text_sampling,
        unit_sampling=unit_sampling,
        text_limit=text_limit,
        unit_limit=unit_limit,
    )
    _fit(checkpoint)
    return checkpoint


def decoder_folder(folder: Path, decoder: str | Path | None) -> Path:
    """Where the token decoder lies."""
    if decoder is not None:
        return files.folder(decoder)
    if (folder / "decoder").is_dir():
        return folder / "decoder"
    raise CheckpointError(
        f"There is no token decoder in {folder / 'decoder'}.",
        "Give the folder or hub id of the decoder (config.yaml, flow.pt, hift.pt).",
    )


def read_config(folder: Path) -> OpenS2SConfig:
    """Sizes of the speech language model."""
    return OpenS2SConfig.from_dict(files.read_json(folder / "config.json"))


def read_decoder_config(folder: Path) -> tuple[FlowConfig, HiftConfig]:
    """Sizes of the token decoder: its published YAML, read as data."""
    path = folder / "config.yaml"
    sizes = files.read_yaml(path)
    for section in ("flow", "hift"):
        if not isinstance(sizes.get(section), dict):
            raise CheckpointError(f"{path} has no section {section!r}.", "Take the decoder's published config.yaml.")
    vocoder = HiftConfig.from_dict(sizes["hift"])
    return FlowConfig.from_dict(sizes["flow"]).for_vocoder(vocoder), vocoder


def read_log_mel(folder: Path, config: OpenS2SConfig) -> LogMel:
    """The features that the audio encoder was trained on."""
    settings = files.read_json(folder / "audio" / "preprocessor_config.json")
    return LogMel.from_config(settings, minimum_frames=3 if config.pooled else 1)


def read_sampling(path: Path) -> tuple[Sampling, int | None]:
    """How a generation_config.json draws tokens, and how many at most (None if it does not say)."""
    values = files.read_json(path)
    limit = values.get("max_new_tokens")
    try:
        sampling = Sampling.from_config(values)
        if limit is not None and (type(limit) is not int or limit < 1):
            raise RequestError(f"max_new_tokens is {limit!r}.", "Give a whole number from 1 up, or leave it out.")
    except RequestError as error:
        raise CheckpointError(f"{path}: {error.wrong}", error.mend) from None
    except TypeError:
        wrong = f"{path} has a temperature, top_k or top_p that is no number."
        raise CheckpointError(wrong, "Write numbers, or leave them out.") from None
    return sampling, limit


def _fit(found: Checkpoint) -> None:
    """Sizes that two files must agree on; raises CheckpointError that names both."""
    config, ids = found.config, found.tokens
    audio, log_mel = config.audio_encoder_config, found.log_mel
    units, codebook = ids.unit_count, found.flow.vocab_size
    window, frames = 2 * audio.max_source_positions, log_mel.chunk // log_mel.hop
    pairs = (
        (ids.largest_text < config.llm_config.vocab_size, "the text tokenizer", "llm_config.vocab_size"),
        (ids.largest_unit < config.tts_lm_config.vocab_size, "the unit tokenizer in tts", "tts_lm_config.vocab_size"),
        (units == codebook, f"the unit tokenizer ({units} units)", f"the decoder's codebook ({codebook})"),
        (log_mel.bins == audio.num_mel_bins, f"the preprocessor ({log_mel.bins} bins)", "audio_encoder_config"),
        (frames == window, f"the preprocessor's chunk ({frames} frames)", f"the encoder's window ({window})"),
        (found.flow.output_size == found.vocoder.in_channels, "the flow's mel bins", "the vocoder's"),
    )
    for fits, one, other in pairs:
        if not fits:
            wrong = f"In {found.folder}, {one} and {other} do not fit each other."
            raise CheckpointError(
                wrong, "Take all files from the same checkpoint, and the decoder that it was made for."
            )


def build(make: Callable[[], Module], where: Path) -> Module:
    """A network with parameters that have no memory yet; raises CheckpointError if its sizes make none."""
    try:
        with shards.Weightless():
            return make()
    except (ValueError, TypeError, ArithmeticError, RuntimeError, AssertionError, LookupError) as error:
        wrong = f"The sizes in {where} make no network ({error})."
        raise CheckpointError(wrong, "Take the configuration that was saved with the weights.") from error


def model_weights(folder: Path) -> shards.Shards:
    """The weights of the speech language model."""
    return shards.Shards(shards.find(folder))


def decoder_weights(folder: Path, name: str) -> shards.Shards:
    """The weights of "flow" or "hift"; a pickle is rewritten as safetensors, once."""
    plain = folder / f"{name}.safetensors"
    return shards.Shards([plain if plain.is_file() else converted(folder / f"{name}.pt")])


def fill(checkpoint: Checkpoint, device: Devices, dtype: str, compat: Compat, progress: bool) -> Loaded:
    """Build the networks and read their weights, straight to their devices."""
    folder, decoder = checkpoint.folder, checkpoint.decoder
    model = build(lambda: OmniSpeech(checkpoint.config, compat=compat), folder)
    flow = build(lambda: Flow(checkpoint.flow, compat), decoder)
    vocoder = build(lambda: Hift(checkpoint.vocoder, compat), decoder)
    place = places(device, model)
    spoken, flows, vocoders = model_weights(folder), decoder_weights(decoder, "flow"), decoder_weights(decoder, "hift")
    if dtype not in ("auto", *DTYPES):
        raise CheckpointError(f"There is no dtype {dtype!r} for weights.", f"Take auto, {', '.join(DTYPES)}.")
    with _bar(sum(held.values for held in (spoken, flows, vocoders)), progress) as seen:
        shards.fill(model, spoken, folder, place, DTYPES.get(dtype, spoken.dtype), seen)
        shards.fill(flow, flows, decoder, lambda _: place("flow"), torch.float32, seen)
        shards.fill(vocoder, vocoders, decoder, lambda _: place("vocoder"), torch.float32, seen)
    vocoder.fold().requires_grad_(False)
    return Loaded(checkpoint, model, flow, vocoder)


def load_speech_tokenizer(
    source: str | Path, device: str = "auto", *, compat: Compat = None, progress: bool = True
) -> SpeechTokenizer:
    """The tokenizer that makes units from audio, from a folder or the hub, in float32. Raises CheckpointError.

    Its file may hold a whole Whisper; what lies behind the codebook is left out.
    """
    folder = files.folder(source)
    config = SpeechTokenizerConfig.from_dict(files.read_json(folder / "config.json"))
    log_mel = LogMel.from_config(files.read_json(folder / "preprocessor_config.json"))
    module = build(lambda: SpeechTokenizer(config, log_mel, compat=compat), folder)
    held = shards.Shards(shards.find(folder), lambda state: adapt_state_dict(state, config))
    where = _device(_automatic(device))
    with _bar(held.values, progress) as seen:
        shards.fill(module, held, folder, lambda _: where, torch.float32, seen)
    return module


def places(device: Devices, model: nn.Module) -> Callable[[str], torch.device]:
    """The device of each part by the first word of a parameter's name; raises CheckpointError for unknown words."""
    by_part = {} if isinstance(device, str) else dict(device)
    known = [name for name, _ in model.named_children()] + list(DECODER)
    for name in by_part:
        if name not in known:
            raise CheckpointError(f"The device map names {name!r}.", f"Its parts are {', '.join(known)}.")
    default = _automatic(device if isinstance(device, str) else "auto")
    chosen = {name: _device(by_part.get(name, default)) for name in known}
    return lambda name: chosen[name.partition(".")[0]]


def _automatic(device: str) -> str:
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _device(name: str) -> torch.device:
    try:
        found = torch.device(name)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).splitlines() or ["unknown"])[0]
        raise CheckpointError(
            f"The device {name!r} cannot be used ({reason}).", 'Take "cpu", "cuda" or "auto".'
        ) from None
    return found


@contextmanager
def _bar(total: int, shown: bool) -> Iterator[Callable[[int], None]]:
    columns: tuple[Any, ...] = (TextColumn("loading"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True) as bar:
        task = bar.add_task("loading", total=total)
        yield lambda values: bar.advance(task, values)
