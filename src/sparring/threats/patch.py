"""A patch: one small square of an image, anywhere, may become anything."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.threats.base import distance, flat, largest, per_sample, precise, uniform


@dataclass(frozen=True)
class Patch:
    """All entries within one square of `side` pixels take any value in [low, high]; the place is free.

    Brown et al., "Adversarial Patch", 2017, without their transformations: the same square of every channel, in
    the plane of the last two dimensions. The radius is the side; a fraction of a pixel does not count. Projection
    keeps the change inside the square that holds the most of it (its squared length less what the range cuts off),
    which is the nearest member. A step goes to the square of the steepest gradient from an untouched input, and
    afterwards stays in the square that is changed already: restarts try other places.
    """

    side: float
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.side < math.inf:
            raise ValueError(f"side must be a finite number of at least 0, got {self.side}")
        if not -math.inf < self.low <= self.high < math.inf:
            raise ValueError(f"the range [{self.low}, {self.high}] must be finite and not empty")

    @property
    def radius(self) -> float:
        return float(self.side)

    def scaled(self, factor: float) -> Self:
        return replace(self, side=self.side * factor)

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        if not self._pixels(x):
            return x.clone()
        cut = x_adv.clamp(self.low, self.high)
        saved = precise(x_adv - x).square() - precise(x_adv - cut).square()
        return torch.where(self._square(saved.nan_to_num(nan=0.0, posinf=1e300, neginf=-1e300), x), cut, x)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        if not self._pixels(x):
            return x.clone()
        height, width, side = *x.shape[-2:], self._pixels(x)
        corner = torch.rand(2, len(x), generator=generator, device=x.device)
        top = (corner[0] * max(height - side + 1, 1)).long()
        left = (corner[1] * max(width - side + 1, 1)).long()
        drawn = (self.low + (self.high - self.low) * uniform(x, generator)).clamp(self.low, self.high)
        return torch.where(self._mask(top, left, x), drawn, x)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        if not self._pixels(x):
            return torch.zeros_like(grad)
        touched = (flat(x_adv) != flat(x)).any(1)
        weight = torch.where(per_sample(touched, x), (x_adv != x).double(), precise(grad).abs())
        inside = self._square(weight, x)
        return torch.where(inside, grad.sign(), torch.zeros_like(grad)) * ((self.high - self.low) / self.side)

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        changed = x_adv != x  # a NaN differs from everything
        outside = changed if not self._pixels(x) else changed & ~self._square(changed.double(), x)
        beyond = torch.where(outside, x_adv - x, x_adv - x_adv.clamp(self.low, self.high))
        beyond = torch.where(outside & (beyond == 0), torch.finfo(x.dtype).tiny, beyond)
        return distance(largest(beyond))

    def _pixels(self, x: Tensor) -> int:
        if x.ndim < 3:
            raise TypeError(f"only images have patches: samples of two or more dimensions, got {tuple(x.shape[1:])}")
        return math.floor(self.side + 1e-9)

    def _square(self, weight: Tensor, x: Tensor) -> Tensor:
        """For each sample the square, as a mask, whose entries weigh the most; the first of equals."""
        height, width = x.shape[-2:]
        side = self._pixels(x)
        plane = precise(weight).reshape(len(x), math.prod(x.shape[1:-2]), height, width).sum(1)
        if side >= height and side >= width:
            return torch.ones_like(x, dtype=torch.bool)
        down, across = min(side, height), min(side, width)
        if len(x) == 0:
            return torch.zeros_like(x, dtype=torch.bool)
        at = F.avg_pool2d(plane.unsqueeze(1), (down, across), stride=1).flatten(1).argmax(1)
        columns = width - across + 1
        return self._mask(at // columns, at % columns, x)

    def _mask(self, top: Tensor, left: Tensor, x: Tensor) -> Tensor:
        side = self._pixels(x)
        rows = torch.arange(x.shape[-2], device=x.device)
        columns = torch.arange(x.shape[-1], device=x.device)
        down = (rows >= top.unsqueeze(1)) & (rows < top.unsqueeze(1) + side)
        across = (columns >= left.unsqueeze(1)) & (columns < left.unsqueeze(1) + side)
        inside = down.unsqueeze(2) & across.unsqueeze(1)
        return inside.reshape(len(x), *[1] * (x.ndim - 3), *x.shape[-2:]).expand(x.shape)
