"""The speech decoder: the same in one go and step by step, and states always ahead of the pointer."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.nano.phones import INDEX
from model.nano.sampling import LONGEST, LONGEST_PAUSE, SamplingSettings, Speaking, draw
from model.nano.speech_decoder import SpeechDecoder, states_needed
from model.nano.states import COMMA, END, QUESTION, STOP, SpokenWord, pause_after, states_of
from tests.model.nano.voice_parts import DECODER, generator, sentence, shake, tiny_voice


def test_cached_steps_equal_one_pass() -> None:
    net = SpeechDecoder(DECODER).eval()
    shake(net)
    x = torch.randn(1, 30, DECODER.width, generator=generator())
    with torch.inference_mode():
        whole, _ = net(x)
        parts, cache, place = [], None, 0
        for length in (9, 1, 1, 5, 1, 13):
            y, cache = net(x[:, place : place + length], place, cache)
            parts.append(y)
            place += length
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-5)


def test_cache_is_bounded() -> None:
    small = DECODER.model_copy(update={"context": 16})
    net = SpeechDecoder(small).eval()
    with torch.inference_mode():
        _, cache = net(torch.randn(1, 40, small.width, generator=generator()))
        for place in range(40, 60):
            _, cache = net(torch.randn(1, 1, small.width, generator=generator()), place, cache)
    assert all(past is not None and past[0].shape[2] == 16 for past in cache)


@given(step=st.integers(0, 500), pointer=st.integers(0, 200), move=st.integers(0, 4))
def test_states_run_ahead_of_the_pointer_and_never_shrink(step: int, pointer: int, move: int) -> None:
    now = states_needed(DECODER, step, pointer)
    assert now >= pointer + 1 + DECODER.lookahead
    assert states_needed(DECODER, step + 1, pointer + move) >= now


def test_states_of_a_sentence() -> None:
    symbols = [state.symbol for state in states_of(sentence())]
    assert symbols.count(COMMA) == 1
    assert symbols.count(QUESTION) == 1
    assert symbols[-2:] == [STOP, END]
    assert [state.word for state in states_of(sentence()) if state.starts] == [0, 1, 2, 3, 4]


def test_words_without_sound_are_left_out() -> None:
    assert [s.symbol for s in states_of([SpokenWord("-", ())])] == [STOP, END]


@pytest.mark.parametrize(
    ("written", "mark"),
    [("well,", ","), ("so;", ","), ('"yes."', "."), ("no", ""), ("what?!", "!"), ("wait…", "."), ("a.b", "")],
)
def test_pause_after(written: str, mark: str) -> None:
    assert pause_after(written) == mark


def test_a_state_that_never_ends_is_left_in_the_end() -> None:
    voice = tiny_voice(SamplingSettings(temperature=0.0, move_temperature=0.0))
    voice.net.advance.weight.data.zero_()
    voice.net.advance.bias.data = torch.tensor([9.0, 0.0, 0.0, 0.0, 0.0])
    speaking = Speaking(voice.net, states_of(sentence()[1:2]), 0, generator(), voice.settings)
    count = 0
    while speaking.step() is not None:
        count += 1
    assert count == LONGEST[INDEX["M"]] + LONGEST[INDEX["AY"]] + LONGEST_PAUSE


def test_draw_respects_top_k_and_temperature() -> None:
    logits = torch.tensor([0.0, 3.0, 2.9, -1.0])
    assert draw(logits, 0.0, 2, generator()) == 1
    assert {draw(logits, 1.0, 2, generator(seed)) for seed in range(40)} == {1, 2}
