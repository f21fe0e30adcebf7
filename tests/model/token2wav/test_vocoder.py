"""The vocoder: its source over minutes, its reach, and streamed sound against sound in one go."""

import pytest
import torch

from model.token2wav.config import HiftConfig
from model.token2wav.errors import DecoderConfigError
from model.token2wav.hift import Hift
from model.token2wav.reach import F0_REACH, trunk_reach
from model.token2wav.source import HarmonicSource
from model.token2wav.spectrum import istft, stft
from model.token2wav.waves import SoundStream, StreamingVocoder
from tests.model.token2wav.wave_parts import BINS, hift, hift_dict, randomised


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def in_one_go(vocoder, mel, seed):
    stream = SoundStream(vocoder, seed)
    noise = stream.noise.between(0, mel.shape[2] * vocoder.config.hop)
    with torch.no_grad():
        return vocoder(mel, stream.offsets, noise)[0][0]


def streamed(vocoder, mel, seed, portions):
    streaming, stream = StreamingVocoder(vocoder), SoundStream(vocoder, seed)
    pieces = list(mel.split(portions, 2))
    with torch.no_grad():
        sounds = [streaming.advance([(stream, piece, False)])[0] for piece in pieces]
        sounds += streaming.advance([(stream, mel[..., :0], True)])
    return torch.cat(sounds)


@pytest.mark.parametrize("portions", [1, 7, 50, 200])
def test_streamed_sound_equals_sound_in_one_go(portions):
    vocoder, mel = hift(), normal(1, BINS, 131)
    whole = in_one_go(vocoder, mel, 5)
    found = streamed(vocoder, mel, 5, portions)
    assert found.shape == whole.shape
    assert float((found - whole).abs().max()) < 1e-4
    assert float(whole.std()) > 0.05
    assert float((whole.abs() > 0.98).float().mean()) < 0.05  # hardly any of it is hidden by the limit


@pytest.mark.parametrize(
    "changes",
    [
        {"upsample_rates": [5, 4], "upsample_kernel_sizes": [11, 8], "nb_harmonics": 0},
        {
            "upsample_rates": [2, 3, 2], "upsample_kernel_sizes": [4, 9, 4], "base_channels": 32,
            "source_resblock_kernel_sizes": [3, 7, 7], "source_resblock_dilation_sizes": [[1], [1, 3], [1]],
            "istft_params": {"n_fft": 8, "hop_len": 2},
        },
    ],
)  # fmt: skip
def test_streamed_sound_equals_sound_in_one_go_at_other_sizes(changes):
    vocoder, mel = hift(**changes), normal(1, BINS, 90)
    assert float((streamed(vocoder, mel, 5, 11) - in_one_go(vocoder, mel, 5)).abs().max()) < 1e-4


def test_the_published_way_of_calling_it_afresh_clicks():
    vocoder, mel = hift("upstream"), normal(1, BINS, 131)
    whole = in_one_go(vocoder, mel, 5)
    afresh = torch.cat([in_one_go(vocoder, piece, 5) for piece in mel.split(50, 2)])
    assert float((afresh - whole).abs().max()) > 0.1


def test_streams_are_decoded_together_as_alone():
    vocoder = hift()
    mels = [normal(1, BINS, 60, seed=n) for n in range(3)]
    streaming, streams = StreamingVocoder(vocoder), [SoundStream(vocoder, n) for n in range(3)]
    found = [[], [], []]
    with torch.no_grad():
        for start in range(0, 60, 20):
            jobs = [(s, mel[..., start : start + 20], start == 40) for s, mel in zip(streams, mels, strict=True)]
            for sounds, sound in zip(found, streaming.advance(jobs), strict=True):
                sounds.append(sound)
    for n, sounds in enumerate(found):
        assert float((torch.cat(sounds) - in_one_go(vocoder, mels[n], n)).abs().max()) < 1e-4


