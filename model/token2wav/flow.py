"""Units to mel: encoder, length regulator and conditional flow of GLM-4-Voice's token decoder, over whole clips.

For mel while the units still come see ``mels``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.opens2s.compat import Compat
from model.token2wav.cfm import ConditionalCfm
from model.token2wav.config import FlowConfig
from model.token2wav.errors import DecoderConfigError, StreamError
from model.token2wav.flow_encoder import FlowEncoder
from model.token2wav.masking import padding_mask
from model.token2wav.regulator import LengthRegulator


class Flow(nn.Module):
    """``compat="upstream"``: frame count in float32, padding as published. None: exact count, padding without trace."""

    def __init__(self, config: FlowConfig, compat: Compat = None) -> None:
        super().__init__()
        _check(config)
        self.config, self.compat = config, compat
        self.input_embedding = nn.Embedding(config.vocab_size, config.input_size)
        self.spk_embed_affine_layer = nn.Linear(config.spk_embed_dim, config.output_size)
        self.encoder = FlowEncoder(config.encoder)
        self.encoder_proj = nn.Linear(config.encoder.output_size, config.output_size)
        self.decoder = ConditionalCfm(config.decoder, compat)
        self.length_regulator = LengthRegulator(config.length_regulator, compat)

    def frames(self, units: int) -> int:
        """Mel frames that ``units`` units give."""
        return self.config.frames_upstream(units) if self.compat == "upstream" else self.config.frames(units)

    def speaker(self, embedding: Tensor) -> Tensor:
        """Speaker vectors [B, spk_embed_dim] -> conditions [B, mel]; zeros are the published default voice."""
        least = max(1e-12, torch.finfo(embedding.dtype).tiny)  # a zero vector stays zero in half precision too
        found: Tensor = self.spk_embed_affine_layer(F.normalize(embedding, dim=1, eps=least))
        return found

    def embed(self, units: Tensor) -> Tensor:
        """Units [B, n] -> [B, n, input_size]; a negative unit is taken for unit 0, as published."""
        found: Tensor = self.input_embedding(units.clamp(min=0))
        return found

    def forward(
        self, units: Tensor, z: Tensor, embedding: Tensor, prompt: Tensor | None = None,
        lengths: Sequence[int] | None = None, steps: int = 10,
    ) -> Tensor:  # fmt: skip
        """Units [B, n] (the prompt's first), noise z [B, mel, T], speaker [B, spk_embed_dim] -> mel [B, mel, T - Tp].

        T is ``frames`` of the longest of ``lengths`` (units a row; None: n each). ``prompt`` [B, mel, Tp] is the mel
        already known; what comes out are the frames after it. Raises StreamError for a prompt longer than its units.
        """
        counts = [units.shape[1]] * units.shape[0] if lengths is None else list(lengths)
        targets = [self.frames(count) for count in counts]
        total, known = max(targets), 0 if prompt is None else prompt.shape[2]
        if known > min(targets):
            raise StreamError(f"The prompt has {known} frames, its units and the new ones {min(targets)}.", _MEND)
        cond = z.new_zeros(z.shape) if prompt is None else F.pad(prompt, (0, total - known))
        mu = self._stretched(units, counts, targets)
        mask = padding_mask(targets, z.device, z.dtype)
        mel: Tensor = self.decoder(z, mu, self.speaker(embedding), cond, mask, steps)
        return mel[..., known:]

    def _stretched(self, units: Tensor, counts: list[int], targets: list[int]) -> Tensor:
        lengths = torch.tensor(counts, device=units.device)
        encoded, _ = self.encoder(self.embed(units), lengths)
        ends = torch.tensor(targets, device=units.device)
        found: Tensor = self.length_regulator(self.encoder_proj(encoded), ends, lengths, max(targets))
        return found.transpose(1, 2)


_MEND = "Give only mel that belongs to the prompt's units."


def _check(config: FlowConfig) -> None:
    mel, estimator, regulator = config.output_size, config.decoder.estimator, config.length_regulator
    fits = (
        config.encoder.input_size == config.input_size
        and regulator.channels == (regulator.out_channels or mel) == mel == estimator.out_channels
        and estimator.in_channels == 4 * mel
    )
    if not fits:
        raise DecoderConfigError(
            "The widths of the flow's parts do not fit each other.",
            "The encoder takes input_size; regulator and estimator work on output_size bins, four times stacked.",
        )
