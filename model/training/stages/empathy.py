"""Stage 3, empathy: spoken replies to what was said and how, with a thought before them (OpenS2S; OSUM-EChat).

Data: conversations with audio of the user and units of the reply (speech to speech), with text of the user and units
(text to speech), or with text replies. Every reply is learnt with the turns before it as serving replays them. Where
all clips have transcripts, a share of rows is also laid out with these instead (``as_text``): the report found that
without text-to-speech rows the decoder fails on text.

A thought stands before the reply, between the thinking marks: ``tags`` (age, gender, emotion, sound event, planned
emotion of the reply; a slot without a label is masked from loss and attention), ``natural`` (the row's ``think_str``),
or ``none``; which one is drawn for each row by the weights of ``thinking`` among those that the row allows, so that
the model can be served with each. Labels stand in the row under the names of `thoughts.FIELDS`.

Action judgement: a row whose ``extra`` has an ``action`` gets a last slot for it; without a reply the thought alone
is learnt. Such rows go into the same files or into further ones.

Trained: adapter, LLM, bridge, speech decoder. Frozen: audio encoder. Loss: thought, text and units, weights 1.0.
Schedule of the published script for this: rate 2e-5, else as stage 1. The report has 50 k English and 50 k Chinese
empathetic rows, 100 k general ones, and text-to-speech rows drawn from these.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from pydantic import Field

from model.serving.thinking import TAGS, Style
from model.training.stages.examples import Example, Item, LostRowError, Said
from model.training.stages.layout import Sheet, Speller, lay
from model.training.stages.stage import Stage
from model.training.stages.thoughts import ACTION, WORDS, Thought, natural, tags
from model.training.stages.trainer import Plan

Slots = tuple[tuple[str, tuple[str, ...]], ...]


class Empathy(Stage):
    """Settings of stage 3."""

    plan: Plan = Plan(rate=2e-5)
    trained: tuple[str, ...] = ("audio_adapter.", "llm_model.", "llm2tts.", "llm_ln.", "tts_lm_model.")
    thinking: dict[Style, float] = Field({"none": 1.0, "tags": 1.0, "natural": 1.0}, min_length=1)
    slots: Slots = TAGS
    action: tuple[str, tuple[str, ...]] = ACTION
    as_text: float = 0.1  # share of rows that are also learnt from the transcripts
    seed: int = 1  # of what is drawn for each row

    def lay(self, speller: Speller, example: Example, line: int) -> Sequence[Sheet]:
        """Every reply; a row with an action and no reply as a thought alone."""
        chance = random.Random(f"{self.seed}:{line}")
        turns = example.messages
        places = [n for n, turn in enumerate(turns) if turn.role == "assistant"]
        if turns and turns[-1].role == "user" and example.extra.get("action"):
            places.append(len(turns))
        if not places:
            raise LostRowError("neither a reply nor an action to learn from")
        sheets = []
        for n in places:
            # what is known about a row is known about its last turn
            thought = self._thought(speller, example, chance) if n == places[-1] else None
            reply = turns[n] if n < len(turns) else None
            sheets.append(lay(speller, turns[:n], reply, thought))
            written = _written(turns[:n])
            if chance.random() < self.as_text and written is not None:
                sheets.append(lay(speller, written, reply, thought))
        return sheets

    def _thought(self, speller: Speller, example: Example, chance: random.Random) -> Thought | None:
        encode, extra = speller.renderer.codec.encode, example.extra
        if extra.get("action"):
            return tags(encode, extra, (*self.slots, self.action))
        words = next((str(extra[name]).strip() for name in WORDS if extra.get(name)), "")
        weights = {style: weight for style, weight in self.thinking.items() if words or style != "natural"}
        if not sum(weights.values()):
            raise LostRowError("no thought in words")
        (style,) = chance.choices(list(weights), list(weights.values()))
        if style == "none":
            return None
        return tags(encode, extra, self.slots) if style == "tags" else natural(encode, words)


def _written(turns: Sequence[Said]) -> list[Said] | None:
    """The turns with transcripts in place of the clips; None where there is no clip, or one without transcript."""
    clips = [item for turn in turns for item in turn.content if item.audio]
    if not clips or not all(item.text.strip() for item in clips):
        return None
    return [turn.model_copy(update={"content": tuple(Item(text=item.text) for item in turn.content)}) for turn in turns]
