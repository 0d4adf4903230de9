"""Threats on values that come in steps: categories in one-hot groups, and whole numbers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from sparring.threats.base import distance, largest, normal, precise


class Discrete(ABC):
    """A threat on some columns (last dimension of a sample) that leaves all others free: infinite radius."""

    @property
    def radius(self) -> float:
        return math.inf

    def scaled(self, factor: float) -> Self:
        return self

    @abstractmethod
    def settle(self, x_adv: Tensor, x: Tensor, blocked: Tensor) -> Tensor:
        """The nearest member, except that `blocked` entries (bool, like `x`) may only move towards `x`.

        Intersections use it where the nearest member lies outside another threat.
        """

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return self.settle(x_adv, x, torch.zeros_like(x, dtype=torch.bool))


@dataclass(frozen=True)
class OneHotGroups(Discrete):
    """In each group of columns exactly one entry is 1 and all others are 0: one categorical feature each.

    The nearest member is the vertex at the largest entry. A group of `x` that is not one-hot itself (a
    category never seen, encoded as zeros) may also stay as it is.
    """

    groups: Sequence[Sequence[int]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", tuple(tuple(group) for group in self.groups))
        columns = [column for group in self.groups for column in group]
        if len(set(columns)) != len(columns) or not all(self.groups):
            raise ValueError("every group needs a column and no column may be in two groups")

    def settle(self, x_adv: Tensor, x: Tensor, blocked: Tensor) -> Tensor:
        out, own, at, stay = _columns(x_adv.clone()), _columns(x), _columns(x_adv), _columns(blocked)
        for group in self.groups:
            columns = list(group)
            a, mine = at[..., columns], own[..., columns]
            vertex = _vertex(a)
            nearer = _square(a, mine) <= _square(a, vertex)
            keep = (nearer | stay[..., columns].any(-1)).unsqueeze(-1)
            out[..., columns] = torch.where(keep, mine, vertex)
        return out.reshape(x_adv.shape)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        out = _columns(x.clone())
        for group in self.groups:
            columns = list(group)
            noise = torch.rand(out[..., columns].shape, generator=generator, device=x.device)
            out[..., columns] = _vertex(noise).to(x.dtype)
        return out.reshape(x.shape)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        """In each group the swap from the present category to the best one; 0 on the other columns."""
        return self.guide(torch.zeros_like(grad), grad, x_adv, torch.ones_like(grad, dtype=torch.bool), 1.0)

    def guide(self, direction: Tensor, grad: Tensor, x_adv: Tensor, movable: Tensor, length: float) -> Tensor:
        """`direction` with the groups' columns replaced by swaps of this length.

        A category is a candidate where its column and the present category's are `movable` (bool, like `grad`).
        """
        out, slope, at, may = (_columns(t) for t in (direction.clone(), grad, x_adv, movable))
        for group in self.groups:
            columns = list(group)
            now = (at[..., columns] > 0.5).to(grad)
            allowed = may[..., columns] & (may[..., columns] | (now == 0)).all(-1, keepdim=True)
            gain = slope[..., columns].masked_fill(~allowed | (now == 1), -torch.inf)
            # On equal gains the present category stays.
            better = gain.amax(-1, keepdim=True) > (slope[..., columns] * now).sum(-1, keepdim=True)
            out[..., columns] = torch.where(better, (_vertex(gain) - now) * length, 0)
        return out.reshape(direction.shape)

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        worst = x_adv.new_zeros(len(x_adv))
        at, own = _columns(x_adv), _columns(x)
        for group in self.groups:
            columns = list(group)
            a, mine = at[..., columns], own[..., columns]
            off = torch.minimum((a - mine).abs().amax(-1), (a - _vertex(a)).abs().amax(-1))
            worst = torch.maximum(worst, largest(off))
        return distance(worst)


@dataclass(frozen=True)
class Integer(Discrete):
    """The values of `columns` lie on a grid: `origin + k * unit` for whole k (counts, bytes, whole seconds).

    `unit` and `origin` are numbers, or one number per column, so that standardised features keep their grid:
    unit = 1 / std, origin = -mean / std. An entry of `x` off the grid may also stay as it is. Steps shorter
    than half a unit are rounded away: give gradient attacks longer ones.
    """

    columns: Sequence[int]
    unit: float | Sequence[float] = 1.0
    origin: float | Sequence[float] = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        for name in ("unit", "origin"):
            value = getattr(self, name)
            if not isinstance(value, int | float):
                object.__setattr__(self, name, tuple(float(v) for v in value))
                if len(value) != len(self.columns):
                    raise ValueError(f"{name} has {len(value)} values for {len(self.columns)} columns")
        if not bool((self._grid[0] > 0).all()):
            raise ValueError("every unit must be greater than 0")

    @cached_property
    def _grid(self) -> tuple[Tensor, Tensor]:
        return torch.as_tensor(self.unit, dtype=torch.float64), torch.as_tensor(self.origin, dtype=torch.float64)

    def settle(self, x_adv: Tensor, x: Tensor, blocked: Tensor) -> Tensor:
        columns = list(self.columns)
        out = _columns(x_adv.clone())
        a, own, stay = (_columns(t)[..., columns] for t in (x_adv, x, blocked))
        grid = self._snap(a)
        near = torch.where((precise(a) - precise(own)).abs() <= (precise(a) - precise(grid)).abs(), own, grid)
        # Blocked: one step back where rounding went beyond x_adv, and never past x.
        side = (a - own).sign()
        back = self._snap(a, steps=-side * ((grid - a).sign() == side))
        back = torch.where((back - own).sign() == side, back, own)
        out[..., columns] = torch.where(stay, back, near)
        return out.reshape(x_adv.shape)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        out, columns = _columns(x.clone()), list(self.columns)
        part = out[..., columns]
        out[..., columns] = part + (normal(part, generator) * self._grid[0].to(x.device)).to(x.dtype)
        return self.project(out.reshape(x.shape), x)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        """One unit along the gradient's sign; the other columns, which have no unit, by 1."""
        out, columns = _columns(grad.sign()), list(self.columns)
        out[..., columns] = out[..., columns] * self._grid[0].to(grad)
        return out.reshape(grad.shape)

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        a, own = (_columns(t)[..., list(self.columns)] for t in (x_adv, x))
        off = torch.minimum((a - own).abs(), (a - self._snap(a)).abs())
        return distance(largest(off))

    def _snap(self, values: Tensor, steps: Tensor | int = 0) -> Tensor:
        # Doubles, so that snapping a snapped value gives the same bits in every smaller dtype.
        wide = precise(values)
        unit, origin = (part.to(wide) for part in self._grid)
        return (torch.round((wide - origin) / unit).add(steps) * unit + origin).to(values.dtype)


def _columns(x: Tensor) -> Tensor:
    """`x` with its columns in the last dimension: a 0-D sample is one column."""
    return x.unsqueeze(-1) if x.ndim == 1 else x


def _vertex(values: Tensor) -> Tensor:
    """1 at the largest entry of the last dimension, 0 elsewhere."""
    return torch.zeros_like(values).scatter_(-1, values.argmax(-1, keepdim=True), 1)


def _square(a: Tensor, b: Tensor) -> Tensor:
    return (precise(a) - precise(b)).square().sum(-1)
