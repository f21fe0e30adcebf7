"""Lessons of the speech decoder are what happens at run time, and codes fit their frames."""

import random

import pytest
import torch

from model.nano.frames import CEPSTRUM, CHANNELS
from model.nano.sampling import SamplingSettings, Speaking
from model.nano.speech_decoder import states_needed
from model.nano.states import COMMA, END, QUESTION, SpokenWord, states_of
from model.nano.units import UNTOLD, Tokenizer
from model.training import speech_decoder as stage
from model.training.sounding import pointers_of, symbols_of
from model.training.units import Spoken, collate, crops, fit, k_means, loss_of, spoken
from model.training.voice_data import Line, VoiceClip, lines_of, speakable
from tests.model.nano.voice_parts import DECODER, UNITS, generator, sentence, tiny_voice


def clip(**changes: object) -> VoiceClip:
    about = {
        "id": "x", "text": "Hi, you?", "delivery": "calm", "split": "train", "start": 0, "length": 40,
        "phones": ("HH", "AY", "pau", "Y", "UW", "pau"), "ends": (1000, 2500, 3600, 4000, 5500, 6400),
        "owners": (0, 0, -1, 1, 1, -1), "words": ("Hi", "you"), "after": (",", "?"),
    }  # fmt: skip
    return VoiceClip(**{**about, **changes})  # type: ignore[arg-type]


def test_symbols_carry_pauses_by_their_marks() -> None:
    symbols, starts = symbols_of(clip())
    assert [symbols[2], symbols[5], symbols[6]] == [COMMA, QUESTION, END]
    assert starts == [1, 0, 0, 1, 0, 0, 0]


def test_pointer_follows_the_phones() -> None:
    one = stage.lesson(clip(), torch.arange(10), DECODER)
    assert one is not None
    assert one.pointers.tolist() == [0, 0, 1, 1, 2, 2, 4, 4, 4, 5, 6]


def test_the_token_decoder_is_told_what_the_pointer_points_at() -> None:
    one = spoken(clip(), torch.zeros(40, CHANNELS))
    symbols = symbols_of(clip())[0]
    assert one.symbols.tolist() == [symbols[pointer] for pointer in pointers_of(clip(), 10)]
    assert one.part(3, 6).symbols.tolist() == one.symbols[3:6].tolist()
    assert one.part(3, 6).channels.shape == (12, CHANNELS)


def test_some_crops_are_not_told_and_padding_is_the_end() -> None:
    stream = crops(noise_clips())(random.Random(0))
    told = torch.cat([next(stream).symbols for _ in range(20)])
    assert 0.02 < (told == UNTOLD).all(1).float().mean() < 0.3
    short, long = noise_clips(2)
    batch = collate([(short.part(0, 10), False), (long, False)])
    assert (batch.symbols[0, 10:] == END).all()


def test_a_leap_is_not_taught() -> None:
    crowded = clip(ends=(1000, 1010, 1020, 1030, 1040, 6400))
    assert stage.lesson(crowded, torch.arange(10), DECODER.model_copy(update={"advances": 3})) is None


def greedy_reply(words: list[SpokenWord]) -> tuple[list[int], list[int], Speaking]:
    voice = tiny_voice(SamplingSettings(temperature=0.0, move_temperature=0.0))
    voice.net.advance.bias.data = torch.tensor([0.0, 0.3, 0.0, 0.0, 0.0])
    speaking = Speaking(voice.net, states_of(words), 3, generator(), voice.settings)
    units, pointers = [], [0]
    while (step := speaking.step()) is not None:
        units.append(step.unit)
        pointers.append(speaking._now.pointer)
    return units, pointers, speaking


def test_teaching_and_speaking_are_the_same_sum() -> None:
    words = [SpokenWord(w.text, w.phones, None, w.pause_after) for w in sentence() * 2]
    units, pointers, speaking = greedy_reply(words)
    states = speaking._states
    order: list[int] = []
    given = 0
    for step, pointer in enumerate(pointers[:-1]):
        count = min(states_needed(DECODER, step, pointer), len(states))
        order += [*range(given, count), -1 - step]
        given = max(given, count)
    lesson = stage.Lesson(
        symbols=torch.tensor([s.symbol for s in states]),
        starts=torch.tensor([int(s.starts) for s in states]),
        units=torch.tensor(units),
        pointers=torch.tensor(pointers),
        order=torch.tensor(order),
        delivery=3,
    )
    logits, moves = stage.outputs(speaking._net, stage.collate([lesson], 0), noisy=False)
    assert logits[0].argmax(-1).tolist() == units
    wanted = torch.tensor(pointers).diff()
    kept = torch.tensor([p < len(states) - 4 for p in pointers[:-1]])  # moves are cut short at the end
    assert torch.equal(moves[0].argmax(-1)[kept], wanted[kept])


def noise_clips(count: int = 6) -> list[Spoken]:
    source = generator()
    found = []
    for number in range(count):
        frames = torch.randn(120, CHANNELS, generator=source)
        frames[:, CEPSTRUM + 1] = (frames[:, CEPSTRUM + 1] > 0).float()
        found.append(Spoken(str(number), frames.half(), torch.arange(30) % END, number % 8))
    return found


def test_codes_are_used_and_loss_is_finite() -> None:
    tokenizer, clips = Tokenizer(UNITS), noise_clips()
    fit(tokenizer, clips)
    units = tokenizer.encode(clips[0].channels[None].float(), torch.tensor([clips[0].delivery]))
    assert units.shape == (1, 30)
    assert len(set(units[0].tolist())) > 8
    loss, figures = loss_of(tokenizer, next(crops(clips)(random.Random(0))))
    assert torch.isfinite(loss)
    assert set(figures) == {"spectrum", "pitch", "voicing", "strengths"}


def test_k_means_finds_clusters() -> None:
    spots = torch.tensor([[0.0, 0.0], [5.0, 5.0], [-5.0, 5.0]])
    points = spots.repeat(50, 1) + 0.01 * torch.randn(150, 2, generator=generator())
    centres = k_means(points, 8, generator())
    assert torch.cdist(spots, centres).min(1).values.max() < 0.1


def test_dev_turns_stay_dev_and_marks_are_plain() -> None:
    exchange = {"id": "a", "split": "dev", "turns": [{"agent": "Hm.", "delivery": "calm"}]}
    scene = {"id": "s", "reply": {"emotion": "calm", "text": "No."}}
    lines = {line.id: line for line in lines_of([exchange], [scene], [("r", "read")])}
    assert lines["a.0"].split == "dev"
    assert {lines["s"].split, lines["r"].split} == {"train"}
    assert isinstance(lines["s"], Line)
    assert speakable("it’s — “so”…") == "it's ,  so ."


@pytest.mark.slow
def test_flite_gives_phones_words_and_tracks() -> None:
    flite = pytest.importorskip("model.training.flite")
    try:
        voice = flite.Flite()
    except RuntimeError:
        pytest.skip("libflite is not installed")
    from model.training.voices import DELIVERIES

    said = voice.speak("Hello there, my friend.", DELIVERIES["warm"])
    assert said.words == ("Hello", "there", "my", "friend")
    assert said.after == ("", ",", "", ".")
    assert abs(said.segments[-1].end - len(said.samples)) < 800
    assert abs(len(said.frames) * 80 - len(said.samples)) < 800
    slow, quick = (voice.speak("Hello.", DELIVERIES[d]).samples for d in ("gentle", "cheerful"))
    assert len(slow) > len(quick)
