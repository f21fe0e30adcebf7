"""Noise to mel: the flow is followed from time 0 to 1 by Euler steps with classifier-free guidance.

Optimal-transport conditional flow matching (Lipman et al. 2023), as CosyVoice uses it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor, nn

from model.opens2s.compat import Compat
from model.token2wav.config import CfmConfig
from model.token2wav.estimator import Estimator


@lru_cache(maxsize=16)
def time_grid(steps: int, scheduler: str) -> tuple[tuple[float, float], ...]:
    """(time, width) of every step. Times are float32 sums of the widths, as published."""
    with torch.inference_mode(False):
        span = torch.linspace(0, 1, steps + 1, device="cpu")
        if scheduler == "cosine":
            span = 1 - torch.cos(span * 0.5 * math.pi)
        time, found = span[0], []
        for end in span[1:]:
            width = end - time
            found.append((float(time), float(width)))
            time = time + width
        return tuple(found)


class ConditionalCfm(nn.Module):
    """The flow: an estimator of its direction, and how it is followed."""

    def __init__(self, config: CfmConfig, compat: Compat = None) -> None:
        super().__init__()
        self.params = config.cfm_params
        self.estimator = Estimator(config.estimator, compat)

    def forward(
        self,
        z: Tensor,
        mu: Tensor,
        spks: Tensor,
        cond: Tensor,
        mask: Tensor | None = None,
        steps: int = 10,
        estimate: Callable[..., Tensor] | None = None,
    ) -> Tensor:
        """Noise z, units mu, known mel cond [B, mel, T], speaker spks [B, mel], mask [B, 1, T] -> mel [B, mel, T].

        Per step x += dt ((1 + g) v - g u), v the conditioned direction and u the bare one, as one batch.
        ``estimate`` stands for the estimator, where a call of it is to be done differently.
        """
        estimate = estimate or self.estimator
        guidance, x = self.params.inference_cfg_rate, z
        if guidance > 0:
            mu, spks, cond = (torch.cat((tensor, torch.zeros_like(tensor))) for tensor in (mu, spks, cond))
            mask = None if mask is None else torch.cat((mask, mask))
        for time, width in time_grid(steps, self.params.t_scheduler):
            t = torch.full((1,), time, device=z.device)
            if guidance > 0:
                bound, free = estimate(torch.cat((x, x)), mask, mu, t, spks, cond).chunk(2)
                direction = (1.0 + guidance) * bound - guidance * free
            else:
                direction = estimate(x, mask, mu, t, spks, cond)
            x = x + width * direction
        return x

    def loss(
        self, x1: Tensor, mask: Tensor, mu: Tensor, spks: Tensor, cond: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Training: mean square error of the direction from noise to mel ``x1`` [B, mel, T] over unmasked frames."""
        batch = x1.shape[0]
        t = torch.rand(batch, generator=generator, device=x1.device)
        if self.params.t_scheduler == "cosine":
            t = 1 - torch.cos(t * 0.5 * math.pi)
        z = torch.randn(x1.shape, generator=generator, device=x1.device, dtype=x1.dtype)
        bound = torch.rand(batch, generator=generator, device=x1.device) > self.params.training_cfg_rate
        keep, shrink = bound.to(x1.dtype)[:, None, None], 1 - self.params.sigma_min
        time = t.to(x1.dtype)[:, None, None]
        y = (1 - shrink * time) * z + time * x1
        direction = self.estimator(y, mask, mu * keep, t, spks * keep[..., 0], cond * keep)
        missed = (direction - (x1 - shrink * z)) * mask
        found: Tensor = missed.square().sum() / (mask.sum() * x1.shape[1])
        return found
