"""Search for models that give only a decision: from a wrong answer far away, along the boundary, into the threat."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sparring.attacks.base import Oracle
from sparring.attacks.interview import DecisionAttack, Interview
from sparring.threats.base import ThreatModel, flat
from sparring.typed import norm

_HALVINGS, _STEPS = 8, 5


@dataclass(frozen=True, kw_only=True)
class DecisionSearch(DecisionAttack):
    """A decision-only attack within any threat, after HopSkipJump (Chen, Jordan & Wainwright, IEEE S&P 2020).

    Only `criterion` is read from the model's answers, which may be labels. A sample is first asked about random
    members; then about `starts` (inputs that the model decides otherwise, e.g. benign traffic) and members of wider
    threats, 2 to `reach` times the radius. From a wrong answer outside, each round: a binary search towards the input;
    the point's projection into the threat; an estimate of the boundary's normal from `directions` random neighbours;
    the full step from the input along it; a step away from the boundary. What is left of the budget asks random
    members. A sample that stands to the end costs exactly `queries` forward passes.
    """

    queries: int = 1000
    directions: int = 32
    reach: float = 16.0
    starts: Tensor | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.queries < 1 or self.directions < 2 or not self.reach >= 1:
            raise ValueError("queries must be at least 1, directions at least 2 and reach at least 1")

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        ask = Interview(oracle, x, y, self.queries)
        ask.members(threat, min(self.directions, self.queries), generator)
        outside = self._far(ask, threat, generator)
        wide = threat.scaled(self.reach)
        for step in range(1, self.queries):
            rows = (ask.open & ask.located & (ask.left >= self._round_cost)).nonzero().squeeze(1)
            if len(rows) == 0:
                break
            outside[rows] = self._round(ask, rows, outside[rows], threat, wide, step, generator)
        while bool((ask.open & (ask.left > 0)).any()):
            ask.members(threat, self.directions, generator)
        return ask.found

    @property
    def _round_cost(self) -> int:
        return _HALVINGS + 1 + self.directions + 1 + _STEPS

    def _far(self, ask: Interview, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        """A wrong answer beyond the threat for as many samples as have one; `ask.located` tells which."""
        outside = ask.x.clone()
        for candidates in self._far_candidates(ask.x, threat, generator):
            rows = (ask.open & ~ask.located & (ask.left >= 1)).nonzero().squeeze(1)
            if len(rows) == 0:
                break
            points = candidates[rows]
            hit = ask(points.unsqueeze(1), rows).squeeze(1)
            outside[rows[hit]] = points[hit]
            ask.located[rows[hit]] = True
        return outside

    def _far_candidates(self, x: Tensor, threat: ThreatModel, generator: torch.Generator) -> Iterator[Tensor]:
        wide, tries = threat.scaled(self.reach), max(self.directions // 8, 1)
        if self.starts is not None:
            for _ in range(tries):
                pick = torch.randint(len(self.starts), (len(x),), generator=generator, device=x.device)
                yield wide.project(self.starts.to(x)[pick], x)
        for doubling in range(1, max(math.ceil(math.log2(self.reach)), 1) + 1):
            wider = threat.scaled(min(2.0**doubling, self.reach))
            for _ in range(tries):
                yield wider.sample(x, generator=generator)

    def _round(
        self,
        ask: Interview,
        rows: Tensor,
        point: Tensor,
        threat: ThreatModel,
        wide: ThreatModel,
        step: int,
        generator: torch.Generator,
    ) -> Tensor:
        """One round for samples with a wrong answer at `point` `(m, *sample)`; returns their next wrong answer."""
        x = ask.x[rows]
        point = self._towards_input(ask, rows, point, wide)
        ask(threat.project(point, x).unsqueeze(1), rows, inside=True)
        normal = self._normal(ask, rows, point, wide, generator)
        best_step = x + threat.radius * threat.steepest(normal, x, x)
        ask(threat.project(best_step, x).unsqueeze(1), rows, inside=True)
        distance = norm(flat(point - x), dim=1)
        unit = flat(normal) / norm(flat(normal), dim=1, keepdim=True).clamp_min(1e-12)
        sizes = 0.5 ** torch.arange(_STEPS, device=x.device) / math.sqrt(step)
        moves = (distance.unsqueeze(1) * sizes).unsqueeze(2) * unit.unsqueeze(1)
        tried = _project(wide, point.unsqueeze(1) + moves.to(x.dtype).reshape(len(x), -1, *x.shape[1:]), x)
        wrong = ask(tried, rows)
        first = wrong.int().argmax(1)  # the longest step that is still wrong
        away = tried[torch.arange(len(x), device=x.device), first]
        return torch.where(wrong.any(1).reshape(-1, *[1] * (x.ndim - 1)), away, point)

    def _towards_input(self, ask: Interview, rows: Tensor, point: Tensor, wide: ThreatModel) -> Tensor:
        """Binary search on the segment from the input to a wrong answer: the nearest wrong answer met."""
        x = ask.x[rows]
        low, high = x, point
        for _ in range(_HALVINGS):
            middle = wide.project((low + high) / 2, x)
            wrong = ask(middle.unsqueeze(1), rows).reshape(-1, *[1] * (x.ndim - 1))
            low, high = torch.where(wrong, low, middle), torch.where(wrong, middle, high)
        return high

    def _normal(
        self, ask: Interview, rows: Tensor, point: Tensor, wide: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        """Monte Carlo estimate of the boundary's normal: mean of (answer - mean answer) times the move."""
        x, k = ask.x[rows], self.directions
        noise = torch.randn(len(x), k, *x.shape[1:], generator=generator, device=x.device).to(x.dtype)
        rough = norm(flat(point - x), dim=1) / math.sqrt(max(flat(x).shape[1], 1))
        scale = (0.1 * rough).reshape(-1, *[1] * x.ndim)
        tried = _project(wide, point.unsqueeze(1) + scale * noise, x)
        answer = ask(tried, rows).to(x.dtype) * 2 - 1
        weight = (answer - answer.mean(1, keepdim=True)).reshape(len(x), k, *[1] * (x.ndim - 1))
        moved = tried - point.unsqueeze(1)
        same = (weight == 0).all(1)
        return torch.where(same, answer.mean(1).reshape(same.shape) * moved.mean(1), (weight * moved).mean(1))


def _project(threat: ThreatModel, points: Tensor, x: Tensor) -> Tensor:
    """Project points `(m, k, *sample)` into the threat around x `(m, *sample)`."""
    k = points.shape[1]
    return threat.project(points.flatten(0, 1), x.repeat_interleave(k, dim=0)).reshape(points.shape)
