"""Threats made of threats: all of them at once, or any one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from sparring.threats.base import ThreatModel, flat, largest, per_sample, precise, wide
from sparring.threats.discrete import Discrete, OneHotGroups
from sparring.threats.interval import Box, Interval
from sparring.threats.lp import Shrinking

_CYCLES = 100
_HALVINGS = 6


@dataclass(frozen=True, init=False)
class Intersection:
    """What every one of `threats` allows.

    The first member with a finite radius leads: its geometry gives the steps and its radius the unit. A `Box`
    leads only where nothing else bounds the change. `scaled` scales the leading kind and leaves bounds alone.

    Projection: intervals (L∞, boxes, masks, controls) and one L2 or L1 ball are met exactly at the nearest
    point; several balls, or convex threats of your own (with an attribute `convex = True`), by Dykstra's
    algorithm; then grids and categories settle on their nearest allowed value, and the remaining members
    repair in turn. A sample whose repair fails tries again ever closer to `x`, and in the end is `x`.
    """

    threats: tuple[ThreatModel, ...]

    def __init__(self, *threats: ThreatModel) -> None:
        members = [m for t in threats for m in (t.threats if isinstance(t, Intersection) else (t,))]
        if not members:
            raise ValueError("an intersection needs at least one threat")
        object.__setattr__(self, "threats", tuple(members))

    @cached_property
    def lead(self) -> ThreatModel | None:
        """The member whose geometry the steps follow; None where no member bounds the change."""
        finite = [t for t in self.threats if math.isfinite(t.radius)]
        return next((t for t in finite if not isinstance(t, Box)), finite[0] if finite else None)

    @property
    def radius(self) -> float:
        return math.inf if self.lead is None else self.lead.radius

    def scaled(self, factor: float) -> Self:
        bounds = isinstance(self.lead, Box)
        return type(self)(
            *(t.scaled(factor) if math.isfinite(t.radius) and isinstance(t, Box) == bounds else t for t in self.threats)
        )

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return torch.stack([t.violation(x_adv, x) for t in self.threats]).amax(0)

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        if len(self._intervals) == len(self.threats):
            return torch.clamp(x_adv, *self._limits(x))
        bad = (self.violation(x_adv, x) > 0).nonzero().squeeze(1)
        if len(bad) == 0:
            return x_adv
        out = x_adv.clone()
        out[bad] = self._members(x_adv[bad], x[bad])
        return out

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        lead = self.lead or self.threats[0]
        return self.project(lead.sample(x, generator=generator), x)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        lower, upper = self._limits(x)
        blocked = ((x_adv >= upper) & (grad > 0)) | ((x_adv <= lower) & (grad < 0))
        groups = [t for t in self.threats if isinstance(t, OneHotGroups)]
        lead = self.lead or self.threats[0]
        direction = lead.steepest(grad.masked_fill(blocked, 0), x_adv, x)
        if groups:
            # A swap is all or nothing, so it is made long enough to survive any share of the radius.
            length = 1e3 / self.radius if 0 < self.radius < math.inf else 1.0
            movable = torch.where(x_adv > 0.5, lower <= 0, upper >= 1)
            for group in groups:
                direction = group.guide(direction, grad, x_adv, movable, length)
        return direction

    @cached_property
    def _intervals(self) -> list[Interval]:
        return [t for t in self.threats if isinstance(t, Interval)]

    @cached_property
    def _convex(self) -> list[ThreatModel]:
        return [t for t in self.threats if _is_convex(t)]

    @cached_property
    def _others(self) -> list[ThreatModel]:
        return [t for t in self.threats if not isinstance(t, Interval | Discrete) and not _is_convex(t)]

    def _limits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper = x.new_full((), -torch.inf), x.new_full((), torch.inf)
        for threat in self._intervals:
            low, high = threat.limits(x)
            lower, upper = torch.maximum(lower, low), torch.minimum(upper, high)
        return lower, upper

    def _members(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """A member for every sample: the point itself repaired, else one nearer to `x`, else `x`."""
        out, left = x.clone(), torch.arange(len(x), device=x.device)
        for halving in range(_HALVINGS + 1):
            aim = x[left] + (x_adv[left] - x[left]) * 0.5**halving if halving else x_adv
            for cautious in (False, True):
                found = self._repaired(aim, x[left], cautious)
                good = self.violation(found, x[left]) == 0
                out[left[good]] = found[good]
                left, aim = left[~good], aim[~good]
                if len(left) == 0:
                    return out
        return out

    def _repaired(self, x_adv: Tensor, x: Tensor, cautious: bool) -> Tensor:
        """One round through all members; a cautious one lets grids and categories move towards `x` only."""
        limits = self._limits(x)
        z = self._nearest(x_adv, x, *limits)
        for threat in self.threats:
            if isinstance(threat, Discrete):
                near = threat.project(z, x)
                blocked = (near < limits[0]) | (near > limits[1])
                z = threat.settle(z, x, torch.ones_like(blocked) if cautious else blocked)
        for threat in self._others:
            z = threat.project(z, x)
        return z

    def _nearest(self, x_adv: Tensor, x: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
        """The nearest point of the convex members."""
        if not self._convex:
            return torch.clamp(x_adv, lower, upper)
        if len(self._convex) == 1 and isinstance(self._convex[0], Shrinking):
            return self._within(self._convex[0], x_adv, x, lower, upper)
        z = self._dykstra(wide(x_adv), wide(x), lower.to(wide(x)), upper.to(wide(x))).to(x.dtype)
        # The limit is met up to rounding; a last pass makes it exact, since balls only shrink the change.
        z = torch.clamp(z, lower, upper)
        for threat in self._convex:
            shrinking = isinstance(threat, Shrinking)
            z = self._within(threat, z, x, lower, upper) if shrinking else threat.project(z, x)
        return z

    @staticmethod
    def _within(ball: Shrinking, x_adv: Tensor, x: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
        return ball.within(x_adv, x, lower.clamp_min(ball.low), upper.clamp_max(ball.high))

    def _dykstra(self, x_adv: Tensor, x: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
        """Boyle & Dykstra, 1986: cyclic projections, each undoing its own last correction, reach the nearest point."""
        z, rows, point = x_adv.clone(), torch.arange(len(x), device=x.device), x_adv
        corrections = [torch.zeros_like(z) for _ in range(len(self._convex) + 1)]
        lower, upper = lower.expand_as(x), upper.expand_as(x)
        tolerance = max(16 * torch.finfo(z.dtype).eps, 1e-8)
        for _ in range(_CYCLES):
            moving = torch.zeros(len(rows), dtype=torch.bool, device=x.device)
            for index, before in enumerate(corrections):
                aim = point + before
                point = self._convex[index - 1].project(aim, x) if index else torch.clamp(aim, lower, upper)
                corrections[index] = aim - point
                # The point may rest for many cycles while the corrections still move: they tell when it is over.
                moving |= largest((corrections[index] - before) / (1 + aim.abs())) > tolerance
            z[rows] = point
            if not bool(moving.any()):
                break
            rows, point, x, lower, upper = (t[moving] for t in (rows, point, x, lower, upper))
            corrections = [c[moving] for c in corrections]
        return z


@dataclass(frozen=True, init=False)
class Union:
    """What any one of `threats` allows: the adversary picks the best for every sample.

    Projection goes to the nearest member set (Euclidean), sampling picks one at random, and a step follows,
    among the sets that hold the point, the one whose whole radius promises the most. Steps are shares of each
    set's own radius; `radius` is the largest.
    """

    threats: tuple[ThreatModel, ...]

    def __init__(self, *threats: ThreatModel) -> None:
        if not threats:
            raise ValueError("a union needs at least one threat")
        for threat in threats:
            if not math.isfinite(threat.radius):
                raise ValueError(f"{type(threat).__name__} bounds nothing alone: intersect it with a ball or a box")
        object.__setattr__(self, "threats", tuple(threats))

    @property
    def radius(self) -> float:
        return max(t.radius for t in self.threats)

    def scaled(self, factor: float) -> Self:
        return type(self)(*(t.scaled(factor) for t in self.threats))

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return torch.stack([t.violation(x_adv, x) for t in self.threats]).amin(0)

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        near = torch.stack([t.project(x_adv, x) for t in self.threats])
        far = torch.stack([precise(flat(z) - flat(x_adv)).square().sum(1) for z in near])
        return torch.where(per_sample(self.violation(x_adv, x) == 0, x), x_adv, _pick(near, far.argmin(0)))

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        drawn = torch.stack([t.sample(x, generator=generator) for t in self.threats])
        choice = torch.randint(len(self.threats), (len(x),), generator=generator, device=x.device)
        return _pick(drawn, choice)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        share = [t.radius / self.radius if self.radius else 1.0 for t in self.threats]
        ways = torch.stack([t.steepest(grad, x_adv, x) * s for t, s in zip(self.threats, share, strict=True)])
        gain = torch.stack([(precise(flat(way)) * precise(flat(grad))).sum(1) for way in ways])
        outside = torch.stack([t.violation(x_adv, x) > 0 for t in self.threats])
        outside &= ~outside.all(0)
        return _pick(ways, gain.masked_fill(outside, -torch.inf).argmax(0))


def _is_convex(threat: ThreatModel) -> bool:
    return not isinstance(threat, Interval) and (isinstance(threat, Shrinking) or getattr(threat, "convex", False))


def _pick(choices: Tensor, index: Tensor) -> Tensor:
    """From `(k, n, *sample)` the choice `index[i]` for every sample i."""
    return choices[index, torch.arange(len(index), device=index.device)]
