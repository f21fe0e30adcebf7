"""Rows: the prompt that serving writes, the right labels, and nothing learnt or seen where something is unknown."""

import pytest
import torch

from model.opens2s.interleave import losses
from model.opens2s.prompting import Clip, Message
from model.opens2s.tokens import IGNORE
from model.serving.thinking import TAGS
from model.training.stages.data import pack
from model.training.stages.empathy import Empathy
from model.training.stages.examples import Example, Item, LostRowError, Said, read
from model.training.stages.generation import States, Words
from model.training.stages.layout import UNSEEN, Speller, lay
from model.training.stages.learner import Learner
from model.training.stages.thoughts import ACTION, natural, tags
from model.training.stages.understanding import Understanding
from tests.model.training_stages import toy


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return toy.opened(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def speller(checkpoint):
    return Speller.of(checkpoint.checkpoint)


def talk(*turns, **extra):
    """Turns from the user's on, each an item or its text."""
    roles = ("user", "assistant") * len(turns)
    items = [turn if isinstance(turn, Item) else Item(text=turn) for turn in turns]
    said = tuple(Said(role=role, content=(item,)) for role, item in zip(roles, items, strict=False))
    return Example(messages=said, extra=extra)


HEARD = Item(audio="a.wav", text="I am so tired.")
SPOKEN = Item(text="Then rest.", speech_units=toy.units(1, 5))


def test_a_row_is_what_the_renderer_writes_for_training(speller):
    example = talk(HEARD, SPOKEN)
    sheet = lay(speller, example.messages[:1], example.messages[1])
    row = speller.renderer.row([Message(role="user", items=(Clip(),)), Message(role="assistant", items=(SPOKEN.text,))])
    assert (tuple(sheet.ids), tuple(sheet.types), tuple(sheet.labels)) == (row.ids, row.types, row.labels)
    assert sheet.clips == ["a.wav"]
    assert sheet.units[-1] == speller.tokens.unit_eos[0]
    assert [unit - speller.tokens.unit_bias for unit in sheet.units[:-1]] == SPOKEN.units()


def test_every_reply_follows_the_prompt_that_serving_writes(speller):
    example = talk(HEARD, SPOKEN, "And then?", "Sleep.")
    sheets = Understanding().lay(speller, example, 0)
    turns = [
        Message(role="user", items=(Clip(),)),
        Message(role="assistant", items=(SPOKEN.text,)),
        Message(role="user", items=("And then?",)),
    ]
    for sheet, prompt in zip(sheets, (turns[:1], turns), strict=True):
        served = speller.renderer.prompt(prompt).ids[:-1]
        assert tuple(sheet.ids[: len(served)]) == served
        assert set(sheet.labels[: len(served)]) == {IGNORE}
        assert sheet.labels[len(served) :] == sheet.ids[len(served) :]
        assert not sheet.units


@pytest.mark.parametrize("known", [{}, {"q_emotion": "<SAD>"}, {"age": "child", "q_emotion": "sad", "gender": "none"}])
def test_an_unknown_slot_is_neither_learnt_nor_seen(speller, known):
    codec = speller.renderer.codec
    thought = tags(codec.encode, known)
    said = codec.decode(thought.ids)
    assert said.count("unknown") == len(TAGS) - len(known) + ("none" in known.values())
    assert "emotion:<sad>" in said or not known
    hidden = codec.decode(id_ for id_, seen in zip(thought.ids, thought.seen, strict=True) if not seen)
    assert hidden == "unknown>" * said.count("unknown")
    learnt = codec.decode(id_ for id_, on in zip(thought.ids, thought.learnt, strict=True) if on)
    assert "unknown" not in learnt


def test_what_is_masked_has_no_gradient(checkpoint, speller):
    reply = Said(role="assistant", content=(SPOKEN,))
    asked = [Said(role="user", content=(Item(text="I am tired."),))]
    sheet = lay(speller, asked, reply, tags(speller.renderer.codec.encode, {"emotion": "sad", "reply_emotion": "calm"}))
    model = checkpoint.model
    model.requires_grad_(True)
    table = model.llm_model.get_input_embeddings()
    packed = pack([sheet], [], [None], checkpoint.log_mel, 0)
    kept = []
    handle = table.register_forward_hook(lambda _, __, out: kept.append(out) or out.retain_grad())
    Learner(model)(packed).sum().backward()
    handle.remove()
    model.requires_grad_(False)
    size = kept[0].grad[0].abs().sum(-1)
    unseen = torch.tensor(sheet.types) == UNSEEN
    assert unseen.sum() > 10
    assert not size[unseen].any()
    before_last = torch.arange(len(size)) < len(size) - 1
    assert (size[~unseen & before_last] > 0).all()


def test_the_thought_stands_where_serving_puts_it(speller):
    encode = speller.renderer.codec.encode
    asked = [Said(role="user", content=(Item(text="Well?"),))]
    for thought in (natural(encode, "He doubts."), tags(encode, {"age": "old"})):
        sheet = lay(speller, asked, Said(role="assistant", content=(Item(text="Yes."),)), thought)
        served = speller.renderer.prompt([Message(role="user", items=("Well?",))], thought=thought.ids).ids[:-1]
        assert tuple(sheet.ids[: len(served)]) == served
        place = sheet.ids.index(speller.tokens.think_end)
        assert sheet.labels[place] == speller.tokens.think_end
        learnt = [label for label in sheet.labels[:place] if label != IGNORE]
        assert len(learnt) >= sum(thought.learnt)
    assert "He doubts.\n" in speller.renderer.codec.decode(
        label
        for label in lay(speller, asked, None, natural(encode, "He doubts.")).labels
        if label not in (IGNORE, speller.tokens.think_end)
    )


def test_the_losses_are_those_of_the_published_code(checkpoint, speller):
    sheets = [lay(speller, talk(w, SPOKEN).messages[:1], talk(w, SPOKEN).messages[1]) for w in ("One.", "One, two!")]
    packed = pack(sheets, [], [None, None], checkpoint.log_mel, 0)
    with torch.inference_mode():
        text, units = Learner(checkpoint.model)(packed) / torch.tensor(packed.counts)
        theirs = losses(checkpoint.model, packed.batch, packed.units)
    torch.testing.assert_close(text, theirs.text)
    torch.testing.assert_close(units, theirs.units)


def test_words_are_spelt_in_the_units_vocabulary(speller):
    (sheet,) = Words().lay(speller, talk(HEARD, SPOKEN), 0)
    words = speller.unit_codec.encode(SPOKEN.text)
    assert sheet.ids[: len(words)] == words
    assert sheet.labels == [IGNORE] * len(words) + sheet.ids[len(words) :]
    assert sheet.clips == []
    (sheet,) = States().lay(speller, talk(HEARD, SPOKEN), 0)
    asked, said = (
        speller.renderer.codec.decode(id_ for id_, kind in zip(sheet.ids, sheet.types, strict=True) if kind == of)
        for of in (0, 1)
    )
    assert f": {SPOKEN.text}" in asked
    assert said == SPOKEN.text


def test_thoughts_are_drawn_by_weight_and_rows_are_also_written_out(speller):
    example = talk(HEARD, SPOKEN, think_str="She is worn out.", q_emotion="sad")
    course = Empathy(thinking={"tags": 1, "natural": 1}, as_text=1.0)
    seen = set()
    for line in range(12):
        heard, written = course.lay(speller, example, line)
        said = speller.renderer.codec.decode(heard.ids)
        seen.add("She is worn out." in said)
        assert heard.clips == ["a.wav"]
        assert written.clips == []
        assert HEARD.text in speller.renderer.codec.decode(written.ids)
        assert heard.units == written.units
        assert course.lay(speller, example, line) == [heard, written]
    assert seen == {True, False}
    without = talk(HEARD.model_copy(update={"text": ""}), SPOKEN)
    assert len(course.lay(speller, without, 0)) == 1


def test_an_action_has_a_slot_of_its_own_and_needs_no_reply(speller):
    (sheet,) = Empathy(as_text=0).lay(speller, talk(HEARD, action="silence"), 0)
    assert not sheet.units
    assert speller.renderer.codec.decode(sheet.ids[-20:]).rstrip().endswith("action:<silence>\n</think>")
    assert sheet.labels[sheet.ids.index(speller.tokens.think_end)] == speller.tokens.think_end
    (sheet,) = Empathy(as_text=0).lay(speller, talk(HEARD, SPOKEN, action="<INTERRUPT>"), 0)
    assert sheet.units
    assert ACTION[0] in speller.renderer.codec.decode(sheet.ids)


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (talk("Hello."), "neither a reply nor an action"),
        (talk("Hello.", ""), "empty reply"),
        (talk("Hello.", Item(text="x", speech_units="<|audio_24|>")), "outside the codebook"),
        (talk("Hello.", Item(text="x", speech_units="12 7")), "not written as"),
    ],
)
def test_rows_that_cannot_be_learnt_say_why(speller, example, said):
    with pytest.raises(LostRowError, match=said):
        Empathy().lay(speller, example, 0)


@pytest.mark.parametrize(
    "line",
    ["", "{", "[]", "{}", '{"messages": 1}', '{"messages": [{"role": "user"}]}', '{"messages": [], "extra": 1}',
     '{"messages": [{"role": "judge", "content": "x"}]}',
     '{"messages": [{"role": "user", "content": [{"speech_units": "<|audio_1|>"}]}]}',
     '{"messages": [{"role": "user", "content": [{"text": 5}]}]}'],
)  # fmt: skip
def test_lines_that_are_no_rows_are_lost(line):
    with pytest.raises(LostRowError):
        read(line)


def test_labels_are_found_under_all_their_names():
    found = read(
        '{"messages": [], "poise": {"user.labels.age": "child"}, "extra": {"gender": "<F>"}, "caption": "cry"}'
    )
    said = tags(lambda text: [ord(letter) for letter in text], found.extra)
    written = "".join(map(chr, said.ids))
    assert written.startswith("age:<child>, gender:<female>, emotion:<unknown>, sound event:<cry>")
