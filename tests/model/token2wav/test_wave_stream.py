"""Units to sound as they come."""

import itertools

import numpy as np
import pytest
import torch

from model.token2wav.config import HiftConfig
from model.token2wav.errors import DecoderConfigError, StreamError, UnitError
from model.token2wav.mels import StreamingFlow, StreamOptions, crossfade
from model.token2wav.stream import Token2Wav, WaveJob
from model.token2wav.tapes import Noise
from model.token2wav.upstream import WORKER_UNITS, UpstreamStream
from tests.model.token2wav.wave_parts import BINS, BLOCK, CODES, decoder, flow, flow_dict, hift, hift_dict, units


def speak(waves, codes, portions, seed=3, late_end=True):
    """The sound of each step."""
    stream, found, start = waves.open(seed), [], 0
    sizes = itertools.cycle(portions)
    while start < len(codes):
        end = start + next(sizes)
        job = WaveJob(stream, codes[start:end], not late_end and end >= len(codes))
        found += waves.step([job])
        start = end
    return found + (waves.step([WaveJob(stream, [], True)]) if late_end or not codes else [])


def largest(found, wanted):
    return float(np.abs(found - wanted).max())


def test_the_sound_does_not_depend_on_the_portions():
    waves, codes = decoder(longest_units=10), units(43)
    wanted = np.concatenate(speak(waves, codes, [1]))
    for portions, late_end in (([7, 3, 20], True), ([43], False), ([5], False)):
        assert largest(np.concatenate(speak(waves, codes, portions, late_end=late_end)), wanted) < 1e-6
    assert wanted.std() > 0.05


def test_one_block_that_sees_all_equals_the_whole():
    waves, codes = decoder(first_units=20, longest_units=20), units(18)
    assert largest(np.concatenate(speak(waves, codes, [4])), waves.one_shot(codes, 3)) < 1e-5


def test_it_is_the_vocoder_in_one_go_over_the_mel_of_the_stream():
    codes, options = units(37), StreamOptions(steps=3, overlap_frames=6, longest_units=10)
    net, vocoder = flow(), hift()
    waves = Token2Wav(net, vocoder, options)
    stream, mels, sounds = waves.open(3), [], []
    for start in range(0, 37, 6):
        sounds += waves.step([WaveJob(stream, codes[start : start + 6], start + 6 >= 37)])
    again, mel_stream = StreamingFlow(net, options), waves.open(3).mels
    mel_stream.waiting, mel_stream.final = list(codes), True
    with torch.inference_mode():
        while mel_stream.due:
            mels += again.advance([mel_stream])
        mel, sound = torch.cat(mels, 2), waves.open(3).sound
        noise = sound.noise.between(0, mel.shape[2] * vocoder.config.hop)
        whole, _ = vocoder(mel, sound.offsets, noise)
    assert mel.shape[2] == net.config.frames(37)
    assert largest(np.concatenate(sounds), whole[0].numpy()) < 1e-4


@pytest.mark.parametrize("count", [0, 1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 4 * BLOCK, 48])
@pytest.mark.parametrize("late_end", [False, True])
def test_no_sample_is_lost(count, late_end):
    waves = decoder(longest_units=10)
    found = np.concatenate(speak(waves, units(count), [4], late_end=late_end))
    assert len(found) == waves.sample_at(count) == count * 11_024 // (25 * 64) * 64
    assert found.dtype == np.float32
    assert len(waves.one_shot(units(count), 1)) == len(found)


@pytest.mark.parametrize("channels", [[16], [8, 16, 24, 24]])
@pytest.mark.parametrize("options", [{"context_units": 0}, {"overlap_frames": 100}, {"overlap_frames": 0}])
def test_no_sample_is_lost_with_other_nets_and_options(channels, options):
    parts = flow_dict()["decoder"]
    parts["estimator"] |= {"channels": channels}
    waves = Token2Wav(flow(decoder=parts), hift(), StreamOptions(steps=1, longest_units=10, **options))
    assert len(np.concatenate(speak(waves, units(33), [4]))) == waves.sample_at(33)


