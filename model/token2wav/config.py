"""Sizes of the flow and of the vocoder, read from their published dictionaries.

Knows numbers and which of the published options are built; an option that is not is an error that names it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Literal, Self

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError, model_validator

from model.interface import Record
from model.token2wav.errors import DecoderConfigError

UPSTREAM_RATE, UPSTREAM_HOP = 22_050, 256  # what the published code counts frames with, whatever is configured
_NO_EFFECT = frozenset({"output_type", "only_mask_loss", "decoder_conf", "mel_feat_conf"})  # of the published file


class Config(Record):
    """Base of the records below."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read a published dictionary. Raises DecoderConfigError naming the key that cannot be used."""
        try:
            return cls.model_validate({key: value for key, value in values.items() if key not in _NO_EFFECT})
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or cls.__name__
            raise DecoderConfigError(
                f"The token decoder's configuration cannot be used at `{key}`: {first['msg']}.",
                "Take the file that belongs to the weights; options beyond the published ones are not built.",
            ) from None


class EncoderConfig(Config):
    """The block-causal encoder over units."""

    input_size: PositiveInt
    output_size: PositiveInt
    attention_heads: PositiveInt
    linear_units: PositiveInt
    num_blocks: PositiveInt
    block_size: PositiveInt  # units that see each other
    dropout_rate: NonNegativeFloat = 0.1
    positional_dropout_rate: NonNegativeFloat = 0.1
    attention_dropout_rate: NonNegativeFloat = 0.1
    normalize_before: Literal[True] = True
    input_layer: Literal["linear"] = "linear"
    pos_enc_layer_type: Literal["rel_pos_espnet"] = "rel_pos_espnet"
    selfattention_layer_type: Literal["block_rel_selfattn"] = "block_rel_selfattn"
    use_cnn_module: Literal[False] = False
    macaron_style: Literal[False] = False

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.output_size % self.attention_heads or self.output_size % 2:
            raise ValueError("output_size must be even and a multiple of attention_heads")
        return self


class RegulatorConfig(Config):
    """The length regulator: one convolution per entry of ``sampling_ratios``, whatever its value."""

    channels: PositiveInt
    sampling_ratios: tuple[int, ...]
    out_channels: PositiveInt | None = None  # None: as channels
    groups: PositiveInt = 1


class CfmParams(Config):
    """How the flow is trained and solved."""

    sigma_min: NonNegativeFloat = 1e-6
    solver: Literal["euler"] = "euler"
    t_scheduler: str = "cosine"  # anything else is linear
    training_cfg_rate: NonNegativeFloat = 0.2
    inference_cfg_rate: NonNegativeFloat = 0.7
    reg_loss_type: str = "l1"


class EstimatorConfig(Config):
    """The U-Net that estimates the flow's direction."""

    in_channels: PositiveInt
    out_channels: PositiveInt
    channels: tuple[PositiveInt, ...]
    dropout: NonNegativeFloat = 0.0
    attention_head_dim: PositiveInt
    n_blocks: PositiveInt
    num_mid_blocks: int
    num_heads: PositiveInt
    act_fn: Literal["gelu"] = "gelu"


class CfmConfig(Config):
    """The conditional flow."""

    in_channels: PositiveInt
    n_spks: int = 1
    spk_emb_dim: PositiveInt
    cfm_params: CfmParams
    estimator: EstimatorConfig


class HiftConfig(Config):
    """The vocoder."""

    class Istft(Config):
        """The inverse transform at its end."""

        n_fft: PositiveInt
        hop_len: PositiveInt

    class F0(Config):
        """The pitch net."""

        num_class: Literal[1] = 1
        in_channels: PositiveInt
        cond_channels: PositiveInt

    in_channels: PositiveInt
    base_channels: PositiveInt
    nb_harmonics: int  # above the fundamental
    sampling_rate: PositiveInt  # Hz
    nsf_alpha: float  # amplitude of the sines
    nsf_sigma: float  # of the noise where voiced
    nsf_voiced_threshold: float  # Hz
    upsample_rates: tuple[PositiveInt, ...]
    upsample_kernel_sizes: tuple[PositiveInt, ...]
    istft_params: Istft
    resblock_kernel_sizes: tuple[PositiveInt, ...]
    resblock_dilation_sizes: tuple[tuple[PositiveInt, ...], ...]
    source_resblock_kernel_sizes: tuple[PositiveInt, ...]
    source_resblock_dilation_sizes: tuple[tuple[PositiveInt, ...], ...]
    lrelu_slope: float
    audio_limit: PositiveFloat
    f0_predictor: F0

    @model_validator(mode="after")
    def _lists_fit(self) -> Self:
        stages = len(self.upsample_rates)
        if not len(self.upsample_kernel_sizes) == len(self.source_resblock_kernel_sizes) == stages:
            raise ValueError("upsample_kernel_sizes and source_resblock_kernel_sizes need one entry per upsample rate")
        if len(self.resblock_dilation_sizes) != len(self.resblock_kernel_sizes):
            raise ValueError("resblock_dilation_sizes needs one entry per resblock kernel")
        if len(self.source_resblock_dilation_sizes) != stages:
            raise ValueError("source_resblock_dilation_sizes needs one entry per upsample rate")
        return self

    @property
    def hop(self) -> int:
        """Samples a mel frame."""
        return math.prod(self.upsample_rates) * self.istft_params.hop_len


class FlowConfig(Config):
    """The flow, and the clock of the mel frames it makes."""

    input_size: PositiveInt
    output_size: PositiveInt  # mel bins
    spk_embed_dim: PositiveInt
    vocab_size: PositiveInt
    input_frame_rate: PositiveFloat  # units a second
    encoder: EncoderConfig
    length_regulator: RegulatorConfig
    decoder: CfmConfig
    sampling_rate: PositiveInt = UPSTREAM_RATE  # Hz, of the vocoder behind the flow
    hop: PositiveInt = UPSTREAM_HOP  # samples a mel frame, of the vocoder behind the flow

    def for_vocoder(self, vocoder: HiftConfig) -> FlowConfig:
        """The same flow in front of this vocoder."""
        return self.model_copy(update={"sampling_rate": vocoder.sampling_rate, "hop": vocoder.hop})

    @property
    def block_size(self) -> int:
        """Units that the encoder sees at once: mel of earlier ones is final only in whole blocks."""
        return self.encoder.block_size

    @property
    def frames_per_unit(self) -> Fraction:
        """Mel frames a unit, exactly (441/64 as published)."""
        return Fraction(self.sampling_rate, self.hop) / Fraction(str(self.input_frame_rate))

    def frames(self, units: int) -> int:
        """Whole mel frames that ``units`` units give: floor(units · rate / (unit rate · hop))."""
        return math.floor(units * self.frames_per_unit)

    def frames_upstream(self, units: int) -> int:
        """The published count: the same in float32 and at 22,050/256 always; off by one from 3,392 units on."""
        seconds = np.float32(units) / np.float32(self.input_frame_rate)
        return int(seconds * np.float32(UPSTREAM_RATE) / np.float32(UPSTREAM_HOP))
