"""The engine against the plain reference: the same tokens and sound, whatever else goes on in it."""

import dataclasses
import gc
import threading

import numpy as np
import pytest
import torch

from model.engine import Engine, EngineError
from model.opens2s.engine import emotion_slot
from model.opens2s.generation import Limits as Budget
from model.opens2s.generation import generate
from model.opens2s.prompting import Clip, Message, PromptError, Renderer
from model.opens2s.sampling import Sampling
from model.opens2s.splice import Batch
from model.serving.core import EngineOptions, Plan
from model.serving.lanes import LanesError
from model.serving.replies import Limits
from model.token2wav.stream import StreamOptions
from tests.model.serving.serving_parts import loaded, speech

SURE = dataclasses.replace(loaded().checkpoint, text_sampling=Sampling(), unit_sampling=Sampling())
GREEDY = dataclasses.replace(loaded(), checkpoint=SURE)
LIMITS = Limits(text=23, units=70)
PLAN = Plan("You are kind.", "Be short.")
SLOTS = [emotion_slot(loaded().checkpoint.codec)]


def engine(parts=None, **options):
    given = {"sessions": 3, "replies": 3, "context": 700, "limits": LIMITS, **options}
    return Engine(parts or loaded(), EngineOptions(**given), SLOTS)


def unguarded(running):
    """Let a reply hold control tokens, as the reference does."""
    speaking = running._core.speaking
    speaking._words = dataclasses.replace(speaking._words, forbidden=(), span_end=-1)
    return running


def turn(running, talk, seconds=0.8, seed=0):
    sound = speech(seconds, seed)
    for at in range(0, len(sound), 2560):
        running.hear(talk, sound[at : at + 2560])
    running.take_up(talk)
    return sound


def spoken(blocks):
    """All units, samples and text of a reply."""
    blocks = list(blocks)
    assert [block.final for block in blocks] == [False] * (len(blocks) - 1) + [True]
    units = [unit for block in blocks for unit in block.units]
    return units, np.concatenate([block.pcm for block in blocks]), blocks[-1].text


def reference(sound, plan=PLAN):
    parts, files = GREEDY, GREEDY.checkpoint
    features, mask = files.log_mel([sound])
    frames = int(parts.model.encode(features, mask)[1].sum())
    turns = [
        Message(role="system", items=(plan.system,)),
        Message(role="user", items=(Clip(frames=frames), plan.instruction)),
    ]
    ids = Renderer(files.tokens, files.codec).prompt(turns).ids
    bias = files.tokens.unit_bias
    found = generate(
        parts.model, Batch(torch.tensor([ids]), features=features, features_mask=mask),
        text=Budget(LIMITS.text, files.tokens.text_eos), units=Budget(LIMITS.units, files.tokens.unit_eos),
        unit_ids=range(bias, bias + files.tokens.unit_count),
    )  # fmt: skip
    return found.text_ids, [unit - bias for unit in found.unit_token_ids]


@pytest.mark.parametrize("fill", [False, True])
@pytest.mark.parametrize("seconds", [0.8, 2.5])
def test_a_reply_has_the_tokens_of_the_reference(fill, seconds):
    with unguarded(engine(GREEDY, fill_batches=fill)) as running:
        talk = running.enter(1)
        sound = turn(running, talk, seconds)
        units, pcm, text = spoken(running.reply(talk, PLAN))
    assert (text, units) == reference(sound)
    assert len(pcm) == running._core._waves.sample_at(len(units)), "nothing of the sound is lost"


def test_sessions_at_once_are_as_each_alone():
    def alone(seed):
        with engine() as running:
            talk = running.enter(seed)
            turn(running, talk, 0.6 + 0.2 * seed, seed)
            return spoken(running.reply(talk, PLAN))

    with engine() as running:
        talks = [running.enter(seed) for seed in range(3)]
        for seed, talk in enumerate(talks):
            turn(running, talk, 0.6 + 0.2 * seed, seed)
        made, threads = {}, []
        for seed, talk in enumerate(talks):
            blocks = running.reply(talk, PLAN)
            threads.append(threading.Thread(target=lambda seed=seed, b=blocks: made.update({seed: spoken(b)})))
            threads[-1].start()
        for thread in threads:
            thread.join()
    for seed in range(3):
        units, pcm, text = alone(seed)
        assert made[seed][0] == units
        assert made[seed][2] == text
        np.testing.assert_allclose(made[seed][1], pcm, atol=1e-4)


