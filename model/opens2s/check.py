"""Looks through a checkpoint part by part and says what is there, what is missing, and whether it loads.

`check` goes on after a fault, so that one run names all of them; `show` writes the result for people.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import torch
from tokenizers import Tokenizer
from torch import nn

from model.interface import PoiseError, Record
from model.opens2s import files, loading, shards, tokens
from model.opens2s.config import OpenS2SConfig
from model.opens2s.loading import DTYPES, Devices
from model.opens2s.omnispeech import OmniSpeech
from model.opens2s.prompting import SYSTEM, Message, Renderer
from model.opens2s.sampling import Sampling
from model.opens2s.tokens import TextCodec, Tokens
from model.token2wav.flow import Flow
from model.token2wav.hift import Hift

T = TypeVar("T")
_TALK = (
    Message(role="user", items=("Hello there.\nHow are you?",)),
    Message(role="assistant", items=("Quite well.",)),
    Message(role="user", items=("So am I.",)),
)


class Note(str):
    """A detail that is worth knowing, but nothing wrong."""


class Finding(Record):
    """One part of the checkpoint."""

    part: str
    state: Literal["ok", "note", "bad"]
    detail: str


class Report(Record):
    """All that was found."""

    findings: tuple[Finding, ...]
    parameters: dict[str, int]  # by part; a tied tensor counts once

    @property
    def usable(self) -> bool:
        """True if nothing is wrong."""
        return all(finding.state != "bad" for finding in self.findings)

    def memory(self, dtype: str) -> int:
        """Bytes of all weights with the speech language model in ``dtype``; the token decoder stays in float32."""
        decoder = sum(self.parameters.get(name, 0) for name in loading.DECODER)
        return (sum(self.parameters.values()) - decoder) * DTYPES[dtype].itemsize + decoder * 4


def check(
    source: str | Path,
    decoder: str | Path | None = None,
    *,
    device: Devices = "auto",
    dtype: str = "auto",
    load: bool = True,
    progress: bool = False,
) -> Report:
    """Look through a checkpoint; with ``load``, and if nothing is wrong so far, load it as well."""
    found = _Search()
    folder = found.step("folder", lambda: files.folder(source), str)
    if folder is None:
        return found.report()
    place = found.step("decoder folder", lambda: loading.decoder_folder(folder, decoder), str)
    _look_at_model(found, folder)
    if place is not None:
        _look_at_decoder(found, place)
    if not found.sound:
        return found.report()
    whole = found.step("all parts together", lambda: loading.read(folder, place), lambda _: "fit each other")
    if load and whole is not None:
        found.step("loading", lambda: loading.fill(whole, device, dtype, None, progress), _loaded)
    return found.report()


def _look_at_model(found: _Search, folder: Path) -> None:
    config = found.step("config.json", lambda: loading.read_config(folder), _ratio)
    known = found.step("tokenizers", lambda: tokens.read(folder), _units)
    if known is not None:
        found.step("chat template", lambda: template(folder, *known), lambda said: said)
    for path in (folder / "generation_config.json", folder / "tts" / "generation_config.json"):
        found.step(str(path.relative_to(folder)), partial(loading.read_sampling, path), _limit)
    if config is None:
        found.step("model weights", lambda: loading.model_weights(folder), _held)
        return
    found.step("audio features", lambda: loading.read_log_mel(folder, config), lambda m: f"{m.bins} bins, {m.rate} Hz")
    model = found.weights("model", lambda: OmniSpeech(config), lambda: loading.model_weights(folder), folder)
    if model is not None:
        found.parameters |= {name: _count(part) for name, part in model.named_children()}


def _look_at_decoder(found: _Search, folder: Path) -> None:
    sizes = found.step("config.yaml", lambda: loading.read_decoder_config(folder), lambda c: f"{c[1].sampling_rate} Hz")
    if sizes is None:
        return
    flow = found.weights("flow", lambda: Flow(sizes[0]), lambda: loading.decoder_weights(folder, "flow"), folder)
    vocoder = found.weights("hift", lambda: Hift(sizes[1]), lambda: loading.decoder_weights(folder, "hift"), folder)
    for name, part in zip(loading.DECODER, (flow, vocoder), strict=True):
        if part is not None:
            found.parameters[name] = _count(part)


class _Search:
    """Findings so far."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.parameters: dict[str, int] = {}

    def step(self, part: str, work: Callable[[], T], detail: Callable[[T], str]) -> T | None:
        """Do one step and note how it went; None if it failed."""
        try:
            value = work()
        except PoiseError as error:
            self.findings.append(Finding(part=part, state="bad", detail=str(error)))
            return None
        said = detail(value)
        self.findings.append(Finding(part=part, state="note" if isinstance(said, Note) else "ok", detail=str(said)))
        return value

    def weights(
        self, part: str, make: Callable[[], nn.Module], held: Callable[[], shards.Shards], where: Path
    ) -> nn.Module | None:
        """Compare names and shapes; the network without memory, or None if it cannot be built."""
        module = self.step(f"{part} network", lambda: loading.build(make, where), lambda m: f"{_count(m):,} parameters")
        has = self.step(f"{part} weights", held, _held)
        if module is not None and has is not None:
            self.step(f"{part} names and shapes", lambda: _compare(module, has, where), str)
        return module

    @property
    def sound(self) -> bool:
        """True if nothing is wrong so far."""
        return all(finding.state != "bad" for finding in self.findings)

    def report(self) -> Report:
        return Report(findings=tuple(self.findings), parameters=self.parameters)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _compare(module: nn.Module, held: shards.Shards, where: Path) -> str:
    wrong = shards.misfits(module, held.entries, where)
    if wrong is not None:
        raise wrong
    return "all fit"


