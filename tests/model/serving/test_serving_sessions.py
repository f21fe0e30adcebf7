"""Prompts as symbols: what a lane holds already is kept, and the result is as if nothing had been."""

import torch

from model.opens2s.tokens import AUDIO
from model.serving.lanes import Lanes
from model.serving.sessions import Laid, Sound, alike, fill, lay
from tests.model.serving.test_lanes import MODEL


def sound(number, frames):
    generator = torch.Generator().manual_seed(number)
    return Sound(number, torch.randn(frames, MODEL.config.hidden_size, generator=generator))


def test_frames_stand_where_the_placeholder_was():
    one, two = sound(1, 3), sound(2, 2)
    laid = lay([5, AUDIO, 6, AUDIO, 7], [one, two])
    assert len(laid.symbols) == 8
    assert laid.symbols[0] == 5
    assert laid.symbols[4] == 6
    assert len(set(laid.symbols)) == 8, "every frame has a symbol of its own"
    lanes = Lanes(MODEL, 1, 16)
    wanted = torch.cat([lanes.embed([5]), one.frames, lanes.embed([6]), two.frames, lanes.embed([7])])
    for start in range(8):
        torch.testing.assert_close(laid.inputs(lanes, start), wanted[start:])


def test_alike_counts_the_common_beginning():
    assert alike([1, 2, 3], [1, 2, 4, 5]) == 2
    assert alike([], [1]) == 0
    assert alike([1, 2], [1, 2]) == 2


@torch.inference_mode()
def test_a_lane_filled_in_steps_ends_like_one_filled_at_once():
    one = sound(1, 4)
    steps = [
        lay([1, 2, 3], []),
        lay([1, 2, 3, AUDIO, 4], [one]),
        lay([1, 2, 3, AUDIO, 4, 8, 9], [one]),
        Laid(lay([1, 2, 3, AUDIO, 4], [one]).symbols[:5], (one,)),  # cut inside the sound
        lay([1, 2, 3, AUDIO, 4, 7], [one]),
        lay([1, 2, 3, AUDIO, 4, 7], [one]),  # nothing new
    ]
    lanes, held = Lanes(MODEL, 2, 32), []
    for laid in steps:
        state = fill(lanes, 0, held, laid)
        torch.testing.assert_close(state, fill(lanes, 1, [], laid), atol=2e-5, rtol=1e-4)
        assert held == laid.symbols
