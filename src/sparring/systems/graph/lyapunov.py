"""A learned convex Lyapunov function, the published projection onto its descent, and one that holds at every step size.

The published (continuous) projection bends the field so that `<grad V, F> <= -alpha V`. That inequality is exact at
each point, and says nothing of a solver's finite step: at step 1 V rises on half of the steps. The discrete-exact one
uses only that V is convex with V(0) = 0, so that `V(g x) <= g V(x)` for g in [0, 1]: it shrinks each candidate step
until
the *discrete* inequality holds, in integer and fractional order.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.systems.graph.solvers import After, Field, Solver, l1_weights


class Lyapunov(nn.Module):
    """V(u) = s(g(u) - g(0)) + eps |u|^2 per node, `(n, k)` to `(n,)`, with an input-convex network g.

    s is 0 below 0, then a parabola, then a line (slope 1): smooth, convex and increasing. V is convex, 0 at 0 and
    positive
    elsewhere. Amos, Xu & Kolter, ICML 2017 (the network); Kolter & Manek, NeurIPS 2019, section 3 (V from it).
    """

    def __init__(self, channels: int, hidden: int = 64, layers: int = 2, eps: float = 0.01) -> None:
        super().__init__()
        sizes = [hidden] * layers + [1]
        self.direct = nn.ModuleList([nn.Linear(channels, size) for size in sizes])
        self.through = nn.ParameterList([nn.Parameter(torch.randn(b, a) / a**0.5 - 2.0) for a, b in pairwise(sizes)])
        self.eps = eps

    def forward(self, u: Tensor) -> Tensor:
        zero = torch.zeros_like(u[:1])
        raised = (self._convex(u) - self._convex(zero)).squeeze(1)
        return rounded(raised) + self.eps * u.square().sum(1)

    def _convex(self, u: Tensor) -> Tensor:
        z = rounded(self.direct[0](u))
        for layer, weight in zip(list(self.direct)[1:], self.through, strict=True):
            z = rounded(layer(u) + F.linear(z, F.softplus(weight) / weight.shape[1]))
        return z


def rounded(x: Tensor) -> Tensor:
    """ReLU with a parabola on [0, 1] in place of its corner: convex, non-decreasing, slope at most 1."""
    return torch.where(x < 1, x.clamp_min(0).square() / 2, x - 0.5)


def continuous(field: Field, v: Callable[[Tensor], Tensor], alpha: float) -> Field:
    """The field's nearest neighbour with `<grad V, F> <= -alpha V`, node by node: `(n, k)` to `(n, k)`.

    `F - grad V relu(<grad V, F> + alpha V) / |grad V|^2` (Kolter & Manek, NeurIPS 2019, eq. 7).
    """

    def bent(u: Tensor) -> Tensor:
        with torch.enable_grad():
            at = u if u.requires_grad else u.detach().requires_grad_()
            value = v(at)
            (slope,) = torch.autograd.grad(value.sum(), at, create_graph=u.requires_grad or torch.is_grad_enabled())
        raw = field(u)
        excess = F.relu((slope * raw).sum(1) + alpha * value)
        return raw - slope * (excess / slope.square().sum(1).clamp_min(1e-12))[:, None]

    return bent


def discrete(v: Callable[[Tensor], Tensor], alpha: float, solver: Solver) -> After:
    """Shrinks each candidate step `x` to `x min(1, B / V(x))`, node by node.

    Integer order: `B = exp(-alpha h) V_k`. Fractional order: B is the largest V for which the L1 formula gives
    `D^b V <= -alpha V` at the new time. Both then hold exactly, whatever solver made the candidate.
    """
    h = solver.horizon / solver.steps
    values: list[Tensor] = []  # V of the states so far: each is worked out once

    def after(states: Sequence[Tensor], fresh: Tensor) -> Tensor:
        if len(states) == 1:
            values.clear()
        values.extend(v(state) for state in states[len(values) :])
        bound = allowed(values, alpha, solver.order, h)
        value = v(fresh)
        share = torch.where(value > bound, bound / value.clamp_min(1e-30), 1.0)
        return fresh * share[:, None]

    return after


def allowed(values: Sequence[Tensor], alpha: float, order: float, h: float) -> Tensor:
    """The largest next V `(n,)` that keeps the discrete inequality, from V so far, oldest first."""
    if order == 1:
        return math.exp(-alpha * h) * values[-1]
    k = len(values) - 1
    w = l1_weights(order, k).tolist()
    total = w[k] * values[0]
    for j in range(1, k + 1):
        total = total + (w[k - j] - w[k + 1 - j]) * values[j]
    return total / (1 + alpha * math.gamma(2 - order) * h**order)


@dataclass(frozen=True)
class Audit:
    """How often a trajectory breaks what was promised of V.

    `rising`: share of node-steps on which V rose; `broken`: share that breaks the discrete inequality by more than
    1e-6 of V; `excess`: the largest V above `V(0)` times its envelope (exponential, or Mittag-Leffler), in units of
    V(0).
    `mean` is V averaged over the nodes at each grid time.
    """

    rising: float
    broken: float
    excess: float
    mean: tuple[float, ...]


@torch.no_grad()
def audit(path: Sequence[Tensor], v: Callable[[Tensor], Tensor], alpha: float, solver: Solver) -> Audit:
    """Measure the states `(n, k)` of a trajectory in float64."""
    from sparring.systems.graph.mittag_leffler import mittag_leffler

    h = solver.horizon / solver.steps
    values = [v(state).double() for state in path]
    rising = broken = 0
    for k in range(1, len(values)):
        rising += int((values[k] > values[k - 1] * (1 + 1e-6)).sum())
        bound = allowed(values[:k], alpha, solver.order, h)
        broken += int((values[k] > bound * (1 + 1e-6) + 1e-12).sum())
    times = [alpha * (k * h) ** solver.order for k in range(len(values))]
    envelope = mittag_leffler(solver.order, times)
    excess = max(
        float(((u - values[0] * e) / values[0].clamp_min(1e-12)).max()) for u, e in zip(values, envelope, strict=True)
    )
    steps = (len(values) - 1) * len(values[0])
    return Audit(rising / steps, broken / steps, max(0.0, excess), tuple(float(u.mean()) for u in values))
