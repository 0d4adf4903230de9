"""Fast Adaptive Boundary attack: the nearest wrong decision, by stepping onto linearised boundaries.

Croce & Hein, "Minimally distorted Adversarial Examples with a Fast Adaptive Boundary Attack", ICML 2020,
algorithm 1.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.attacks.base import Attack, Oracle, worth_compacting
from sparring.attacks.hyperplane import Norm, dual_length, length, step_to_hyperplane
from sparring.attacks.targets import RunOn, likely_goals, towards
from sparring.objectives import two_sided
from sparring.threats.base import ThreatModel, flat
from sparring.threats.lp import L1, L2, LInf

_NORMS: dict[type, Norm] = {LInf: "linf", L2: "l2", L1: "l1"}


@dataclass
class _Walk:
    """The live samples of one run; samples are rows `(live, d)`. `best` and `distance` hold what was found."""

    rows: Tensor
    clean: Tensor
    y: Tensor
    at: Tensor
    best: Tensor
    distance: Tensor


@dataclass(frozen=True, kw_only=True)
class _Boundary(Attack):
    """What both forms share. Each iteration costs two forward passes and the gradients of one linearisation."""

    steps: int = 100
    restarts: int = 1
    alpha_max: float = 0.1
    eta: float = 1.05
    beta: float = 0.9

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        eps = ball_geometry(threat)[3]
        best, distance = x.clone(), _unknown(x)
        for run in self._runs(oracle, x, y):
            for restart in range(self.restarts):
                rows = _to_attack(distance, eps, self.active_set)
                if len(rows) == 0:
                    return members_found(best, x, distance, threat)
                runner, target = run(rows)
                found, near = best[rows], distance[rows]
                self._walk(runner, x[rows], target, threat, generator, found, near, random_start=restart > 0)
                best[rows], distance[rows] = found, near
        return members_found(best, x, distance, threat)

    @abstractmethod
    def _runs(self, oracle: Oracle, x: Tensor, y: Tensor) -> list[RunOn]:
        """The oracle and targets of each run."""

    @abstractmethod
    def _linearise(self, oracle: Oracle, x: Tensor, y: Tensor, rows: Tensor, norm: Norm) -> tuple[Tensor, Tensor]:
        """The gap to the boundary `(n,)`, negative on the right side, and its gradient `(n, d)`."""

    def _walk(
        self,
        oracle: Oracle,
        x: Tensor,
        y: Tensor,
        threat: ThreatModel,
        generator: torch.Generator,
        best: Tensor,
        distance: Tensor,
        *,
        random_start: bool,
    ) -> None:
        """One run; improves `best` `(n, *sample)` and `distance` `(n,)` in place."""
        norm, low, high, eps = ball_geometry(threat)
        exact = torch.promote_types(x.dtype, torch.float32)
        clean = flat(x).to(exact)
        start = clean
        if random_start:
            start = _random_start(clean, distance.clamp_max(eps), norm, generator).clamp(low, high)
        live = _Walk(torch.arange(len(x), device=x.device), clean, y, start, flat(best).to(exact), distance.clone())
        for _ in range(self.steps):
            shape = (len(live.rows), *x.shape[1:])
            gap, w = self._linearise(oracle, live.at.to(x.dtype).reshape(shape), live.y, live.rows, norm)
            live.at = self._step(live, gap.to(exact), w.to(exact), low, high, norm).to(x.dtype).to(exact)
            fallen = oracle.criterion(oracle.outputs(live.at.to(x.dtype).reshape(shape), live.rows), live.y)
            moved = live.at - live.clean
            size = length(moved, norm)
            nearer = fallen & (size < live.distance)
            live.best = torch.where(nearer.unsqueeze(1), live.at, live.best)
            live.distance = torch.where(nearer, size, live.distance)
            live.at = torch.where(fallen.unsqueeze(1), live.clean + self.beta * moved, live.at)
            inside = live.distance <= eps
            if self.active_set and worth_compacting(inside):
                self._store(live, best, distance)
                for name, value in vars(live).items():
                    setattr(live, name, value[~inside])
                if len(live.rows) == 0:
                    return
        self._store(live, best, distance)

    def _step(self, live: _Walk, gap: Tensor, w: Tensor, low: float, high: float, norm: Norm) -> Tensor:
        """Onto the linearised boundary from the present point and, by a share alpha, from the clean one."""
        gap_at_clean = gap + (w * (live.clean - live.at)).sum(1)
        here = step_to_hyperplane(live.at, w, -gap, low, high, norm)
        there = step_to_hyperplane(live.clean, w, -gap_at_clean, low, high, norm)
        a, b = length(here, norm).clamp_min(1e-8), length(there, norm).clamp_min(1e-8)
        alpha = (a / (a + b)).clamp_max(self.alpha_max).unsqueeze(1)
        point = (1 - alpha) * (live.at + self.eta * here) + alpha * (live.clean + self.eta * there)
        return point.clamp(low, high)

    @staticmethod
    def _store(live: _Walk, best: Tensor, distance: Tensor) -> None:
        best[live.rows] = live.best.to(best.dtype).reshape(len(live.rows), *best.shape[1:])
        distance[live.rows] = live.distance


@dataclass(frozen=True, kw_only=True)
class FAB(_Boundary):
    """Untargeted FAB for `LInf`, `L2` and `L1`: the boundary of the class that looks nearest at each step.

    A minimum-norm attack: it returns the nearest wrong point found where that lies in the threat, else the clean
    input. With `active_set` a sample leaves once a point inside is found; without it every step goes to making the
    change smaller, and with an eps beyond reach the result is the minimum-norm one. k classes cost k - 1 backward
    passes a step; FABTargeted costs one. Raises TypeError for other threats.
    """

    def _runs(self, oracle: Oracle, x: Tensor, y: Tensor) -> list[RunOn]:
        return [lambda rows: (oracle.view(rows), y[rows])]

    def _linearise(self, oracle: Oracle, x: Tensor, y: Tensor, rows: Tensor, norm: Norm) -> tuple[Tensor, Tensor]:
        gaps, _, grads = oracle.jacobian(x, y, rows, _gaps)
        w = grads.reshape(*gaps.shape, -1)
        closest = (gaps.abs() / dual_length(w, norm).clamp_min(1e-12)).argmin(1, keepdim=True)
        return gaps.gather(1, closest).squeeze(1), w.take_along_dim(closest.unsqueeze(2), dim=1).squeeze(1)


@dataclass(frozen=True, kw_only=True)
class FABTargeted(_Boundary):
    """FAB-T: one run towards the boundary of each of the `targets` likeliest other classes. Otherwise as `FAB`.

    Passes: one forward to choose the classes; each step of each run two forward and one backward.
    """

    targets: int = 9

    def _runs(self, oracle: Oracle, x: Tensor, y: Tensor) -> list[RunOn]:
        goals, _ = likely_goals(oracle, x, y, self.targets)
        return [towards(oracle, y, goals[:, j], _gap) for j in range(goals.shape[1])]

    def _linearise(self, oracle: Oracle, x: Tensor, y: Tensor, rows: Tensor, norm: Norm) -> tuple[Tensor, Tensor]:
        gap, _, grad = oracle.gradient(x, y, rows)
        oracle.watch(grad)
        return gap, flat(grad)


def members_found(best: Tensor, x: Tensor, distance: Tensor, threat: ThreatModel) -> Tensor:
    """The found points, at a finite `distance` `(n,)`, that are members of the threat; the others stay clean."""
    held = torch.isfinite(distance) & (threat.violation(best, x) == 0)
    out = x.clone()
    out[held] = best[held]
    return out


def ball_geometry(threat: ThreatModel, attack: str = "FAB") -> tuple[Norm, float, float, float]:
    """The norm, the range and the radius of a ball; TypeError for other threats."""
    if not isinstance(threat, LInf | L2 | L1):
        raise TypeError(f"{attack} is defined for LInf, L2 and L1, not for {type(threat).__name__}; use APGD instead")
    return _NORMS[type(threat)], threat.low, threat.high, float(threat.eps)


def _unknown(x: Tensor) -> Tensor:
    return torch.full((len(x),), torch.inf, device=x.device, dtype=torch.promote_types(x.dtype, torch.float32))


def _to_attack(distance: Tensor, eps: float, active_set: bool) -> Tensor:
    standing = distance > eps if active_set else torch.ones_like(distance, dtype=torch.bool)
    return standing.nonzero().squeeze(1)


def _random_start(clean: Tensor, radius: Tensor, norm: Norm, generator: torch.Generator) -> Tensor:
    """Half the radius away in a random direction; the clean point where no radius is known yet."""
    noise = torch.randn(clean.shape, generator=generator, device=clean.device, dtype=torch.float32).to(clean.dtype)
    unit = noise / length(noise, norm).clamp_min(1e-12).unsqueeze(1)
    return clean + 0.5 * torch.where(torch.isfinite(radius), radius, 0.0).unsqueeze(1) * unit


def _gap(outputs: Tensor, target: Tensor, goal: Tensor) -> Tensor:
    z = two_sided(outputs)
    return (z.gather(1, goal.reshape(-1, 1)) - z.gather(1, target.reshape(-1, 1).long())).squeeze(1)


def _gaps(outputs: Tensor, target: Tensor) -> Tensor:
    """Every other class's logit minus the target's, `(n, k - 1)`."""
    z, own = two_sided(outputs), target.reshape(-1, 1).long()
    others = torch.arange(z.shape[1] - 1, device=z.device).expand(len(z), -1)
    return z.gather(1, others + (others >= own)) - z.gather(1, own)
