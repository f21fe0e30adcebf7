"""Stage 2, generation: the speech decoder learns to speak, first from words, then from what the LLM thinks.

Data: any rows with spoken replies; each spoken reply is read aloud, whatever was said before it.

(a) *words*: words to units, the words embedded by the decoder's own table. Input: speaker vector, words, units; loss:
the units and their EOS. Trained: the whole speech decoder, with its speaker projection. The report uses 5,000 h of
English and as many of Chinese.

(b) *states*: the LLM reads a request to say the words and says them; its final states, through the bridge, take the
words' place, M of them before every N units. Trained: bridge, speech decoder, and the rows of the added tokens.
Frozen: audio encoder, adapter, LLM. Loss: units, and text, which reaches the added rows only. The report uses 1,000 h
and 1,000 h of the data of (a), M = 4, N = 8. What it trains here is not to be read in its text; the published script
trains adapter and bridge alone (``trained: [audio_adapter., llm2tts., llm_ln.]``) and leaves the speaker projection
random. The published code also cannot set M:N and falls to 1:2; here the ratio must be in the checkpoint or be given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from model.opens2s.omnispeech import OmniSpeech
from model.opens2s.tokens import IGNORE, Tokens
from model.training.stages.examples import Example, Item, LostRowError, Said
from model.training.stages.layout import Sheet, Speller, lay, replies, unit_ids, words_of
from model.training.stages.learner import Packed, nats, speak, train_only
from model.training.stages.stage import Course, Stage, recompute

REQUEST = "Read this out word for word, in a natural voice: {words}"


class Words(Stage):
    """Settings of part (a)."""

    trained: tuple[str, ...] = ("tts_lm_model.",)

    def lay(self, speller: Speller, example: Example, line: int) -> Sequence[Sheet]:
        """Every spoken reply: its words, then its units, in the unit vocabulary."""
        sheets = []
        for reply in spoken(example):
            item = words_of(reply)
            sheet = Sheet(speaker=item.spk_emb)
            sheet.write(speller.unit_codec.encode(item.text), learnt=False)
            sheet.write(unit_ids(item, speller.tokens))
            sheets.append(sheet)
        return sheets

    def learner(self, model: OmniSpeech, tokens: Tokens) -> Any:
        """The speech decoder alone."""
        train_only(model, self.trained)
        if self.plan.recompute:
            recompute(model.tts_lm_model)
        return Reader(model)


class States(Stage):
    """Settings of part (b)."""

    trained: tuple[str, ...] = ("llm2tts.", "llm_ln.", "tts_lm_model.")
    request: str = REQUEST  # what the LLM is asked; {words} stands for the words

    def lay(self, speller: Speller, example: Example, line: int) -> Sequence[Sheet]:
        """Every spoken reply as the answer to a request to read it out."""
        sheets = []
        for reply in spoken(example):
            asked = Item(text=self.request.replace("{words}", words_of(reply).text))
            sheets.append(lay(speller, [Said(role="user", content=(asked,))], reply))
        return sheets


class Generation(Course):
    """Settings of stage 2."""

    words: Words = Words()
    states: States = States()

    @property
    def parts(self) -> dict[str, Stage]:
        """(a), then (b)."""
        return {"words": self.words, "states": self.states}


def spoken(example: Example) -> list[Said]:
    """The replies that have units. Raises LostRowError if there are none."""
    found = [example.messages[n] for n in replies(example)]
    found = [reply for reply in found if any(item.speech_units for item in reply.content)]
    if not found:
        raise LostRowError("no spoken reply")
    return found


class Reader(nn.Module):
    """Words to units with the speech decoder alone; rows come as ids and labels of the unit vocabulary."""

    parts = ("units",)
    weights = (1.0,)

    def __init__(self, model: OmniSpeech) -> None:
        super().__init__()
        self.model = model

    def forward(self, packed: Packed) -> Tensor:
        """Sum of nats of the units [1]."""
        model, batch, speakers = self.model, packed.batch, packed.speakers
        if batch.mask is None or batch.labels is None:
            raise ValueError("A micro-batch for training needs mask and labels.")
        first = model.speaker(speakers).expand(len(batch.ids), -1, -1)
        words = model.tts_lm_model.get_input_embeddings()(batch.ids).to(first.dtype)
        mask = torch.cat([batch.mask[:, :1], batch.mask], 1)
        states = speak(model, torch.cat([first, words], 1), mask)
        labels = torch.nn.functional.pad(batch.labels, (1, 0), value=IGNORE)
        return nats(model.tts_lm_model.get_output_embeddings(), states, labels)[None]
