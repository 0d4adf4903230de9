# pyright: basic
"""A tiny propagator of the tests' own: second order in time and space, no border, differentiable by PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor


def propagate(velocity: Tensor, spacing: float, dt: float, wavelet: Tensor, source: tuple[int, int],
              receivers: list[tuple[int, int]]) -> Tensor:  # fmt: skip
    """Pressure at cells `receivers`, `(receivers, samples)`; the source takes v² dt² f from its cell."""
    before = torch.zeros_like(velocity)
    now = torch.zeros_like(velocity)
    share = (velocity * dt / spacing).square()
    at = torch.zeros_like(velocity)
    at[source] = 1
    heard = []
    for amplitude in wavelet:
        heard.append(torch.stack([now[r] for r in receivers]))
        padded = torch.nn.functional.pad(now, (1, 1, 1, 1))
        laplacian = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2] - 4 * now
        after = 2 * now - before + share * laplacian - at * velocity.square() * dt**2 * amplitude
        before, now = now, after
    return torch.stack(heard, -1)
