"""Units to mel frames: every unit's vector is repeated, then smoothed by convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.opens2s.compat import Compat
from model.token2wav.config import RegulatorConfig
from model.token2wav.masking import group_norm


class LengthRegulator(nn.Module):
    """Nearest-neighbour stretch, then convolution, GroupNorm and Mish per sampling ratio, and a last convolution.

    ``compat="upstream"`` stretches every row of a batch to the longest target; None stretches each to its own and
    keeps padding out of all of it.
    """

    def __init__(self, config: RegulatorConfig, compat: Compat = None) -> None:
        super().__init__()
        self.compat = compat
        layers: list[nn.Module] = []
        for _ in config.sampling_ratios:
            layers.append(nn.Conv1d(config.channels, config.channels, 3, padding=1))
            layers += [nn.GroupNorm(config.groups, config.channels), nn.Mish()]
        layers.append(nn.Conv1d(config.channels, config.out_channels or config.channels, 1))
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor, ylens: Tensor, xlens: Tensor | None = None, frames: int | None = None) -> Tensor:
        """Vectors [B, n, C] of ``xlens`` units (None: all n) -> [B, frames, C_out], zero past each row's ``ylens``.

        ``frames`` is the longest of ``ylens``; given, it spares a look at the device.
        """
        frames = int(ylens.max()) if frames is None else frames
        places = torch.arange(frames, device=x.device)
        mask = (places < ylens[:, None])[:, None].to(x.dtype)
        ends = torch.full_like(ylens, x.shape[1]) if xlens is None or self.compat == "upstream" else xlens
        targets = torch.full_like(ylens, frames) if self.compat == "upstream" else ylens
        # The stretch is a float32 product in the published code, and the weights were trained with it.
        source = (places.float() * (ends.float() / targets.float())[:, None]).floor().long()
        source = source.minimum(ends[:, None] - 1).clamp(min=0)
        stretched = x.gather(1, source[..., None].expand(-1, -1, x.shape[2])).transpose(1, 2)
        if self.compat == "upstream":
            smooth: Tensor = self.model(stretched) * mask
        else:
            smooth = self.smooth(stretched, mask)
        return smooth.transpose(1, 2)

    def smooth(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Stretched vectors [B, C, T] -> [B, C_out, T]; frames where ``mask`` [B, 1, T] is zero count for nothing."""
        for layer in self.model:
            if isinstance(layer, nn.GroupNorm):
                x = group_norm(layer, x, mask)
            else:
                x = layer(x if mask is None else x * mask)
        return x if mask is None else x * mask