def test_judging_leaves_a_reply_as_it_is():
    def reply(hearing):
        with engine() as running:
            talk = running.enter(5)
            turn(running, talk)
            blocks, done = running.reply(talk, PLAN), []
            for block in blocks:
                done += block.units
                if hearing:
                    found = running.hear(talk, speech(0.16, len(done)))
                    assert sum(found.labels["emotion"].values()) == pytest.approx(1.0)
            return done

    assert reply(True) == reply(False)


def test_what_was_said_is_part_of_the_next_prompt():
    with engine() as running:
        talk = running.enter(5)
        for words in ("Good to hear.", ""):
            turn(running, talk)
            spoken(running.reply(talk, PLAN))
            running.said(talk, words)
        assert [message.role for message in talk.messages] == ["user", "assistant", "user"]
        fresh = running.enter(5)
        for message in talk.messages:
            fresh.messages.append(message)
        fresh.sounds += talk.sounds
        fresh.counted = talk.counted
        assert spoken(running.reply(talk, PLAN))[0] == spoken(running.reply(fresh, PLAN))[0], (
            "the cache changes nothing"
        )


def test_an_older_reply_makes_room_for_a_newer_one():
    with engine() as running:
        talk = running.enter(5)
        turn(running, talk)
        older = running.reply(talk, PLAN)
        next(older)
        newer = running.reply(talk, PLAN)
        units, _, _ = spoken(newer)
        assert units
        assert all(not block.final for block in older), "the older one ends without its end"


def test_a_cancelled_reply_frees_its_place():
    with engine(replies=1) as running:
        talk, other = running.enter(5), running.enter(6)
        turn(running, talk)
        turn(running, other)
        blocks = running.reply(talk, PLAN)
        next(blocks)
        blocks.close()
        assert list(blocks) == []
        assert spoken(running.reply(other, PLAN))[0]
        running.reply(talk, PLAN)  # let go of at once
        assert spoken(running.reply(other, PLAN))[0]


@pytest.mark.slow
def test_memory_does_not_grow_over_cancelled_replies():
    with engine(sound=StreamOptions(steps=1)) as running:
        talk = running.enter(5)
        turn(running, talk)

        def cancel(count):
            for _ in range(count):
                blocks = running.reply(talk, PLAN)
                next(blocks)
                blocks.close()
            running.hear(talk, speech(0.16))  # the engine has seen the last of them
            running.forget_turn(talk)
            gc.collect()
            return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

        before = cancel(10)
        assert cancel(1000) <= before + 5


def test_a_full_engine_says_so():
    with engine(sessions=1) as running:
        talk = running.enter(1)
        with pytest.raises(LanesError, match="holds 1 sessions"):
            running.enter(2)
        running.leave(talk)
        running.leave(talk)
        running.enter(2)


def test_a_closed_engine_says_so():
    running = engine()
    talk = running.enter(1)
    turn(running, talk)
    blocks = running.reply(talk, PLAN)
    running.close()
    with pytest.raises(EngineError, match="closed"):
        list(blocks)
    with pytest.raises(EngineError, match="closed"):
        running.hear(talk, speech(0.16))
    running.leave(talk)


def test_a_failing_step_ends_its_replies_and_nothing_else(monkeypatch):
    with engine() as running:
        talk = running.enter(1)
        turn(running, talk)
        with monkeypatch.context() as broken:
            broken.setattr(running._core._waves, "step", lambda jobs: 1 / 0)
            with pytest.raises(EngineError, match="division by zero"):
                list(running.reply(talk, PLAN))
        assert spoken(running.reply(talk, PLAN))[0]


def test_a_turn_too_short_to_hear_is_answered_without_it():
    with engine() as running:
        talk = running.enter(1)
        heard = running.hear(talk, speech(0.01))
        assert len(heard.frames) == 0
        assert heard.labels == {}
        running.take_up(talk)
        assert talk.messages == []
        assert spoken(running.reply(talk, PLAN))[0]


