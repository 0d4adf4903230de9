"""Threats in which every entry moves within an interval of its own: absolute bounds, direction control, masks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Self, get_args

import torch
from torch import Tensor

from sparring.threats.base import distance, largest, normal, uniform


class Interval(ABC):
    """A threat that is a product of intervals, one per entry, each holding the entry of `x`.

    Subclasses give `limits`; projection (one clamp) and violation follow. Intersections merge all their
    intervals into one and project onto it exactly.
    """

    @abstractmethod
    def limits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Lowest and highest value of every entry, each broadcastable to `x` and of its dtype."""

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return torch.clamp(x_adv, *self.limits(x))

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        beyond = x_adv - self.project(x_adv, x)
        if beyond.numel():
            low, high = beyond.aminmax()
            if bool((low == 0) & (high == 0)):  # the usual case; a NaN equals nothing
                return x.new_zeros(len(x), dtype=torch.float32)
        return distance(largest(beyond))


class _Rule(Interval):
    """A rule that bounds the direction or the place of a change, not its size: infinite radius."""

    @property
    def radius(self) -> float:
        return math.inf

    def scaled(self, factor: float) -> Self:
        return self

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        return self.project(x + normal(x, generator), x)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        return free(grad, x_adv, *self.limits(x)).sign()


def free(grad: Tensor, x_adv: Tensor, lower: Tensor | float, upper: Tensor | float) -> Tensor:
    """The gradient with 0 wherever following it would leave the interval at once."""
    blocked = ((x_adv >= upper) & (grad > 0)) | ((x_adv <= lower) & (grad < 0))
    return grad.masked_fill(blocked, 0)


@dataclass(frozen=True, eq=False)
class Box(Interval):
    """Every entry stays between absolute bounds, wherever it starts: the "free box" of tabular attacks.

    `low` and `high` are numbers or tensors that broadcast to one sample; infinite bounds are allowed.
    A step of length `radius` (the widest range) moves each entry by its own whole range, so features of
    different units move alike. `reach` in [0, 1] lets every entry go only that share of the way to its bounds.
    """

    low: Tensor | float
    high: Tensor | float
    reach: float = 1.0

    def __post_init__(self) -> None:
        low, high = torch.as_tensor(self.low), torch.as_tensor(self.high)
        if not bool((low <= high).all()):
            raise ValueError("low must be at most high in every entry, and neither may be NaN")
        if not 0 <= self.reach <= 1:
            raise ValueError(f"reach must lie in [0, 1], got {self.reach}")

    @cached_property
    def _width(self) -> Tensor:
        return torch.as_tensor(self.high, dtype=torch.float64) - torch.as_tensor(self.low, dtype=torch.float64)

    @cached_property
    def radius(self) -> float:
        """The widest range times `reach`; infinite as soon as one entry has no bound."""
        widest = float(self._width.max()) if self._width.numel() else 0.0
        return widest * self.reach if self.reach else 0.0  # inf * 0 is no number

    def scaled(self, factor: float) -> Self:
        return self if math.isinf(self.radius) else replace(self, reach=min(1.0, self.reach * factor))

    def limits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        low, high = (torch.as_tensor(b, dtype=x.dtype, device=x.device) for b in (self.low, self.high))
        if self.reach == 1:
            return low, high
        if self.reach == 0:
            return x.clamp(low, high), x.clamp(low, high)
        return (x + self.reach * (low - x)).clamp(low, high), (x + self.reach * (high - x)).clamp(low, high)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        lower, upper = (bound.expand_as(x) for bound in self.limits(x))
        share, noise = uniform(x, generator), normal(x, generator)
        bounded = torch.isfinite(lower) & torch.isfinite(upper)
        inside = torch.where(bounded, lower, 0) * (1 - share) + torch.where(bounded, upper, 0) * share
        return self.project(torch.where(bounded, inside, x + noise), x)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        if not 0 < self.radius < math.inf:
            return grad.sign()
        return grad.sign() * (self._width / self._width.max()).to(grad)


Direction = Literal["fixed", "up", "down", "both"]


@dataclass(frozen=True)
class Control(_Rule):
    """How each feature (last dimension of a sample) may move: "fixed", "up", "down" or "both", seen from `x`.

    An attacker can pad a packet but not shorten it, and cannot touch the victim's port.
    """

    direction: Sequence[Direction]

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", tuple(self.direction))
        for index, direction in enumerate(self.direction):
            if direction not in get_args(Direction):
                raise ValueError(f"direction {index} is {direction!r}; choose one of {get_args(Direction)}")

    @cached_property
    def _allowed(self) -> tuple[Tensor, Tensor]:
        down = torch.tensor([d in ("down", "both") for d in self.direction], dtype=torch.bool)
        up = torch.tensor([d in ("up", "both") for d in self.direction], dtype=torch.bool)
        return down, up

    def limits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        down, up = (allowed.to(x.device) for allowed in self._allowed)
        return x.masked_fill(down, -torch.inf), x.masked_fill(up, torch.inf)


@dataclass(frozen=True, eq=False)
class Mask(_Rule):
    """Only the entries where `mask` is True may move. `mask`: bool, broadcastable to one sample (any shape)."""

    mask: Tensor

    def __post_init__(self) -> None:
        if self.mask.dtype != torch.bool:
            raise ValueError(f"mask must be bool, got {self.mask.dtype}; use mask != 0")

    def limits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mask = self.mask.to(x.device)
        return x.masked_fill(mask, -torch.inf), x.masked_fill(mask, torch.inf)
