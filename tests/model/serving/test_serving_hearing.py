"""Hearing a growing turn against encoding the whole clip at once."""

import pytest
import torch

from model.serving.hearing import Hearing, TurnAudio
from tests.model.serving.serving_parts import loaded, speech

FILES, MODEL = loaded().checkpoint, loaded().model


@torch.inference_mode()
def whole(sound):
    frames, mask = MODEL.encode(*FILES.log_mel([sound]))
    return frames[0, : int(mask.sum())]


def grown(sound, longest_s=60.0):
    turn = TurnAudio(FILES.log_mel, longest_s)
    for at in range(0, len(sound), 2560):
        turn.push(sound[at : at + 2560])
    return turn


@torch.inference_mode()
@pytest.mark.parametrize("seconds", [0.35, 1.0, 2.77])
def test_a_turn_heard_exactly_is_the_whole_clip_encoded(seconds):
    sound = speech(seconds)
    (frames,) = Hearing(MODEL).encode([grown(sound)], exact=True)
    torch.testing.assert_close(frames, whole(sound), atol=1e-4, rtol=1e-3)


@torch.inference_mode()
def test_closed_windows_are_encoded_once_and_anew_when_something_louder_comes():
    hearing, turn = Hearing(MODEL), TurnAudio(FILES.log_mel, 60.0)
    calls, run = [], MODEL.audio_encoder_model.forward_windows

    def counted(windows, valid=None):
        calls.append(len(windows))
        return run(windows, valid)

    hearing._encoder = type("Counting", (), {
        "forward_windows": staticmethod(counted), "output_lengths": MODEL.audio_encoder_model.output_lengths,
    })  # fmt: skip
    sounds = [speech(0.8, 1), speech(0.8, 2), speech(0.8, 3), 20 * speech(0.3, 4)]
    for sound in sounds:
        turn.push(sound)
        hearing.encode([turn], exact=False)
    assert calls == [1, 2, 2, 1], "each window once more when it closed, and the open one each time"
    (frames,) = hearing.encode([turn], exact=True)
    torch.testing.assert_close(frames, whole(torch.cat(sounds)), atol=1e-4, rtol=1e-3)
    assert sum(calls[4:]) == 3, "the closed windows were scaled too high"


@torch.inference_mode()
def test_turns_heard_together_are_as_each_alone():
    sounds = [speech(seconds, number) for number, seconds in enumerate((0.3, 0.75, 1.9))]
    for exact in (False, True):
        together = Hearing(MODEL).encode([grown(sound) for sound in sounds], exact)
        for sound, frames in zip(sounds, together, strict=True):
            (alone,) = Hearing(MODEL).encode([grown(sound)], exact)
            torch.testing.assert_close(frames, alone, atol=1e-4, rtol=1e-3)


@torch.inference_mode()
def test_too_little_gives_nothing():
    turn = TurnAudio(FILES.log_mel, 60.0)
    assert [len(frames) for frames in Hearing(MODEL).encode([turn, grown(speech(0.5))], False)] == [0, 3]
    turn.push(speech(0.005))
    assert len(Hearing(MODEL).encode([turn], True)[0]) == 0
