"""Units to sound as they come, for many replies at once: the streaming flow and the streaming vocoder in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.token2wav.errors import DecoderConfigError, StreamError, UnitError
from model.token2wav.flow import Flow
from model.token2wav.hift import Hift
from model.token2wav.mels import MelStream, StreamingFlow, StreamOptions
from model.token2wav.waves import SoundStream, StreamingVocoder

__all__ = ["StreamOptions", "Token2Wav", "WaveJob", "WaveStream"]

_DEFAULTS = StreamOptions()


@dataclass(eq=False)
class WaveStream:
    """All the state of one reply; nothing is kept elsewhere."""

    mels: MelStream
    sound: SoundStream

    @property
    def needs(self) -> int:
        """Units that must still come before the next block can be made."""
        return self.mels.next_units - len(self.mels.waiting)


@dataclass(frozen=True)
class WaveJob:
    """A stream and its new units; ``final`` if no more will come."""

    stream: WaveStream
    units: Sequence[int]
    final: bool = False


class Token2Wav:
    """Flow and vocoder, shared by all streams and put into eval mode.

    The sound of a stream depends on its seed, speaker, units and the options, on nothing else: not on the portions
    in which its units come, nor on the streams it is decoded with (to rounding).
    """

    def __init__(self, flow: Flow, vocoder: Hift, options: StreamOptions = _DEFAULTS) -> None:
        """Raises DecoderConfigError if the flow counts frames otherwise than the vocoder."""
        clock, frames = (flow.config.sampling_rate, flow.config.hop), (vocoder.config.sampling_rate, vocoder.config.hop)
        if clock != frames or flow.config.output_size != vocoder.config.in_channels:
            raise DecoderConfigError(
                f"The flow makes {flow.config.output_size} bins with rate and hop {clock}, the vocoder takes "
                f"{vocoder.config.in_channels} bins with {frames}.",
                "Build the flow with `FlowConfig.for_vocoder` of the vocoder's configuration.",
            )
        self._flow, self._vocoder = flow.eval(), vocoder.eval()
        self._mels, self._sounds = StreamingFlow(flow, options), StreamingVocoder(vocoder)
        self.sample_rate = vocoder.config.sampling_rate  # Hz
        self.unit_rate = flow.config.input_frame_rate  # units a second
        self.samples_per_unit: Fraction = flow.config.frames_per_unit * vocoder.config.hop

    def sample_at(self, unit: int) -> int:
        """The sample at which unit ``unit`` begins, and how many samples ``unit`` units give: whole frames."""
        return self._flow.config.frames(unit) * self._vocoder.config.hop

    @torch.inference_mode()
    def open(self, seed: int, speaker: Tensor | None = None) -> WaveStream:
        """Begin a reply in the voice ``speaker`` [spk_embed_dim] (None: the published voice)."""
        flow_seed, sound_seed = (int(part) for part in np.random.SeedSequence(seed % 2**64).generate_state(2))
        return WaveStream(self._mels.open(flow_seed, speaker), SoundStream(self._vocoder, sound_seed))

    @torch.inference_mode()
    def step(self, jobs: Sequence[WaveJob]) -> list[NDArray[np.float32]]:
        """New units of some streams -> the samples [n] that each one's units so far complete, n >= 0.

        Over a whole stream, up to and with its final job, exactly ``sample_at(units)`` samples come. Raises
        UnitError for a unit outside the codebook and StreamError for units after the end or a stream given twice;
        then no stream has changed.
        """
        self._check(jobs)
        for job in jobs:
            job.stream.mels.waiting.extend(job.units)
            job.stream.mels.final = job.stream.mels.final or job.final
        streams = [job.stream for job in jobs]
        rounds = [self._round(streams)]
        while any(stream.mels.due for stream in streams):
            rounds.append(self._round(streams))
        return _arrays([torch.cat(waves) for waves in zip(*rounds, strict=True)])

    def _round(self, streams: Sequence[WaveStream]) -> list[Tensor]:
        """At most one block of each stream, and the sound [samples] this completes."""
        mels = self._mels.advance([stream.mels for stream in streams])
        return self._sounds.advance([(s.sound, mel, s.mels.ended) for s, mel in zip(streams, mels, strict=True)])

    def one_shot(self, units: Sequence[int], seed: int, speaker: Tensor | None = None) -> NDArray[np.float32]:
        """The same units in one block that sees all of itself; what a stream is compared with."""
        stream = self.open(seed, speaker)
        stream.mels.next_units = len(units)
        return self.step([WaveJob(stream, units, final=True)])[0]

    def _check(self, jobs: Sequence[WaveJob]) -> None:
        codes = self._flow.config.vocab_size
        if len({id(job.stream) for job in jobs}) < len(jobs):
            raise StreamError("A stream is in one step twice.", "Give each stream one job with all its new units.")
        for job in jobs:
            if len(job.units) and job.stream.mels.final:
                raise StreamError("Units come after the end of their stream.", "Open a new stream for a new reply.")
            if not all(0 <= unit < codes for unit in job.units):
                raise UnitError(f"A unit is not in 0..{codes - 1}.", "Decode with the tokenizer that made the units.")


def _arrays(waves: Sequence[Tensor]) -> list[NDArray[np.float32]]:
    """One copy from the device for all."""
    if not waves:
        return []
    joined = torch.cat([wave.float() for wave in waves]).cpu().numpy()
    ends = np.cumsum([len(wave) for wave in waves])
    return np.split(joined, ends[:-1])
