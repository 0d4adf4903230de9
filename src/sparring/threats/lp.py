"""Balls of the L∞, L2 and L1 norm around the input, cut by the input's valid range.

Projections onto ball ∩ range are exact: one clamp for L∞; for L2 and L1 the multiplier of the ball's
constraint is found by bisection, sample by sample and vectorised.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from sparring.threats.base import flat, slack

_BISECTIONS = 60


@dataclass(frozen=True)
class _Ball:
    """A norm ball of radius `eps`, intersected with the valid range `[low, high]` of every entry."""

    eps: float
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.eps >= 0:
            raise ValueError(f"eps must be at least 0, got {self.eps}")
        if not self.low <= self.high:
            raise ValueError(f"the range [{self.low}, {self.high}] is empty")

    @property
    def radius(self) -> float:
        return float(self.eps)

    def scaled(self, factor: float) -> Self:
        return replace(self, eps=self.eps * factor)

    def _outside_range(self, x_adv: Tensor) -> Tensor:
        rows = flat(x_adv)
        excess = torch.maximum(self.low - rows, rows - self.high).clamp_min(0)
        return excess.amax(1) if rows.shape[1] else rows.new_zeros(len(rows))

    def _violation(self, x_adv: Tensor, x: Tensor, distance: Tensor, rounding: Tensor) -> Tensor:
        beyond = distance - self.eps
        beyond = torch.where(beyond > rounding, beyond, torch.zeros_like(beyond))
        return torch.maximum(beyond, self._outside_range(x_adv)).float()


@dataclass(frozen=True)
class LInf(_Ball):
    """Every entry moves by at most `eps`. Steepest step: the gradient's sign."""

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return torch.minimum(torch.maximum(x_adv, x - self.eps), x + self.eps).clamp(self.low, self.high)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        noise = torch.rand(x.shape, generator=generator, device=x.device, dtype=torch.float32).to(x.dtype)
        return self.project(x + (2 * noise - 1) * self.eps, x)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        return grad.sign()

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        rows = flat(x_adv - x).abs()
        distance = rows.amax(1) if rows.shape[1] else rows.new_zeros(len(rows))
        return self._violation(x_adv, x, distance, slack(x))


@dataclass(frozen=True)
class L2(_Ball):
    """The Euclidean length of the change is at most `eps`. Steepest step: the normalised gradient."""

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        # argmin ||z - x_adv|| over the ball and the range is x + clip((x_adv - x) / (1 + mu)) for the
        # smallest mu >= 0 that meets the ball: bisection on the shrinking factor s = 1 / (1 + mu).
        lower, upper, delta = flat(self.low - x), flat(self.high - x), flat(x_adv - x)

        def shrunk(s: Tensor) -> Tensor:
            return torch.minimum(torch.maximum(delta * s, lower), upper)

        out = _bisect(shrunk, lambda d: d.norm(dim=1), self.eps, delta)
        return (flat(x) + out).reshape(x.shape).clamp(self.low, self.high)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=torch.float32).to(x.dtype)
        rows = flat(noise)
        rows = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
        share = torch.rand(len(rows), 1, generator=generator, device=x.device, dtype=torch.float32).to(x.dtype)
        rows = rows * share.pow(1 / max(rows.shape[1], 1)) * self.eps
        return self.project(x + rows.reshape(x.shape), x)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        rows = flat(grad)
        length = rows.norm(dim=1, keepdim=True)
        return torch.where(length > 0, rows / length.clamp_min(1e-30), rows).reshape(grad.shape)

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        delta = flat(x_adv - x)
        return self._violation(x_adv, x, delta.norm(dim=1), slack(x) * max(delta.shape[1], 1) ** 0.5)


@dataclass(frozen=True)
class L1(_Ball):
    """The absolute changes sum to at most `eps`. Steepest step: the entries with the largest gradients.

    `share` of the entries that can still move share the step, which keeps iterates from being needlessly
    sparse (Croce & Hein, "Mind the box", ICML 2021, section 3).
    """

    share: float = 0.05

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        # argmin ||z - x_adv|| over ball and range is x + clip(soft(x_adv - x, mu)), mu >= 0 by bisection
        # (Croce & Hein 2021, proposition 2.1). s in [0, 1] stands for mu = (1 - s) * max|x_adv - x|.
        lower, upper, delta = flat(self.low - x), flat(self.high - x), flat(x_adv - x)
        largest = delta.abs().amax(1, keepdim=True) if delta.shape[1] else delta

        def shrunk(s: Tensor) -> Tensor:
            soft = delta.sign() * (delta.abs() - (1 - s) * largest).clamp_min(0)
            return torch.minimum(torch.maximum(soft, lower), upper)

        out = _bisect(shrunk, lambda d: d.abs().sum(1), self.eps, delta)
        return (flat(x) + out).reshape(x.shape).clamp(self.low, self.high)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        # Uniform in the L1 ball: exponential gaps with one extra, random signs.
        rows = flat(x)
        size = (len(rows), rows.shape[1] + 1)
        gaps = torch.empty(size, device=x.device, dtype=torch.float32).exponential_(generator=generator)
        gaps = gaps / gaps.sum(1, keepdim=True)
        signs = torch.randint(0, 2, rows.shape, generator=generator, device=x.device) * 2 - 1
        return self.project(x + (gaps[:, :-1] * signs * self.eps).to(x.dtype).reshape(x.shape), x)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        rows, at = flat(grad), flat(x_adv)
        if rows.shape[1] == 0:
            return grad
        blocked = ((at >= self.high) & (rows > 0)) | ((at <= self.low) & (rows < 0))
        free = torch.where(blocked, torch.zeros_like(rows), rows)
        k = max(1, round(self.share * rows.shape[1]))
        chosen = free.abs().topk(k, dim=1)
        direction = torch.zeros_like(rows).scatter(1, chosen.indices, free.gather(1, chosen.indices).sign())
        count = direction.abs().sum(1, keepdim=True).clamp_min(1)
        return (direction / count).reshape(grad.shape)

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        delta = flat(x_adv - x)
        return self._violation(x_adv, x, delta.abs().sum(1), slack(x) * max(delta.shape[1], 1))


def _bisect(shrunk: Callable[[Tensor], Tensor], norm: Callable[[Tensor], Tensor], eps: float, delta: Tensor) -> Tensor:
    """The largest s in [0, 1] per sample with `norm(shrunk(s)) <= eps`, applied; exact members are untouched."""
    whole = shrunk(delta.new_ones(len(delta), 1))
    inside = norm(whole) <= eps
    if bool(inside.all()):
        return whole
    low, high = delta.new_zeros(len(delta), 1), delta.new_ones(len(delta), 1)
    steps = _BISECTIONS if delta.dtype == torch.float64 else 30
    for _ in range(steps):
        middle = (low + high) / 2
        fits = (norm(shrunk(middle)) <= eps).unsqueeze(1)
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    return torch.where(inside.unsqueeze(1), whole, shrunk(low))
