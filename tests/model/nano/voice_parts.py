"""A voice with tiny random weights, and words for it to say."""

import torch

from model.nano.config import SpeechDecoderConfig, UnitsConfig
from model.nano.sampling import SamplingSettings
from model.nano.speech_decoder import SpeechDecoder
from model.nano.states import SpokenWord
from model.nano.units import Codebook, TokenDecoder
from model.nano.voice import Voice

UNITS = UnitsConfig(codes=32, width=32, inner=32, frame_width=16, frame_inner=16)
DECODER = SpeechDecoderConfig(codes=32, llm_width=8, width=32, layers=2, heads=2, inner=32)


def shake(module: torch.nn.Module, seed: int = 0) -> None:
    """Random weights from a private generator."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = 0.15 * torch.randn(parameter.shape, generator=generator)


def tiny_voice(settings: SamplingSettings | None = None) -> Voice:
    decoder, codebook, net = TokenDecoder(UNITS), Codebook(UNITS), SpeechDecoder(DECODER)
    shake(decoder)
    shake(net, 1)
    net.table.copy_(codebook.table)
    decoder.leave.bias.data[0] = 0.5  # loud enough to tell sounds apart
    return Voice(net, decoder, codebook, settings)


def sentence() -> list[SpokenWord]:
    hidden = torch.linspace(-1, 1, 8)
    return [
        SpokenWord("hello", ("HH", "AH", "L", "OW"), hidden, ","),
        SpokenWord("my", ("M", "AY")),
        SpokenWord("friend", ("F", "R", "EH", "N", "D"), -hidden, "?"),
        SpokenWord("see", ("S", "IY")),
        SpokenWord("you", ("Y", "UW")),
    ]


def generator(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