@pytest.mark.parametrize("changes", [{}, {"upsample_rates": [5, 4], "upsample_kernel_sizes": [11, 8]}])
def test_the_reach_is_just_what_the_trunk_looks_at(changes):
    vocoder = hift(**changes).double()
    reach, hop, frames = trunk_reach(vocoder.config), vocoder.config.hop, 81
    mel = normal(1, BINS, frames).double().requires_grad_()
    source = normal(1, 1, frames * hop).double().mul(0.1).requires_grad_()
    wave = vocoder.decode(mel, source)
    middle = wave[0, 40 * hop : 41 * hop]
    by_mel, by_source = torch.autograd.grad((middle * normal(hop).double()).sum(), (mel, source))
    touched = by_mel.abs().sum((0, 1)) + by_source.view(frames, hop).abs().sum(1)
    places = touched.nonzero()[:, 0]
    assert reach - 1 <= max(40 - int(places[0]), int(places[-1]) - 40) <= reach


def test_the_reach_of_the_pitch():
    net = hift().f0_predictor.double()
    mel = normal(1, BINS, 31).double().requires_grad_()
    (by_mel,) = torch.autograd.grad(net(mel)[0, 15], mel)
    places = by_mel.abs().sum((0, 1)).nonzero()[:, 0]
    assert (int(places[0]), int(places[-1])) == (15 - F0_REACH, 15 + F0_REACH)


def test_the_phase_stays_true_over_minutes():
    config = HiftConfig.from_dict(hift_dict(nb_harmonics=0))
    frames = 60_000  # 12 minutes at 64 samples
    f0 = torch.full((1, frames), 997.3)
    periods = (torch.arange(1, frames * config.hop + 1).double() * float(f0[0, 0]) / config.sampling_rate) % 1
    wanted = 0.1 * torch.sin(2 * torch.pi * periods)

    def missed(compat):
        source = randomised(HarmonicSource(config, compat), 4)
        with torch.no_grad():
            source.l_linear.weight.fill_(1)
            source.l_linear.bias.fill_(0)
            found, _ = source(f0, torch.zeros(1, 1, 1), torch.zeros(1, 1, frames * config.hop))
        return float((found[0, 0].atanh() - wanted).abs()[-1000:].max())

    assert missed(None) < 1e-4
    assert missed("upstream") > 1e-2


def test_folding_keeps_the_sound_and_may_be_done_twice():
    vocoder, mel = hift(), normal(1, BINS, 20)
    before = in_one_go(vocoder, mel, 1)
    assert "conv_pre.weight_g" in vocoder.state_dict()
    after = in_one_go(vocoder.fold().fold(), mel, 1)
    assert "conv_pre.weight_g" not in vocoder.state_dict()
    assert torch.allclose(before, after, atol=1e-5)


@pytest.mark.parametrize(("n_fft", "hop"), [(16, 4), (8, 2), (20, 5)])
def test_the_transforms_are_the_usual_ones(n_fft, hop):
    wave, window = normal(2, 1, 40 * hop), torch.hann_window(n_fft)
    spectrum = stft(wave, n_fft, hop)
    usual = torch.stft(wave[:, 0], n_fft, hop, window=window, return_complex=True)
    assert torch.allclose(spectrum, torch.cat((usual.real, usual.imag), 1), atol=1e-5)
    noisy = spectrum + 0.1 * normal(*spectrum.shape, seed=1)
    real, imaginary = noisy.chunk(2, 1)
    wanted = torch.istft(torch.complex(real, imaginary), n_fft, hop, window=window)
    assert torch.allclose(istft(noisy, n_fft, hop), wanted, atol=1e-5)


def test_lists_that_do_not_fit_are_an_error():
    with pytest.raises(DecoderConfigError, match="upsample_kernel_sizes"):
        Hift(HiftConfig.from_dict(hift_dict(upsample_kernel_sizes=[8])))
