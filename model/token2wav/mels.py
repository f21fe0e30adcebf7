"""Mel while the units still come: the flow in blocks of bounded cost, all of them on one absolute clock of frames.

The encoder is block-causal, so it takes whole blocks and never again (keys and values are kept). The U-Net looks
both ways, so each block sees a bounded past, whose mel it is told, and its last frames wait until the next block
has seen them too: both opinions are faded into each other by ramps that sum to one. Blocks are of a fixed
schedule, so the mel does not depend on the portions in which units come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor
from torch.nn import functional as F

from model.captured import Captured
from model.interface import Record
from model.token2wav.errors import StreamError
from model.token2wav.flow import Flow
from model.token2wav.tapes import Noise, Track

_NOISE_PORTION = 64  # frames drawn at once
RECORDED = 1 << 22  # numbers of mel in a call of the U-Net up to which it is worth recording


class StreamOptions(Record):
    """How a stream trades latency, cost and likeness to decoding in one go."""

    context_units: NonNegativeInt | None = 40  # past that regulator and U-Net see; None: all of it
    encoder_units: NonNegativeInt | None = None  # past that the encoder sees; None: all of it, as in one go
    overlap_frames: NonNegativeInt = 12  # that wait for the next block and are faded
    steps: PositiveInt = 10  # of the flow
    first_units: PositiveInt | None = None  # of the first block, rounded up to encoder blocks; None: one of those
    longest_units: PositiveInt = 40  # a block is as long as all before it, up to this, rounded down to encoder blocks


class MelStream:
    """All that the mel of one reply depends on."""

    def __init__(self, flow: Flow, seed: int, spks: Tensor, first: int) -> None:
        bins = flow.config.output_size
        self.spks = spks  # [1, mel]
        self.noise = Noise(seed, bins, _NOISE_PORTION, spks)
        self.waiting: list[int] = []
        self.final = False  # no more units will come
        self.next_units = first  # of the next block
        self.memory = flow.encoder.empty(spks)
        self.vectors = Track(spks.new_zeros(1, bins, 0))  # of encoded units
        self.mel = Track(spks.new_zeros(1, bins, 0))  # final
        self.held = spks.new_zeros(1, bins, 0)  # frames after the final ones, that wait

    @property
    def due(self) -> int:
        """Units of the next block if they are here, else 0."""
        here = len(self.waiting)
        return min(here, self.next_units) if self.final or here >= self.next_units else 0

    @property
    def ended(self) -> bool:
        """All units there will ever be are decoded, or about to be: nothing waits any more."""
        return self.final and not self.waiting

    def settle(self, new: Tensor, overlap: int) -> None:
        """Frames [1, mel, n] from the end of the final ones on, of which ``overlap`` wait."""
        new = crossfade(self.held, new)
        sure = max(new.shape[2] - overlap, 0)
        self.mel.append(new[..., :sure])
        self.held = new[..., sure:].clone()


class StreamingFlow:
    """The flow for many streams at once; knows none of them."""

    def __init__(self, flow: Flow, options: StreamOptions) -> None:
        self._flow, self._options = flow, options
        self._pace, block = flow.config.frames_per_unit, flow.config.block_size
        self._longest = block * max(options.longest_units // block, 1)
        self._recorded = Captured(lambda _, x, *rest: flow.decoder.estimator(x, None, *rest), RECORDED)
        self._first = min(block * math.ceil((options.first_units or block) / block), self._longest)
        halvings = len(flow.config.decoder.estimator.channels) - 1
        self._grid: int = 2**halvings  # frames that are one at the U-Net's deepest level
        context = options.context_units  # in frames, and at least those that are held:
        least = options.overlap_frames + self._grid
        self._past = None if context is None else max(math.ceil(context * self._pace), least)

    def open(self, seed: int, speaker: Tensor | None) -> MelStream:
        """Begin a reply in the voice ``speaker`` [spk_embed_dim] (None: the published voice)."""
        like = self._flow.spk_embed_affine_layer.weight
        wanted = like.shape[1]
        if speaker is not None and speaker.numel() != wanted:
            raise StreamError(f"The speaker vector has {speaker.numel()} numbers.", f"Give one of {wanted}, or none.")
        embedding = like.new_zeros(1, wanted) if speaker is None else speaker.reshape(1, -1).to(like)
        return MelStream(self._flow, seed, self._flow.speaker(embedding), self._first)

    def advance(self, streams: Sequence[MelStream]) -> list[Tensor]:
        """Decode at most one block of each stream; gives the frames that became final, [1, mel, n] each."""
        before = [stream.mel.end for stream in streams]
        groups: dict[tuple[int, int], list[MelStream]] = {}
        for stream in streams:
            if stream.due:
                first, last = self._window(stream)
                groups.setdefault((stream.due, last - first), []).append(stream)
        for group in groups.values():
            self._block(group)
        for stream in streams:
            if stream.ended:
                stream.mel.append(stream.held)
                stream.held = stream.held[..., :0]
        found = [stream.mel.between(start, stream.mel.end) for start, stream in zip(before, streams, strict=True)]
        for stream in streams:
            self._forget(stream)
        return found

    def _estimate(self, x: Tensor, mask: Tensor | None, *rest: Tensor) -> Tensor:
        assert mask is None, "windows of one batch are equally long"
        return self._recorded((), x, *rest)

    def _window(self, stream: MelStream) -> tuple[int, int]:
        """First and last frame of the stream's next block, both on the U-Net's grid as it would lie in one go.

        Streams in full swing have windows of equal length.
        """
        last = self._rounded(self._flow.config.frames(stream.vectors.end + stream.due))
        if self._past is None:
            return 0, last
        return max(last - self._rounded(math.ceil(stream.due * self._pace) + self._past), 0), last

    def _rounded(self, frames: int) -> int:
        return -(-frames // self._grid) * self._grid

    def _block(self, streams: Sequence[MelStream]) -> None:
        """One block of streams whose blocks and windows are equally long."""
        windows = [self._window(stream) for stream in streams]
        self._encode(streams)
        first, last = windows[0]
        if last == first:
            return
        stretched, z, cond = [], [], []
        for stream, (first, last) in zip(streams, windows, strict=True):
            stretched.append(self._stretched(stream, first, last))
            z.append(stream.noise.between(first, last))
            cond.append(F.pad(stream.mel.between(first, stream.mel.end), (0, last - stream.mel.end)))
        mu = self._flow.length_regulator.smooth(torch.cat(stretched), None)
        spks = torch.cat([stream.spks for stream in streams])
        mel = self._flow.decoder(torch.cat(z), mu, spks, torch.cat(cond), steps=self._options.steps)
        for row, (stream, (first, _)) in enumerate(zip(streams, windows, strict=True)):
            made = self._flow.config.frames(stream.vectors.end)  # what rounding added belongs to units to come
            stream.settle(mel[row : row + 1, :, stream.mel.end - first : made - first], self._options.overlap_frames)

    def _encode(self, streams: Sequence[MelStream]) -> None:
        count, device = streams[0].due, streams[0].spks.device
        units = torch.tensor([stream.waiting[:count] for stream in streams], device=device)
        encoded, memories = self._flow.encoder.advance(self._flow.embed(units), [stream.memory for stream in streams])
        vectors = self._flow.encoder_proj(encoded).transpose(1, 2)
        for row, (stream, memory) in enumerate(zip(streams, memories, strict=True)):
            kept = self._options.encoder_units
            stream.memory = memory if kept is None else memory[..., max(memory.shape[3] - kept, 0) :, :].clone()
            stream.vectors.append(vectors[row : row + 1])
            del stream.waiting[:count]
            stream.next_units = min(stream.vectors.end, self._longest)

    def _stretched(self, stream: MelStream, first: int, last: int) -> Tensor:
        """The vector of each frame's unit, floor(frame / frames per unit): the same whatever else is in the clip.

        ``Flow`` stretches by the clip's own ratio, as published; the two are at most one frame apart.
        """
        frames = torch.arange(first, last, device=stream.spks.device)
        units = (frames * self._pace.denominator).div(self._pace.numerator, rounding_mode="floor")
        return stream.vectors.kept[..., units.clamp(max=stream.vectors.end - 1) - stream.vectors.start]

    def _forget(self, stream: MelStream) -> None:
        """Drop what no later block looks at."""
        if self._past is not None:
            first = max(self._flow.config.frames(stream.vectors.end) - self._past - self._grid, 0)
            stream.mel.forget(first)
            stream.noise.forget(first)
            stream.vectors.forget(math.floor(first / self._pace))


def crossfade(held: Tensor, new: Tensor) -> Tensor:
    """Frames ``new`` [1, C, n], the first of which come out of ``held`` [1, C, m <= n] by ramps that sum to one."""
    count = held.shape[-1]
    rise = torch.arange(1, count + 1, device=new.device, dtype=new.dtype) / (count + 1)
    return torch.cat((held + (new[..., :count] - held) * rise, new[..., count:]), -1)
