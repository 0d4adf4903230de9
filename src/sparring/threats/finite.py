"""Threats with a finite number of members: every one can be looked at, none can be stepped towards by halves."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.threats.base import distance, flat, largest, precise, wide
from sparring.typed import integers, unique


class Finite(ABC):
    """`count` versions of each input, the first of them the input itself.

    Subclasses give `count`, `member`, `radius` and `scaled`. `WorstOf` asks a model about all of them.
    """

    @property
    @abstractmethod
    def count(self) -> int:
        """How many members the set around an input has."""

    @property
    @abstractmethod
    def radius(self) -> float:
        """The length of a step from one member to another, in the threat's own unit; 0 where only `x` is left."""

    @abstractmethod
    def member(self, x: Tensor, index: int) -> Tensor:
        """The member of that index, 0 to `count` - 1, for every sample; index 0 is `x` bit for bit."""

    def members(self, x: Tensor) -> Iterator[Tensor]:
        """All members in turn, each `(n, *sample)`."""
        return (self.member(x, index) for index in range(self.count))

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        best, least = x.clone(), torch.full((len(x),), torch.inf, device=x.device, dtype=precise(x).dtype)
        for point in self.members(x):
            far = (precise(flat(point)) - precise(flat(x_adv))).square().sum(1)
            nearer = far < least
            best[nearer], least[nearer] = point[nearer], far[nearer]
        return best

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        drawn = torch.randint(self.count, (len(x),), generator=generator, device=x.device)
        out = x.clone()
        for index in integers(unique(drawn)):
            rows = (drawn == index).nonzero().squeeze(1)
            out[rows] = self.member(x[rows], index)
        return out

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        """Towards the member that promises the most; a step of the whole radius arrives there."""
        best = torch.zeros_like(x)
        gain = torch.zeros(len(x), device=x.device, dtype=precise(x).dtype)
        slope = precise(flat(grad))
        for point in self.members(x):
            promised = (precise(flat(point) - flat(x_adv)) * slope).sum(1)
            better = promised > gain
            best[better], gain[better] = (point - x_adv)[better], promised[better]
        return best / self.radius if self.radius else torch.zeros_like(x)

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        least = torch.full((len(x),), torch.inf, device=x.device, dtype=x.dtype)
        for point in self.members(x):
            off = largest(x_adv - point)
            least = torch.minimum(least, off.masked_fill(off.isnan(), torch.inf))
        return distance(least)


@dataclass(frozen=True)
class Spatial(Finite):
    """Images `(..., height, width)` turned about their middle and shifted; what comes in from outside is `fill`.

    Engstrom, Tran, Tsipras, Schmidt & Madry, "Exploring the Landscape of Spatial Robustness", ICML 2019. All
    combinations of angles up to `angle` degrees in steps of `angle_step` and of shifts up to `shift` pixels in steps
    of `shift_step`, each to both sides; bilinear interpolation. `reach`, the radius, scales both limits and keeps the
    steps, so a smaller reach is a subset. Needs samples of two or more dimensions.
    """

    angle: float = 30.0
    shift: float = 3.0
    angle_step: float = 6.0
    shift_step: float = 1.0
    fill: float = 0.0
    reach: float = 1.0

    def __post_init__(self) -> None:
        if self.angle < 0 or self.shift < 0 or self.reach < 0 or self.angle_step <= 0 or self.shift_step <= 0:
            raise ValueError("angle, shift and reach must be at least 0, and the steps above 0")

    @property
    def radius(self) -> float:
        return self.reach

    def scaled(self, factor: float) -> Self:
        return replace(self, reach=self.reach * factor)

    @property
    def moves(self) -> list[tuple[float, float, float]]:
        """(degrees, pixels down, pixels right) of every member, the smallest moves first."""
        turns = _both_sides(self.angle * self.reach, self.angle_step)
        shifts = _both_sides(self.shift * self.reach, self.shift_step)
        return list(product(turns, shifts, shifts))

    @property
    def count(self) -> int:
        turns = _both_sides(self.angle * self.reach, self.angle_step)
        return len(turns) * len(_both_sides(self.shift * self.reach, self.shift_step)) ** 2

    def member(self, x: Tensor, index: int) -> Tensor:
        return moved(x, *self.moves[index], self.fill)


def moved(x: Tensor, degrees: float, down: float, right: float, fill: float = 0.0) -> Tensor:
    """Images `(n, ..., height, width)` turned counter-clockwise about their middle, then shifted."""
    if x.ndim < 3:
        raise TypeError(f"only images can be turned: samples of two or more dimensions, got {tuple(x.shape[1:])}")
    if degrees == down == right == 0:
        return x.clone()
    height, width = x.shape[-2:]
    planes = wide(x).reshape(len(x), math.prod(x.shape[1:-2]), height, width)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows = torch.arange(height, device=x.device, dtype=planes.dtype).view(-1, 1) - (height - 1) / 2 - down
    columns = torch.arange(width, device=x.device, dtype=planes.dtype).view(1, -1) - (width - 1) / 2 - right
    # Each output pixel reads from where it came from: the inverse turn of its place, in units of half the image.
    from_column = (cos * columns - sin * rows) * 2 / max(width, 1)
    from_row = (sin * columns + cos * rows) * 2 / max(height, 1)
    grid = torch.stack([from_column, from_row], dim=-1).expand(len(x), -1, -1, -1)
    out = F.grid_sample(planes - fill, grid, mode="bilinear", padding_mode="zeros", align_corners=False) + fill
    return out.reshape(x.shape).to(x.dtype)


def _both_sides(limit: float, step: float) -> list[float]:
    """0, step, -step, 2 step, ... up to the limit."""
    count = math.floor(limit / step + 1e-9)
    return [0.0, *(side * i * step for i in range(1, count + 1) for side in (1.0, -1.0))]