@pytest.mark.parametrize(("count", "frames"), [(48, 35), (100, 3)])
def test_the_published_blocks_lose_the_tail_or_frames(count, frames):
    """As many units as a multiple of its block: the end never comes. Else every block from the third on loses one."""
    vocoder = hift("upstream", sampling_rate=22_050, upsample_rates=[8, 8], upsample_kernel_sizes=[16, 16])
    stream, samples = UpstreamStream(flow("upstream"), vocoder), []
    for block in torch.tensor([units(count)]).split(WORKER_UNITS, 1):
        wave, _ = stream.push(block, final=block.shape[1] < WORKER_UNITS)
        samples.append(wave.shape[1])
    assert samples[:2] == [33_280, 42_240]
    assert sum(samples) == (441 * count // 64 - frames) * 256


def test_a_block_is_as_long_as_all_before_it_up_to_the_longest():
    net = flow()
    streaming, lengths = StreamingFlow(net, StreamOptions(steps=1, longest_units=22)), []
    with torch.inference_mode():
        stream = streaming.open(3, None)
        stream.waiting, stream.final = units(67), True
        while stream.due:
            lengths.append(stream.due)
            streaming.advance([stream])
    assert lengths == [5, 5, 10, 20, 20, 7]


def test_units_come_out_early_and_the_end_of_a_multiple_of_the_block_is_not_lost():
    waves = decoder(longest_units=BLOCK)
    pieces = speak(waves, units(6 * BLOCK), [BLOCK])
    assert len(pieces[0]) > 0
    assert len(pieces[-1]) > 0


def test_noise_belongs_to_its_frame():
    like = torch.zeros(1)
    whole = Noise(5, BINS, 64, like).between(0, 300)
    noise, parts = Noise(5, BINS, 64, like), []
    for start in range(0, 300, 60):
        parts.append(noise.between(start, start + 60))
        noise.forget(start + 60)
    assert torch.equal(torch.cat(parts, 2), whole)
    prefix = torch.randn(1, BINS, 40, generator=torch.Generator().manual_seed(42))  # as published: drawn anew
    longer = torch.randn(1, BINS, 80, generator=torch.Generator().manual_seed(42))
    assert not torch.equal(longer[..., :40], prefix)


def test_the_fade_keeps_the_level():
    level = torch.full((1, BINS, 20), 3.0)
    assert torch.allclose(crossfade(level[..., :12], level), level)
    window = torch.hamming_window(68, periodic=False)
    assert float((window[:34] + window[34:]).min()) > 1.05  # as published


def test_the_fade_goes_from_the_old_to_the_new():
    found = crossfade(torch.zeros(1, 1, 3), torch.ones(1, 1, 5))
    assert torch.allclose(found[0, 0], torch.tensor([0.25, 0.5, 0.75, 1.0, 1.0]))


def test_the_prompt_is_exactly_the_mel_that_was_given():
    net = flow()
    streaming, told = StreamingFlow(net, StreamOptions(steps=1, overlap_frames=6, longest_units=10)), []
    net.decoder.register_forward_pre_hook(lambda _, inputs: told.append(inputs[3][0]))
    with torch.inference_mode():
        stream = streaming.open(3, None)
        given = torch.zeros(BINS, 0)
        for count in (5, 10, 10, 10, 10, 10, 10, 10):
            stream.waiting += units(count, seed=len(told))
            mel = streaming.advance([stream])[0][0]
            cond, last = told[-1], net.config.frames(stream.vectors.end)
            first = last + last % 2 - cond.shape[1]
            assert first % 2 == 0  # the U-Net halves the frames once: as it would in one go
            known = given[:, first:]
            assert torch.equal(cond[:, : known.shape[1]], known)
            assert not cond[:, known.shape[1] :].any()
            given = torch.cat((given, mel), 1)
            assert given.shape[1] == last - 6
    assert stream.mel.start > 0  # the window has left the beginning


def test_the_cost_of_a_block_is_bounded_and_so_is_memory():
    net = flow()
    options = StreamOptions(steps=1, overlap_frames=6, context_units=10, longest_units=10, encoder_units=20)
    waves, seen = Token2Wav(net, hift(), options), []
    net.decoder.estimator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[2]))
    stream, sizes = waves.open(3), []
    for start in range(0, 2_000, 50):
        waves.step([WaveJob(stream, units(50, seed=start))])
        sizes.append(numbers_kept(stream))
    assert max(seen) <= net.config.frames(20) + 4
    assert len(set(seen[20:])) == 1  # windows of equal length, so streams can share a batch
    assert max(sizes[20:]) <= 1.2 * max(sizes[2:10])


