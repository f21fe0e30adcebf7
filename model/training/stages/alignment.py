"""Data for stage 1: what the LLM itself goes on to say, given the words of a recording (behaviour alignment, BLSP).

From rows whose user turns hold a clip and its transcript, three kinds of rows are made:

- *continue*: the LLM continues the words; the row has the same instruction and the clip, but not the words;
- *feel*, where the emotion is known: the LLM continues the words as somebody who feels so; the row's instruction says
  only that the tone is to be followed;
- *note*, where the emotion is known: no LLM; the words, then the emotion as a tag (transcript and label).

Greedy, thinking off. A run goes on where an earlier one stopped, and can be split over several processes.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.progress import track
from transformers import GenerationConfig

from model.interface import EMOTIONS, Record
from model.opens2s.loading import load
from model.opens2s.omnispeech import OmniSpeech
from model.opens2s.prompting import Message
from model.training.stages.data import counted
from model.training.stages.examples import LostRowError, StageError, read
from model.training.stages.layout import Speller
from model.training.stages.stage import Tell
from model.training.stages.thoughts import label_of

CONTINUE = "Continue what is said here in the same style, with a few sentences that could follow it directly."
FEEL = "Continue what is said here with a few sentences that could follow it directly. Let the tone of voice guide you."
FELT = "Continue what is said here with a few sentences that could follow it directly. The speaker sounds {emotion}."
NOTE = "Write down what is said, then the speaker's emotion in angle brackets."
Task = Literal["continue", "feel", "note"]


class Alignment(Record):
    """Which rows are made, and how."""

    tasks: tuple[Task, ...] = ("continue", "feel", "note")
    longest: int = 1024  # new tokens
    batch: int = 8  # rows of the LLM at once


class Ask(Record):
    """A row in the making: what the LLM is told (nothing if ``answer`` is known), and the row's own instruction."""

    line: int
    audio: str
    task: Task
    told: str
    instruction: str
    answer: str = ""
    extra: dict[str, Any]


def make(
    model: str | Path, data: Path, out: Path, settings: Alignment, part: tuple[int, int] = (0, 1), tell: Tell = print
) -> Counter[str]:
    """Write rows made of ``data`` to ``out``; returns lost rows by reason.

    ``part`` (rank, of how many): the lines from round(n rank / parts) on, up to where the next part begins. Raises
    StageError or CheckpointError.
    """
    lines = _lines(data)
    low, high = (round(len(lines) * rank / part[1]) for rank in (part[0], part[0] + 1))
    done = _done(out)
    loaded = load(model, progress=False)
    speller = Speller.of(loaded.checkpoint)
    lost: Counter[str] = Counter()
    asks = _asks(lines, range(max(low, done + 1), high), data.parent, out.parent, settings.tasks, lost)
    written = 0
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file:
        while batch := list(islice(asks, settings.batch)):
            for ask, answer in zip(batch, _answers(loaded.model, speller, batch, settings.longest), strict=True):
                if not answer:
                    lost["the LLM says nothing"] += 1
                    continue
                file.write(json.dumps(_row(ask, answer), ensure_ascii=False) + "\n")
                written += 1
            file.flush()
    tell(f"{out}: {written} rows written, lost: {counted(lost)}")
    return lost


def part_of(text: str) -> tuple[int, int]:
    """``rank/parts`` as numbers; raises StageError for anything else."""
    rank, _, parts = text.partition("/")
    if not (rank.isdecimal() and parts.isdecimal() and int(rank) < int(parts)):
        raise StageError(f"There is no part {text!r}.", "Write it as 0/8, counted from 0.")
    return int(rank), int(parts)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StageError(f"{path} cannot be read ({error}).", "Give a file of messages in JSON Lines.") from None


def _done(out: Path) -> int:
    """The last line whose rows are all there; those of the one after it are taken back. -1 if there is none."""
    if not out.is_file():
        return -1
    rows = [line for line in out.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    last = json.loads(rows[-1])["extra"]["line"] if rows else 0
    kept = [line for line in rows if json.loads(line)["extra"]["line"] < last]
    out.write_text("".join(kept), encoding="utf-8")
    return int(last) - 1


def _asks(
    lines: Sequence[str], numbers: range, source: Path, target: Path, tasks: Sequence[Task], lost: Counter[str]
) -> Iterator[Ask]:
    for number in track(numbers, "continuing", console=Console(stderr=True), transient=True):
        try:
            example = read(lines[number])
            turn = next((turn for turn in example.messages if turn.role == "user"), None)
            items = [item for item in turn.content if item.audio] if turn else []
            if len(items) != 1 or not items[0].text.strip():
                raise LostRowError("not one clip with its transcript in the first turn")
        except LostRowError as reason:
            lost[str(reason)] += 1
            continue
        words, clip = items[0].text.strip(), os.path.relpath(source / items[0].audio, target)
        emotion = label_of(example.extra, "emotion", EMOTIONS)
        known = {"line": number, "audio": clip, "extra": {**example.extra, "line": number}}
        if "continue" in tasks:
            yield Ask.model_validate(
                {**known, "task": "continue", "told": f"{CONTINUE}\n{words}", "instruction": CONTINUE}
            )
        if emotion and "feel" in tasks:
            told = f"{FELT.format(emotion=emotion)}\n{words}"
            yield Ask.model_validate({**known, "task": "feel", "told": told, "instruction": FEEL})
        if emotion and "note" in tasks:
            answer = f"{words} <{emotion}>"
            yield Ask.model_validate({**known, "task": "note", "told": "", "instruction": NOTE, "answer": answer})


@torch.inference_mode()
def _answers(model: OmniSpeech, speller: Speller, asks: Sequence[Ask], longest: int) -> list[str]:
    """What each row's reply is; the LLM says those that are not known."""
    tokens, renderer = speller.tokens, speller.renderer
    found = [ask.answer for ask in asks]
    open_ = [n for n, answer in enumerate(found) if not answer]
    if not open_:
        return found
    prompts = [renderer.prompt([Message(role="user", items=(asks[n].told,))]).ids[:-1] for n in open_]
    width, end = max(map(len, prompts)), tokens.text_eos[0]
    ids = torch.tensor([[end] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    llm = model.llm_model
    greedy = GenerationConfig(
        do_sample=False, max_new_tokens=longest, eos_token_id=list(tokens.text_eos), pad_token_id=end
    )
    said = llm.generate(ids.to(llm.device), attention_mask=mask.to(llm.device), generation_config=greedy)
    for n, row in zip(open_, said[:, width:].tolist(), strict=True):
        stop = next((place for place, token in enumerate(row) if token in tokens.text_eos), len(row))
        found[n] = renderer.codec.decode(row[:stop]).strip()
    return found


def _row(ask: Ask, answer: str) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": [{"text": ask.instruction}, {"audio": ask.audio}]},
            {"role": "assistant", "content": [{"text": answer, "speech_units": ""}]},
        ],
        "extra": {**ask.extra, "task": ask.task},
    }
