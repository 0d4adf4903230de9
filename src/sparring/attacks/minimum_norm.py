"""Minimum-norm attacks by gradient descent: the nearest wrong decision, one gradient a step.

Rony et al., "Decoupling Direction and Norm for Efficient Gradient-Based L2 Adversarial Attacks and Defenses", CVPR
2019 (DDN), and Pintor et al., "Fast Minimum-norm Adversarial Attacks through Adaptive Norm Constraints", NeurIPS 2021
(FMN). Both walk on a sphere around the input whose radius shrinks after a wrong decision and grows after a right one.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.attacks.base import Attack, Oracle
from sparring.attacks.fab import ball_geometry, members_found
from sparring.attacks.hyperplane import Norm, dual_length, length
from sparring.objectives import margin
from sparring.threats.base import ThreatModel, flat
from sparring.threats.lp import L2, unit_l2

_TINY = 1e-12


@dataclass
class _Sphere:
    """Where each sample stands: rows `(n, d)`; `eps` the radius of its sphere, `best` the nearest wrong point."""

    x: Tensor
    at: Tensor
    eps: Tensor
    best: Tensor
    distance: Tensor


@dataclass(frozen=True, kw_only=True)
class _Shrinking(Attack):
    """What both share: `steps` passes forward and backward; returns the nearest wrong point inside the threat."""

    steps: int = 100

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        norm, low, high, eps = ball_geometry(threat, type(self).__name__)
        oracle = oracle.view(objective=margin)
        exact = torch.promote_types(x.dtype, torch.float32)
        clean = flat(x).to(exact)
        found, distance = x.clone(), torch.full((len(x),), torch.inf, device=x.device, dtype=exact)
        unset = torch.full_like(distance, torch.inf)
        live = _Sphere(clean, clean.clone(), unset, clean.clone(), distance.clone())
        rows = torch.arange(len(x), device=x.device)
        for step in range(self.steps):
            shape = (len(rows), *x.shape[1:])
            gap, fallen, grad = oracle.gradient(live.at.to(x.dtype).reshape(shape), y[rows], rows)
            oracle.watch(grad)
            size = length(live.at - live.x, norm)
            nearer = fallen & (size < live.distance)
            live.best[nearer], live.distance[nearer] = live.at[nearer], size[nearer]
            if self.active_set and bool((inside := live.distance <= eps).any()):
                found[rows[inside]] = live.best[inside].to(x.dtype).reshape(-1, *x.shape[1:])
                distance[rows[inside]] = live.distance[inside]
                rows = rows[~inside]
                if len(rows) == 0:
                    break
                for name, value in vars(live).items():
                    setattr(live, name, value[~inside])
                gap, fallen, grad = gap[~inside], fallen[~inside], grad[~inside]
            self._move(live, gap.to(exact), fallen, flat(grad).to(exact), step, norm)
            live.at = live.at.clamp(low, high).to(x.dtype).to(exact)
        if len(rows):
            found[rows] = live.best.to(x.dtype).reshape(-1, *x.shape[1:])
            distance[rows] = live.distance
        return members_found(found, x, distance, threat)

    @abstractmethod
    def _move(self, live: _Sphere, gap: Tensor, fallen: Tensor, grad: Tensor, step: int, norm: Norm) -> None:
        """Change `eps` and `at` after one look: `gap` is the margin, negative on the right side."""


@dataclass(frozen=True, kw_only=True)
class DDN(_Shrinking):
    """Decoupled direction and norm (algorithm 1), for `L2`: a step, then back onto a sphere 5 % smaller or larger.

    Climbs the margin. The step falls from 1 to 0.01 along a cosine. The first sphere has radius `init`.
    """

    init: float = 1.0
    gamma: float = 0.05

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        if not isinstance(threat, L2):
            raise TypeError(f"DDN is defined for L2, not for {type(threat).__name__}; use FMN for LInf, L2 and L1")
        return super().search(oracle, x, y, threat, generator)

    def _move(self, live: _Sphere, gap: Tensor, fallen: Tensor, grad: Tensor, step: int, norm: Norm) -> None:
        size = 0.01 + 0.99 * (1 + math.cos(math.pi * step / self.steps)) / 2
        eps = torch.where(torch.isinf(live.eps), self.init, live.eps)
        live.eps = eps if step == 0 else eps * torch.where(fallen, 1 - self.gamma, 1 + self.gamma)
        moved = live.at + size * unit_l2(grad) - live.x
        live.at = live.x + moved * (live.eps / length(moved, "l2").clamp_min(_TINY)).unsqueeze(1)


@dataclass(frozen=True, kw_only=True)
class FMN(_Shrinking):
    """Fast minimum norm (algorithm 1), for `LInf`, `L2` and `L1`.

    Until a wrong decision is met the sphere's radius is the linear estimate of the boundary's distance,
    ||at - x|| + |margin| / ||gradient||*, but at least γ wider than the last one: the estimate alone can circle below a
    bent boundary for ever and call a sample robust (our departure from the paper). From then on it shrinks by the share
    γ after a wrong decision and grows by it after a right one, γ falling from `gamma` to 0.001 along a cosine, and
    never beyond the nearest wrong point.
    The step, a Euclidean one, falls from `step_size` to a hundredth of it.
    """

    step_size: float = 1.0
    gamma: float = 0.05

    def _move(self, live: _Sphere, gap: Tensor, fallen: Tensor, grad: Tensor, step: int, norm: Norm) -> None:
        cosine = (1 + math.cos(math.pi * step / self.steps)) / 2
        size, gamma = self.step_size * (0.01 + 0.99 * cosine), 0.001 + (self.gamma - 0.001) * cosine
        here = length(live.at - live.x, norm)
        known = torch.isfinite(live.distance)
        estimate = here + gap.abs() / dual_length(grad, norm).clamp_min(_TINY)
        shrunk = torch.minimum(live.eps * (1 - gamma), live.distance)
        wider = live.eps * (1 + gamma)
        grown = torch.where(known, wider, torch.maximum(estimate, torch.where(torch.isinf(wider), 0, wider)))
        live.eps = torch.where(fallen, torch.where(torch.isinf(live.eps), live.distance, shrunk), grown)
        live.eps = live.eps.clamp_max(torch.where(known, live.distance, torch.finfo(live.eps.dtype).max / 4))
        moved = live.at + size * unit_l2(grad) - live.x
        live.at = live.x + _onto_ball(moved, live.eps, norm)


def _onto_ball(delta: Tensor, eps: Tensor, norm: Norm) -> Tensor:
    """The nearest change `(n, d)` of length at most `eps` `(n,)`."""
    radius = eps.unsqueeze(1)
    if norm == "linf":
        return torch.maximum(torch.minimum(delta, radius), -radius)
    if norm == "l2":
        return delta * (radius / length(delta, norm).clamp_min(_TINY).unsqueeze(1)).clamp_max(1)
    # The simplex: the threshold is found among the sorted sizes (Duchi et al., ICML 2008, figure 1).
    sizes = delta.abs().sort(dim=1, descending=True).values
    count = torch.arange(1, sizes.shape[1] + 1, device=delta.device)
    candidates = (sizes.cumsum(1) - radius) / count
    last = ((sizes > candidates) * count).amax(1, keepdim=True).clamp_min(1).long()
    threshold = candidates.gather(1, last - 1).clamp_min(0)
    soft = (delta.abs() - threshold).clamp_min(0).copysign(delta)
    return torch.where((length(delta, norm) <= eps).unsqueeze(1), delta, soft)