def numbers_kept(stream):
    mels, sound = stream.mels, stream.sound
    tensors = [mels.memory, mels.vectors.kept, mels.mel.kept, mels.held, mels.noise.kept]
    tensors += [sound.mel.kept, sound.source.kept, sound.noise.kept]
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


def test_only_the_encoder_remembers_all_when_it_may():
    waves = decoder(steps=1, longest_units=10)
    stream, sizes = waves.open(3), []
    for start in range(0, 400, 100):
        waves.step([WaveJob(stream, units(100, seed=start))])
        sizes.append(numbers_kept(stream))
    per_unit = 2 * 2 * 24 * 4  # layers, keys and values, width, bytes
    assert sizes[-1] - sizes[-2] == pytest.approx(100 * per_unit, rel=0.3)


def test_streams_at_different_places_are_decoded_together_as_alone():
    waves = Token2Wav(flow().double(), hift().double(), StreamOptions(steps=3, overlap_frames=6, longest_units=10))
    codes = [units(45, seed=n) for n in range(4)]
    alone = [np.concatenate(speak(waves, row, [45], seed=n)) for n, row in enumerate(codes)]
    streams, places, found = [waves.open(n) for n in range(4)], [0] * 4, [[], [], [], []]
    for turn in range(30):
        jobs, who = [], [n for n in range(4) if turn >= 2 * n and places[n] < 45]
        for n in who:
            end = min(places[n] + 5 + n, 45)
            jobs.append(WaveJob(streams[n], codes[n][places[n] : end], end == 45))
            places[n] = end
        for n, sound in zip(who, waves.step(jobs), strict=True):
            found[n].append(sound)
    for n in range(4):
        assert largest(np.concatenate(found[n]), alone[n]) < 1e-6


def test_a_seed_and_a_voice_make_the_sound_and_the_global_generator_does_not():
    waves, codes = decoder(), units(12)
    before = torch.random.get_rng_state()
    first, again = waves.one_shot(codes, 1), waves.one_shot(codes, 1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, waves.one_shot(codes, 2))
    assert not np.array_equal(first, waves.one_shot(codes, 1, torch.ones(6)))


def test_a_model_left_in_training_mode_is_put_right():
    waves = Token2Wav(flow().train(), hift().train(), StreamOptions(steps=2))
    assert np.array_equal(waves.one_shot(units(8), 1), waves.one_shot(units(8), 1))


def test_state_may_be_looked_at_and_faded_outside_inference_mode():
    waves = decoder(longest_units=BLOCK)
    stream = waves.open(1)
    waves.step([WaveJob(stream, units(10))])
    crossfade(stream.mels.held, stream.mels.held + 1)
    assert len(waves.step([WaveJob(stream, units(10), True)])[0]) > 0


def test_wrong_use_is_a_typed_error_and_changes_nothing():
    waves, codes = decoder(longest_units=10), units(12)
    wanted = np.concatenate(speak(waves, codes, [12]))
    stream, other = waves.open(3), waves.open(4)
    for bad in ([CODES], [-1]):
        with pytest.raises(UnitError, match="not in 0"):
            waves.step([WaveJob(stream, codes), WaveJob(other, bad)])
    with pytest.raises(StreamError, match="twice"):
        waves.step([WaveJob(stream, codes), WaveJob(stream, codes)])
    found = waves.step([WaveJob(stream, codes, True)])
    assert largest(found[0], wanted) < 1e-6
    with pytest.raises(StreamError, match="after the end"):
        waves.step([WaveJob(stream, codes)])
    assert len(waves.step([WaveJob(stream, [], True)])[0]) == 0
    with pytest.raises(StreamError, match="speaker"):
        waves.open(1, torch.zeros(5))
    assert waves.step([]) == []


def test_clocks_that_disagree_are_an_error():
    other = hift(sampling_rate=16_000)
    with pytest.raises(DecoderConfigError, match="for_vocoder"):
        Token2Wav(flow(), other)
    assert flow().config.for_vocoder(HiftConfig.from_dict(hift_dict())).hop == 64
