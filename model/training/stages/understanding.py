"""Stage 1, understanding: the LLM is to go on from speech as it would from its transcript (BLSP, Wang et al. 2023).

Data: `alignment` makes them: an instruction and a clip, and what the LLM itself answered when it was given the words
(semantic alignment), the words and the emotion's name (emotional alignment), or simply the words and the emotion
(transcript and label, as OSUM trains). Any other rows with audio and a text reply will do; units are not looked at.

Trained: the adapter, and the input and output rows of the four added tokens, which the published code leaves at their
random values. Frozen: audio encoder, LLM, speech decoder. Loss: the reply's text and the end of its turn, nothing else.
Schedule of the published scripts: rate 1e-4, 1,000 steps of warm-up, linear to nothing, 512 rows a step, one epoch;
the report has 1.9 M English pairs and as many Chinese, and 70 k with an emotion.
"""

from __future__ import annotations

from collections.abc import Sequence

from model.training.stages.examples import Example
from model.training.stages.layout import Sheet, Speller, lay, replies
from model.training.stages.stage import Stage


class Understanding(Stage):
    """Settings of stage 1."""

    trained: tuple[str, ...] = ("audio_adapter.",)
    tts_weight: float = 0.0

    def lay(self, speller: Speller, example: Example, line: int) -> Sequence[Sheet]:
        """Every reply as text."""
        turns = example.messages
        return [lay(speller, turns[:n], turns[n], spoken=False) for n in replies(example)]
