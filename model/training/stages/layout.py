"""A conversation as ids to learn from: the prompt that serving would write, then the reply.

Every reply of a conversation makes a row of its own, with the turns before it as serving replays them; the published
code trains all replies in one row, with marks and thinking pairs in the history that its server never writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from model.opens2s.loading import Checkpoint
from model.opens2s.prompting import Clip, Message, PromptError, Renderer
from model.opens2s.tokens import IGNORE, TextCodec, Tokens, open_tokenizer
from model.training.stages.examples import Example, Item, LostRowError, Said
from model.training.stages.thoughts import Thought

UNSEEN = 2  # type of a token that nothing after it sees


@dataclass(frozen=True)
class Speller:
    """What conversations are written with; ``unit_codec`` spells text in the speech decoder's own vocabulary."""

    tokens: Tokens
    renderer: Renderer
    unit_codec: TextCodec

    @classmethod
    def of(cls, found: Checkpoint) -> Speller:
        """As serving writes the conversations of a checkpoint."""
        units = TextCodec(open_tokenizer(found.folder / "tts"))
        return cls(found.tokens, Renderer(found.tokens, found.codec), units)


@dataclass
class Sheet:
    """One row to learn from. The three lists have an entry for each id; types: 1 in a spoken span, `UNSEEN`, else 0."""

    ids: list[int] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    clips: list[str] = field(default_factory=list)  # files, in order of the placeholders
    units: list[int] = field(default_factory=list)  # ids of the unit vocabulary with the EOS; empty: not spoken
    speaker: str = ""  # file of its embedding

    def write(self, ids: Sequence[int], *, learnt: bool = True, kind: int = 0) -> None:
        """Append ids of one kind."""
        self.ids += ids
        self.types += [kind] * len(ids)
        self.labels += ids if learnt else [IGNORE] * len(ids)


def replies(example: Example) -> list[int]:
    """Places of the assistant's turns, which are to be learnt. Raises LostRowError if there are none."""
    found = [n for n, turn in enumerate(example.messages) if turn.role == "assistant"]
    if not found:
        raise LostRowError("no reply to learn from")
    return found


def lay(
    speller: Speller, turns: Sequence[Said], reply: Said | None, thought: Thought | None = None, *, spoken: bool = True
) -> Sheet:
    """The ``reply`` to ``turns`` (the last is the user's), with the thought before it; None: the thought alone.

    With ``spoken`` and units the reply is a spoken span. Raises LostRowError.
    """
    renderer, tokens = speller.renderer, speller.tokens
    sheet = Sheet(clips=[item.audio for turn in turns for item in turn.content if _heard(turn, item)])
    try:
        ids = None if thought is None else thought.ids
        prompt = renderer.prompt([_message(turn) for turn in turns], thought=ids)
    except PromptError as error:
        raise LostRowError("turns in an order that has no place for a reply") from error
    sheet.write(prompt.ids[:-1], learnt=False)
    if thought is not None:
        _mark(sheet, thought, renderer)
    if reply is None:
        return sheet
    item = words_of(reply)
    text = renderer.codec.encode(item.text)
    if spoken and item.speech_units:
        sheet.write([tokens.tts_start, *text, tokens.tts_end], kind=1)
        sheet.units, sheet.speaker = unit_ids(item, tokens), item.spk_emb
    else:
        sheet.write(text)
    sheet.write(renderer.turn_end())
    return sheet


def words_of(reply: Said) -> Item:
    """The one item of a reply; text items are joined. Raises LostRowError if it is empty, or several are spoken."""
    if len(reply.content) > 1 and any(item.speech_units for item in reply.content):
        raise LostRowError("several items in a spoken reply")
    item = reply.content[0] if len(reply.content) == 1 else Item(text="".join(item.text for item in reply.content))
    if not item.text.strip():
        raise LostRowError("an empty reply")
    return item


def unit_ids(item: Item, tokens: Tokens) -> list[int]:
    """Ids of what was said in the unit vocabulary, the unit EOS last. Raises LostRowError for unknown units."""
    units = item.units()
    if max(units) >= tokens.unit_count:
        raise LostRowError("units outside the codebook")
    return [*(tokens.unit_bias + unit for unit in units), tokens.unit_eos[0]]


def _message(turn: Said) -> Message:
    items = tuple(Clip() if _heard(turn, item) else item.text for item in turn.content)
    return Message(role=turn.role, items=items)


def _heard(turn: Said, item: Item) -> bool:
    return bool(item.audio) and turn.role == "user"


def _mark(sheet: Sheet, thought: Thought, renderer: Renderer) -> None:
    """Let the thought be learnt, with the mark that ends it; it stands in the header that closes the prompt."""
    header = renderer.reply_header(thought.ids)
    line = len(renderer.codec.encode("\n"))
    first = len(sheet.ids) - len(header) + header.index(renderer.tokens.think_start) + 1 + line
    for place, (learnt, seen) in enumerate(zip(thought.learnt, thought.seen, strict=True), first):
        sheet.labels[place] = sheet.ids[place] if learnt else IGNORE
        sheet.types[place] = 0 if seen else UNSEEN
    last = first + len(thought.ids)
    ending = range(last + (not thought.seen[-1]), last + line + 1)  # what an unknown slot predicts is not learnt
    for place in ending:
        sheet.labels[place] = sheet.ids[place]
