"""How far the vocoder looks: mel frames on either side that one frame of sound, or of pitch, depends on."""

from __future__ import annotations

import math

from model.token2wav.config import HiftConfig
from model.token2wav.hift import EDGE_KERNEL, F0_KERNEL, F0_LAYERS

Span = tuple[int, int]  # first and last place, relative to the frame asked for

F0_REACH = F0_LAYERS * (F0_KERNEL // 2)  # frames


def trunk_reach(config: HiftConfig) -> int:
    """Frames of mel and source before and after a frame that its sound depends on (14 as published).

    The places that the frame's samples depend on are followed back through every layer.
    """
    n_fft, step, frame = config.istft_params.n_fft, config.istft_params.hop_len, config.hop
    rates, spans = config.upsample_rates, []
    span = -((n_fft // 2 - 1) // step), (frame - 1 + n_fft // 2) // step
    span = _wider(span, EDGE_KERNEL // 2)
    blocks = max(map(_block_reach, config.resblock_kernel_sizes, config.resblock_dilation_sizes))
    for n in reversed(range(len(rates))):
        span = _wider(span, blocks)
        spans.append(_source_frames(config, n, span))
        if n == len(rates) - 1:
            span = span[0] - 1, span[1] - 1  # the reflected place in front
        kernel, rate = config.upsample_kernel_sizes[n], rates[n]
        padding = (kernel - rate) // 2
        span = -((kernel - 1 - padding - span[0]) // rate), (span[1] + padding) // rate
    spans.append(_wider(span, EDGE_KERNEL // 2))
    return max(max(-first, last) for first, last in spans)


def _wider(span: Span, reach: int) -> Span:
    return span[0] - reach, span[1] + reach


def _block_reach(kernel: int, dilations: tuple[int, ...]) -> int:
    return sum((kernel - 1) * dilation // 2 + kernel // 2 for dilation in dilations)


def _source_frames(config: HiftConfig, stage: int, span: Span) -> Span:
    """Frames of the source that places ``span`` of a stage depend on."""
    kernel, dilations = config.source_resblock_kernel_sizes[stage], config.source_resblock_dilation_sizes[stage]
    first, last = _wider(span, _block_reach(kernel, dilations))
    rate = math.prod(config.upsample_rates[stage + 1 :])
    if rate > 1:
        first, last = first * rate - rate // 2, last * rate - rate // 2 + 2 * rate - 1
    n_fft, step = config.istft_params.n_fft, config.istft_params.hop_len
    return (first * step - n_fft // 2) // config.hop, (last * step + n_fft // 2 - 1) // config.hop
