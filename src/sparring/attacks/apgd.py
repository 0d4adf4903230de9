"""Auto-PGD, plain and targeted.

Croce & Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
attacks", ICML 2020, and for L1 "Mind the box", ICML 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.attacks.ascent import Ascent, Momentum, Schedule, Sparse
from sparring.attacks.base import Attack, Oracle, worth_compacting
from sparring.attacks.region import Region
from sparring.attacks.targets import RunOn, TargetedObjective, likely_goals, towards
from sparring.objectives import targeted_dlr
from sparring.threats.base import ThreatModel
from sparring.threats.lp import L1

_WIDE = ((3.0, 0.3), (2.0, 0.3), (1.0, 0.4))


@dataclass(frozen=True, kw_only=True)
class APGD(Attack):
    """Ascent with momentum and a step size that adapts to each sample; it has no step size to tune.

    `steps` iterations from each of `restarts` random members, after one gradient at the start: `steps + 1` forward
    and backward passes. The payoff is the call's `objective`: `cross_entropy` and `dlr` are the published ones
    (under three classes DLR is the margin, and the trace holds `dlr_is_margin`). Returns the first point that wins
    or, where none does, the point of highest payoff. For `L1` the sparse schedule is used. `wide_start` spends 30 %
    of the steps in three times and 30 % in twice the radius first ("Mind the box", section 4).
    """

    steps: int = 100
    restarts: int = 1
    rho: float = 0.75
    wide_start: bool = False

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        def run_on(rows: Tensor) -> tuple[Oracle, Tensor]:
            return oracle.view(rows), y[rows]

        return self._best_of([run_on] * self.restarts, x, threat, generator)

    def _best_of(self, runs: Sequence[RunOn], x: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        """The winning or else the highest point of all runs, each on the samples that still stand."""
        best, rows = x.clone(), torch.arange(len(x), device=x.device)
        top = torch.full((len(x),), -torch.inf, device=x.device, dtype=torch.float64)
        for run in runs:
            oracle, y = run(rows)
            points, value, won = self.run(oracle, x[rows], y, threat, generator)
            better = won | (value > top[rows])
            best[rows[better]] = points[better]
            top[rows] = torch.maximum(top[rows], value.double())
            rows = rows[~won]
            if len(rows) == 0:
                break
        return best

    def run(
        self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One random start: the points found `(n, *sample)`, their payoff `(n,)` and whether they win `(n,)`."""
        if not self.wide_start:
            return self._climb(oracle, threat.sample(x, generator=generator), x, y, threat, self.steps, last=True)
        start = threat.scaled(_WIDE[0][0]).sample(x, generator=generator)
        steps = [int(share * self.steps) for _, share in _WIDE[:-1]]
        for (width, _), count in zip(_WIDE[:-1], steps, strict=True):
            wider = threat.scaled(width)
            start = self._climb(oracle, wider.project(start, x), x, y, wider, count, last=False, warm=width < 3)[0]
        rest = self.steps - sum(steps)
        return self._climb(oracle, threat.project(start, x), x, y, threat, rest, last=True, warm=True)

    def _climb(
        self,
        oracle: Oracle,
        start: Tensor,
        x: Tensor,
        y: Tensor,
        threat: ThreatModel,
        steps: int,
        *,
        last: bool,
        warm: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Climb from `start`; only in the last stage does a win inside the threat count."""
        rows = torch.arange(len(x), device=x.device)
        value, fallen, grad = oracle.gradient(start, y, rows)
        oracle.watch(grad)
        a = Ascent(Region(threat, x), rows, y, start.clone(), start, grad, value, start.clone(), grad.clone(), value)
        schedule = self._schedule(a, threat, steps, warm)
        found = _Found(start, value, last and self.active_set)
        for iteration in range(steps):
            if found.take(a, fallen):
                kept = ~found.won[a.rows]
                a.keep(kept)
                schedule.keep(kept)
                if len(a.rows) == 0:
                    break
            moved = schedule.move(a, iteration)
            a.previous, a.x_adv = a.x_adv, moved
            value, fallen, grad = oracle.gradient(a.x_adv, a.y, a.rows)
            oracle.watch(grad)
            schedule.review(a, a.record(value, grad))
        found.take(a, fallen)
        return found.close(a)

    def _schedule(self, a: Ascent, threat: ThreatModel, steps: int, warm: bool) -> Schedule:
        if isinstance(threat, L1):
            return Sparse(a, threat, steps, warm=warm)
        return Momentum(a, threat, steps, self.rho)


class _Found:
    """The points of samples that have fallen, in the order of the whole batch."""

    def __init__(self, start: Tensor, value: Tensor, counting: bool) -> None:
        self.points, self.value, self.counting = start.clone(), value.clone(), counting
        self.won = torch.zeros(len(start), dtype=torch.bool, device=start.device)

    def take(self, a: Ascent, fallen: Tensor) -> bool:
        """Note new wins at the present points; True when it pays to drop them from the batch."""
        if not self.counting or len(a.rows) == 0 or not bool(fallen.any()):
            return False
        new = fallen & ~self.won[a.rows]
        if bool(new.any()):
            rows = a.rows[new]
            self.points[rows], self.value[rows], self.won[rows] = a.x_adv[new], a.value[new], True
        return worth_compacting(self.won[a.rows])

    def close(self, a: Ascent) -> tuple[Tensor, Tensor, Tensor]:
        """Fill in the best points of the samples that still stand."""
        standing = ~self.won[a.rows]
        rows = a.rows[standing]
        self.points[rows], self.value[rows] = a.best[standing], a.best_value[standing]
        return self.points, self.value, self.won


@dataclass(frozen=True, kw_only=True)
class APGDTargeted(APGD):
    """APGD-T: one run towards each of the `targets` likeliest other classes (all of them where there are fewer).

    Payoff: `targeted` (the published one is `targeted_dlr`; under four classes it is the logit gap, and the trace
    holds `targeted_dlr_is_gap`). The call's objective is not climbed. Forward passes: one to choose the classes, then
    `steps + 1` for each. Samples leave once any wrong class wins.
    """

    targets: int = 9
    targeted: TargetedObjective = targeted_dlr

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        goals, classes = likely_goals(oracle, x, y, self.targets)
        if classes < 4 and self.targeted is targeted_dlr:
            oracle.note("targeted_dlr_is_gap", 1.0)
        runs = [
            towards(oracle, y, goals[:, j], self.targeted) for j in range(goals.shape[1]) for _ in range(self.restarts)
        ]
        return self._best_of(runs, x, threat, generator)
