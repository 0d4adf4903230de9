"""What can be said of every traffic law near the prior: the Donsker-Varadhan bound, and its finite-sample version.

For any law Q over (scene, candidate) with E_c KL(Q(.|c) || ψ_ref(.|c)) ≤ ε,

    E_Q[J] ≥ sup_{τ > 0} { E_c V_τ(c) - τ ε },      V_τ(c) = -τ log E_ref[exp(-J / τ)].

It speaks of the candidates, and of no traffic outside them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.proposals import gibbs, soft_value

TEMPERATURES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""The grid over which the supremum is taken, return units. Fixed beforehand: its size is in the confidence term."""
RANGE = (-14.0, 22.0)
"""Bounds of a return: nothing earned, a crash and the harshest driving; a tenth above the nominal way."""


@dataclass(frozen=True)
class Bound:
    """A lower bound of the mean return under every law in the ball: `value` over the scenes at hand (exact for them),
    `certified` for the population they are drawn from, with confidence 1 - `delta`; `temperature` that gave it."""

    radius: float
    value: float
    certified: float
    temperature: float
    delta: float


def bound(log_prior: Tensor, ret: Tensor, radius: float, delta: float = 0.05) -> Bound:
    """The bound for returns `(n, K)` under a prior `(n, K)` at KL radius ε (nats, mean over scenes).

    Each V_τ(c) lies in RANGE like J itself, so by Hoeffding's inequality and a union over the grid the mean over n
    scenes is off by at most (b - a) sqrt(ln(G / δ) / (2 n)).
    """
    values = [float(-soft_value(log_prior, -ret, t).mean()) - t * radius for t in TEMPERATURES]
    best = max(range(len(values)), key=values.__getitem__)
    low, high = RANGE
    slack = (high - low) * math.sqrt(math.log(len(TEMPERATURES) / delta) / (2 * len(ret)))
    return Bound(radius, values[best], values[best] - slack, TEMPERATURES[best], delta)


def worst_law(log_prior: Tensor, ret: Tensor, radius: float) -> Tensor:
    """The law `(n, K)` of least mean return within the ball: Gibbs, its temperature found by bisection."""
    low, high = math.log(1e-2), math.log(1e4)
    for _ in range(60):
        middle = 0.5 * (low + high)
        law = gibbs(log_prior, -ret, math.exp(middle))
        low, high = (middle, high) if _divergence(law, log_prior) > radius else (low, middle)
    return gibbs(log_prior, -ret, math.exp(high))


def violations(log_prior: Tensor, ret: Tensor, laws: dict[str, Tensor], radii: tuple[float, ...]) -> dict[str, int]:
    """How many of the laws `(n, K)` inside each ball fall below its bound, and how many were tried: both must agree
    with the theorem (0 violations)."""
    broken = tried = 0
    for radius in radii:
        floor = bound(log_prior, ret, radius).value
        for law in (*laws.values(), worst_law(log_prior, ret, radius)):
            if _divergence(law, log_prior) <= radius + 1e-6:
                tried += 1
                broken += float((law.exp() * ret).sum(1).mean()) < floor - 1e-3
    return {"tried": tried, "broken": broken}


def _divergence(law: Tensor, log_prior: Tensor) -> float:
    p = law.exp()
    return float(torch.where(p > 0, p * (law - log_prior), 0.0).sum(1).mean())


def crash_bound(crashes: int, n: int, radius: float, delta: float = 0.05) -> float:
    """The largest crash probability of any law within the KL ball, from `crashes` of `n` draws from the prior.

    The prior's own rate is replaced by its exact upper limit p; the answer is the q ≥ p with kl(q || p) = radius.
    """
    from sparring.evaluation.statistics import clopper_pearson

    p = clopper_pearson(crashes, n, 2 * delta)[1]
    if p >= 1:
        return 1.0
    low, high = p, 1.0
    for _ in range(60):
        q = 0.5 * (low + high)
        far = q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p)) if q < 1 else math.inf
        low, high = (q, high) if far <= radius else (low, q)
    return high
