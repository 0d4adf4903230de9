"""The nearest wrong decision of a model that gives decisions alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sparring.attacks.base import Oracle
from sparring.attacks.fab import ball_geometry, members_found
from sparring.attacks.hyperplane import Norm, length
from sparring.attacks.interview import DecisionAttack, Interview
from sparring.threats.base import ThreatModel, flat
from sparring.typed import norm

_STEPS, _STARTS = 6, 8


@dataclass(frozen=True, kw_only=True)
class HopSkipJump(DecisionAttack):
    """Minimum-norm search by decisions alone in `L2` and `LInf` balls (Chen, Jordan & Wainwright, IEEE S&P 2020).

    From a wrong decision far away (`starts`, e.g. real inputs of other classes, then uniform noise in the range) each
    round finds the boundary on the way to the input by halving, estimates its normal from `directions` · √round
    random neighbours (equations 9 to 11), and steps along it by distance / √round, halved until the decision is wrong
    (algorithm 2). A sample costs at most `queries` forward passes. Returned is the nearest wrong point found where it
    lies in the threat, else the input. With `active_set` a sample leaves once that is so; without it all queries go
    to making the change smaller, and with an eps beyond reach the result is the minimum-norm one. Raises TypeError
    for other threats.
    """

    queries: int = 5000
    directions: int = 100
    starts: Tensor | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.queries < 1 or self.directions < 2:
            raise ValueError("queries must be at least 1 and directions at least 2")

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        order, low, high, eps = ball_geometry(threat, "HopSkipJump")
        if order == "l1":
            raise TypeError("HopSkipJump is defined for L2 and LInf; use DecisionSearch for L1")
        walk = _Walk(Interview(oracle, x, y, self.queries), order, low, high, generator)
        walk.begin(self.starts)
        for step in range(1, self.queries + 1):
            count = min(int(self.directions * math.sqrt(step)), 10_000)
            ready = walk.ask.located & (walk.ask.left >= count + _STEPS + walk.halvings)
            if self.active_set:
                ready &= walk.distance > eps
            rows = ready.nonzero().squeeze(1)
            if len(rows) == 0:
                break
            walk.hop(rows, step, count)
        return members_found(walk.best, x, walk.distance, threat)


class _Walk:
    """Where the samples stand: `best` `(n, *sample)` is the nearest wrong point, `distance` `(n,)` its norm."""

    def __init__(self, ask: Interview, order: Norm, low: float, high: float, generator: torch.Generator) -> None:
        self.order: Norm = order
        self.ask, self.low, self.high, self.generator = ask, low, high, generator
        self.best = ask.x.clone()
        self.distance = torch.full((len(ask.x),), torch.inf, device=ask.x.device)
        entries = max(flat(ask.x).shape[1], 2)
        # The halving ends at a share theta of the distance (section III-C-a); more than 20 single precision cannot see.
        self.theta = max(entries ** (-1.5 if order == "l2" else -2.0), 2.0**-20)
        self.halvings = math.ceil(-math.log2(self.theta))
        self.spread = self.theta * (math.sqrt(entries) if order == "l2" else entries)

    def begin(self, starts: Tensor | None) -> None:
        """A wrong answer anywhere for as many samples as have one, moved to the boundary."""
        ask, x = self.ask, self.ask.x
        point = x.clone()
        for attempt in range(2 * _STARTS if starts is not None else _STARTS):
            rows = (~ask.located & (ask.left >= 1)).nonzero().squeeze(1)
            if len(rows) == 0:
                break
            if starts is not None and attempt < _STARTS:
                pick = torch.randint(len(starts), (len(rows),), generator=self.generator, device=x.device)
                far = starts.to(x)[pick]
            else:
                far = self._noise(x[rows], attempt)
            wrong = ask(far.unsqueeze(1), rows).squeeze(1)
            point[rows[wrong]] = far[wrong]
            ask.located[rows[wrong]] = True
        rows = (ask.located & (ask.left >= self.halvings)).nonzero().squeeze(1)
        self._land(rows, point[rows])
        ask.located &= torch.isfinite(self.distance)

    def hop(self, rows: Tensor, step: int, count: int) -> None:
        """One round: the normal from `count` neighbours, the step along it, and back to the boundary."""
        x, point, distance = self.ask.x[rows], self.best[rows], self.distance[rows]
        shape = (-1, *[1] * (x.ndim - 1))
        normal = self._normal(rows, point, distance, count)
        sizes = distance.unsqueeze(1) / math.sqrt(step) * 0.5 ** torch.arange(_STEPS, device=x.device)
        moves = sizes.reshape(len(x), _STEPS, *shape[1:]) * normal.unsqueeze(1)
        tried = (point.unsqueeze(1) + moves.to(x.dtype)).clamp(self.low, self.high)
        wrong = self.ask(tried, rows)
        first = wrong.int().argmax(1)  # the longest step that is still wrong
        away = tried[torch.arange(len(x), device=x.device), first]
        self._land(rows, torch.where(wrong.any(1).reshape(shape), away, point))

    def _land(self, rows: Tensor, point: Tensor) -> None:
        """Halve the way from the input to wrong answers `point`; the nearest wrong one met is kept if it is nearer."""
        x = self.ask.x[rows]
        full = length(flat(point - x), self.order)
        near, far = torch.zeros_like(full), torch.ones_like(full)
        nearest = point
        for _ in range(self.halvings):
            share = (near + far) / 2
            middle = self._between(x, point, share, full)
            wrong = self.ask(middle.unsqueeze(1), rows).squeeze(1)
            nearest = torch.where(wrong.reshape(-1, *[1] * (x.ndim - 1)), middle, nearest)
            near, far = torch.where(wrong, near, share), torch.where(wrong, share, far)
        size = length(flat(nearest - x), self.order)
        better = size < self.distance[rows]
        self.best[rows[better]], self.distance[rows[better]] = nearest[better], size[better].to(self.distance.dtype)

    def _between(self, x: Tensor, point: Tensor, share: Tensor, full: Tensor) -> Tensor:
        """A share of the way from the input: along the line for L2, by the largest change for L∞."""
        wide = (-1, *[1] * (x.ndim - 1))
        if self.order == "l2":
            return torch.lerp(x, point, share.reshape(wide).to(x.dtype))
        most = (share * full).reshape(wide).to(x.dtype)
        return x + (point - x).clamp(-most, most)

    def _normal(self, rows: Tensor, point: Tensor, distance: Tensor, count: int) -> Tensor:
        """The boundary's direction, of length 1 in L2 and of signs in L∞."""
        x = self.ask.x[rows]
        noise = torch.randn(len(x), count, *x.shape[1:], generator=self.generator, device=x.device)
        if self.order == "linf":
            noise = torch.rand(noise.shape, generator=self.generator, device=x.device) * 2 - 1
        long = norm(noise.reshape(len(x), count, -1), dim=2).clamp_min(1e-12)
        noise = noise / long.reshape(len(x), count, *[1] * (x.ndim - 1))
        wide = (self.spread * distance).reshape(-1, *[1] * x.ndim)
        tried = (point.unsqueeze(1) + (wide * noise).to(x.dtype)).clamp(self.low, self.high)
        answer = self.ask(tried, rows).to(noise.dtype) * 2 - 1
        moved = (tried - point.unsqueeze(1)) / wide.clamp_min(1e-30)
        mean = answer.mean(1, keepdim=True)
        weight = torch.where(mean.abs() == 1, mean, answer - mean)
        slope = (weight.reshape(len(x), count, *[1] * (x.ndim - 1)) * moved).mean(1)
        if self.order == "linf":
            return slope.sign()
        return slope / norm(flat(slope), dim=1).clamp_min(1e-30).reshape(-1, *[1] * (x.ndim - 1))

    def _noise(self, x: Tensor, attempt: int) -> Tensor:
        """Uniform in the range; where it has no ends, normal noise that widens from try to try."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            share = torch.rand(x.shape, generator=self.generator, device=x.device).to(x.dtype)
            return self.low + (self.high - self.low) * share
        noise = torch.randn(x.shape, generator=self.generator, device=x.device).to(x.dtype)
        return (x + 2.0**attempt * noise).clamp(self.low, self.high)