def _ratio(config: OpenS2SConfig) -> str:
    return "{} text states to {} units".format(*config.interleave)


def _units(known: tuple[Tokens, TextCodec]) -> str:
    return f"{known[0].unit_count} units, the first is token {known[0].unit_bias}"


def _limit(found: tuple[Sampling, int | None]) -> str:
    return f"at most {found[1]} tokens" if found[1] else Note("no limit of new tokens; the engine sets one")


def _held(found: shards.Shards) -> str:
    return f"{len(found.entries)} tensors in {len(found.files)} files, most in {_name(found.dtype)}"


def _loaded(found: loading.Loaded) -> str:
    weight = found.model.llm_ln.weight
    return f"done, on {weight.device} in {_name(weight.dtype)}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def template(folder: Path, ids: Tokens, codec: TextCodec) -> str:
    """Whether the checkpoint's own chat template writes what our renderer writes; its code runs in a sandbox."""
    own = _own_template(folder)
    if own is None:
        return Note("none in the checkpoint; prompts are written as the Qwen3 family does")
    from transformers import PreTrainedTokenizerFast

    spelt: Tokenizer = tokens.open_tokenizer(folder)
    writer = PreTrainedTokenizerFast(tokenizer_object=spelt, chat_template=own)
    said = Message(role="system", items=(SYSTEM,)), *_TALK
    talk = [{"role": turn.role, "content": turn.items[0]} for turn in said]
    try:
        text = writer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    except Exception as error:  # whatever a template does wrong
        return Note(f"the checkpoint's own cannot be used ({type(error).__name__})")
    theirs = spelt.encode(text, add_special_tokens=False).ids
    ours = Renderer(ids, codec).prompt(_TALK).ids
    if list(ours) == [*theirs, ids.tts_start]:
        return "the checkpoint's own and ours agree"
    return Note("the checkpoint's own differs from the Qwen3 family's, which is what Poise writes")


def _own_template(folder: Path) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return files.read_text(path)
    settings = folder / "tokenizer_config.json"
    own = files.read_json(settings).get("chat_template") if settings.is_file() else None
    if isinstance(own, list):  # several, by name
        own = next((each.get("template") for each in own if each.get("name") == "default"), None)
    return own if isinstance(own, str) else None


def show(report: Report) -> str:
    """The report as text: a line for each part, then sizes, then the verdict."""
    marks = {"ok": "ok  ", "note": "note", "bad": "BAD "}
    lines = [f"{marks[each.state]} {each.part}: {each.detail}" for each in report.findings]
    if report.parameters:
        lines += [f"     {name:20s} {count:15,d} parameters" for name, count in report.parameters.items()]
        for dtype in DTYPES:
            lines.append(f"     weights in {dtype}: {report.memory(dtype) / 1e6:,.1f} MB")
    lines.append("This checkpoint can be used." if report.usable else "This checkpoint cannot be used as it is.")
    return "\n".join(lines)