def test_a_turn_of_hours_keeps_its_end():
    with engine(longest_turn_s=4.0) as running:
        talk = running.enter(1)
        for minute in range(3):
            running.hear(talk, speech(3.0, minute))
        assert 1.0 <= talk.audio.seconds <= 5.0
        assert talk.audio.dropped_s > 0


def test_a_long_history_is_dropped_from_its_oldest_exchange():
    with engine(context=300, heard_frames=32, limits=Limits(4, 8)) as running:
        talk = running.enter(1)
        for number in range(12):
            turn(running, talk, seed=number)
            assert spoken(running.reply(talk, PLAN))[0]
            running.said(talk, f"This is what I say as number {number}.")
        texts = [message.items[0] for message in talk.messages if message.role == "assistant"]
        assert texts[-1].endswith("11.")
        assert len(texts) < 12
        assert len(talk.sounds) == sum(message.role == "user" for message in talk.messages)


def test_a_prompt_that_cannot_fit_is_an_error_of_its_reply():
    with engine(context=300, heard_frames=32) as running:
        talk = running.enter(1)
        turn(running, talk)
        with pytest.raises(PromptError, match="longer than the model's context"):
            list(running.reply(talk, Plan("word " * 400, "")))
        assert spoken(running.reply(talk, PLAN))[0]


@pytest.mark.parametrize("style", ["tags", "natural"])
def test_thoughts_are_made_in_the_pause_and_used(style):
    with engine(thinking=style, thinking_tokens=150, context=900) as running:
        talk = running.enter(1)
        for at in range(4):
            running.hear(talk, speech(0.16, at))
        running.pause(talk)
        running.go_on(talk)
        assert running.hear(talk, speech(0.16, 9)).labels
        assert talk.thought is None, "too early: dropped"
        running.pause(talk)
        while talk.thought is None or not talk.thought.done:
            running.hear(talk, speech(0.16), judge=False)
        thought = talk.thought
        assert 0 < len(thought.ids) <= running.options.thinking_tokens + 12
        running.take_up(talk)
        free = running._core._text.free
        blocks = running.reply(talk, PLAN)
        assert spoken(blocks)[0]
        assert talk.thought is None
        if style == "tags":
            assert all(sum(found.values()) == pytest.approx(1.0) for found in talk.reply.thought.values())
            assert set(talk.reply.thought) == {"age", "gender", "emotion", "sound event", "reply emotion"}
        for _ in range(2):  # the engine has seen the end of the reply
            running.hear(talk, speech(0.16), judge=False)
        assert running._core._text.free == free + 1, "the thought's place is free again"


def test_a_forced_opening_is_said_first():
    codec = loaded().checkpoint.codec
    with engine() as running:
        talk = running.enter(1)
        turn(running, talk)
        _, _, text = spoken(running.reply(talk, dataclasses.replace(PLAN, opening="That sounds")))
        assert codec.decode(text).startswith("That sounds")


def test_text_goes_on_when_units_are_used_up():
    with engine(GREEDY, limits=Limits(text=40, units=12)) as running:
        talk = running.enter(1)
        turn(running, talk)
        blocks = list(running.reply(talk, PLAN))
        assert sum(len(block.units) for block in blocks) == 12
        assert blocks[-1].truncated
        assert blocks[-1].text_done
        assert len(blocks[-1].text) > 12 // 2


def test_sound_waits_neither_for_the_text_nor_for_the_end():
    with engine(limits=Limits(text=60, units=100)) as running:
        talk = running.enter(3)
        turn(running, talk)
        first = next(running.reply(talk, PLAN))
    assert len(first.units) < 24, "the published worker's first block"
    assert not first.text_done
    assert len(first.text) <= 3 * 4, "two rounds of words are enough for it"


@pytest.mark.parametrize("units", [1, 9, 24, 48])
def test_short_replies_and_whole_blocks_lose_nothing(units):
    with engine(GREEDY, limits=Limits(text=2, units=units)) as running:
        talk = running.enter(3)
        turn(running, talk)
        found, pcm, _ = spoken(running.reply(talk, PLAN))
        assert len(pcm) == running._core._waves.sample_at(len(found))
        assert len(found) <= units
