"""The voice as the engine uses it: lazily fed, repeatable, exact about word ends, quick to stop."""

from collections.abc import Iterator

import numpy as np
import pytest

from model.nano.states import SpeechError, SpokenWord
from model.nano.voice import PIECES, VoicePiece, spoken_words
from tests.model.nano.voice_parts import generator, sentence, tiny_voice


def said(seed: int = 7, delivery: str = "warm") -> list[VoicePiece]:
    return list(tiny_voice().speak(sentence(), delivery, generator(seed)))


def test_every_unit_is_640_samples() -> None:
    pieces = said()
    assert sum(len(p.pcm) for p in pieces) == 640 * sum(len(p.units) for p in pieces)


def test_first_piece_is_short_and_holds_sound() -> None:
    first = said()[0]
    assert len(first.units) == PIECES[0]
    assert 0 < len(first.pcm) <= 640 * PIECES[0]


def test_pcm_is_bounded_float32() -> None:
    pcm = np.concatenate([p.pcm for p in said()])
    assert pcm.dtype == np.float32
    assert np.isfinite(pcm).all()
    assert np.abs(pcm).max() <= 0.95


def test_word_ends_are_complete_ordered_and_inside_the_reply() -> None:
    pieces = said()
    ends = [end for piece in pieces for end in piece.word_ends]
    assert [word for word, _ in ends] == [0, 1, 2, 3, 4]
    samples = [sample for _, sample in ends]
    assert samples == sorted(samples)
    assert samples[-1] <= sum(len(p.pcm) for p in pieces)


@pytest.mark.parametrize("place", [0, 2, 5])
def test_a_word_without_sound_ends_too(place: int) -> None:
    words = sentence()
    words.insert(place, SpokenWord("-", ()))
    pieces = list(tiny_voice().speak(words, "warm", generator()))
    assert [word for piece in pieces for word, _ in piece.word_ends] == list(range(6))


def test_word_ends_never_run_ahead_of_their_sound() -> None:
    played = 0
    for piece in said():
        played += len(piece.pcm)
        assert all(sample <= played for _, sample in piece.word_ends)


def test_same_generator_same_reply() -> None:
    one, two, other = said(7), said(7), said(8)
    assert [p.units for p in one] == [p.units for p in two]
    assert all(np.array_equal(a.pcm, b.pcm) for a, b in zip(one, two, strict=True))
    assert [p.units for p in one] != [p.units for p in other]


def test_delivery_changes_the_reply() -> None:
    assert [p.units for p in said(delivery="warm")] != [p.units for p in said(delivery="serious")]


def test_words_are_read_only_as_they_are_needed() -> None:
    read: list[str] = []

    def words() -> Iterator[SpokenWord]:
        for number in range(40):
            read.append(str(number))
            yield SpokenWord("ma", ("M", "AA"))

    speaking = tiny_voice().speak(words(), "calm", generator())
    next(speaking)
    assert len(read) < 30


def test_cancel_stops_within_one_unit() -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 11

    pieces = list(tiny_voice().speak(sentence() * 3, "warm", generator(), cancelled))
    assert sum(len(p.units) for p in pieces) <= 11


def test_close_stops() -> None:
    speaking = tiny_voice().speak(sentence(), "warm", generator())
    next(speaking)
    speaking.close()
    assert list(speaking) == []


def test_nothing_to_say_is_no_piece() -> None:
    assert list(tiny_voice().speak([], "warm", generator())) == []


@pytest.mark.parametrize(
    ("words", "delivery"),
    [
        (sentence(), "shouting"),
        ([SpokenWord("x", ("QQ",))], "warm"),
        ([SpokenWord("x", ("AH",), None, "#")], "warm"),
    ],
)
def test_bad_input_is_said_in_two_sentences(words: list[SpokenWord], delivery: str) -> None:
    with pytest.raises(SpeechError) as caught:
        list(tiny_voice().speak(words, delivery, generator()))
    assert caught.value.wrong.endswith(".")
    assert caught.value.mend


def test_written_words_are_pronounced_with_their_pauses() -> None:
    words = list(spoken_words([("Hello,", None), ("you", None), ("there?", None)]))
    assert [word.pause_after for word in words] == [",", "", "?"]
    assert words[1].phones == ("Y", "UW")
