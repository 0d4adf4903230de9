"""ClipFlow: the gradient flow of a strongly convex energy whose edges pull with a clipped force.

    dx_i/dt = sum_j w_ij clip(x_j - x_i, -c, c) + lam (x0_i - x_i)        coordinate by coordinate

is -grad E of `E(X) = sum_edges w_ij Huber_c(x_i - x_j) + lam/2 |X - X0|^2`. E is lam-strongly convex: one equilibrium
X* for every graph and every c, to which the flow falls at rate lam in integer and (Caputo) fractional order. The class
is read from X*. What an attacker can do to X* is bounded in `certificate.py`.

X* is found by an accelerated descent that needs no step size. Gradients come from one linear solve at X* (implicit
function theorem): no solver step is taped.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.systems.graph.baselines import Perceptron
from sparring.systems.graph.inputs import Inputs
from sparring.systems.graph.sparse import Incidence


@dataclass(frozen=True)
class Pull:
    """The energy's constants: clip `c` > 0 and anchor strength `lam` > 0."""

    c: float = 0.05
    lam: float = 0.2

    def __post_init__(self) -> None:
        if not self.c > 0 or not self.lam > 0:
            raise ValueError(f"ClipFlow needs c > 0 and lam > 0, got c = {self.c}, lam = {self.lam}")


@dataclass(frozen=True)
class Accuracy:
    """When a solve is good enough: `max |grad E| / lam` (a bound on the error of every entry of X) below `tol`."""

    tol: float = 1e-3
    steps: int = 300


TRAIN = Accuracy()
EXACT = Accuracy(tol=1e-9, steps=20_000)
"""For certificates, in float64; what is left over is counted there."""


def energy(x: Tensor, x0: Tensor, weight: Tensor, incidence: Incidence, pull: Pull) -> Tensor:
    """E per coordinate, `(k,)`: its sum over the coordinates is the flow's Lyapunov function."""
    size = incidence.difference(x).abs()
    huber = torch.where(size <= pull.c, size.square() / 2, pull.c * (size - pull.c / 2))
    return (weight[:, None] * huber).sum(0) + pull.lam / 2 * (x - x0).square().sum(0)


def gradient(x: Tensor, x0: Tensor, weight: Tensor, incidence: Incidence, pull: Pull) -> Tensor:
    """grad E `(n, k)`, the flow's field with its sign turned."""
    force = incidence.difference(x).clamp_(-pull.c, pull.c).mul_(weight[:, None])
    return incidence.gather(force).add_(x - x0, alpha=pull.lam)


def equilibrium(
    x0: Tensor,
    edges: Tensor,
    weight: Tensor,
    pull: Pull,
    accuracy: Accuracy = TRAIN,
    *,
    start: Tensor | None = None,
) -> Tensor:
    """X* `(n, k)` for anchors `x0` `(n, k)`, edges `(2, m)` and their weights `(m,)` ≥ 0; differentiable in both.

    `start` is where the solver begins (default `x0`); it changes the work, not the result.
    """
    return cast(Tensor, _Equilibrium.apply(x0, edges, weight, pull, accuracy, start))


def solve(
    x0: Tensor, edges: Tensor, weight: Tensor, pull: Pull, accuracy: Accuracy = TRAIN, start: Tensor | None = None
) -> tuple[Tensor, float]:
    """X* without gradient, and the residual `max |grad E| / lam` that bounds the error of each entry.

    The energy lies below a quadratic with the diagonal `lam + 2 degree`, so a step of its inverse can only lower E.
    The steps are accelerated (Nesterov 1983), and the momentum starts anew in each coordinate where it points uphill
    (O'Donoghue and Candes, "Adaptive Restart for Accelerated Gradient Schemes", 2015).
    """
    incidence = Incidence.of(edges, len(x0), x0.dtype)
    wide = weight[:, None]
    step = (incidence.absolute(wide).mul_(2).add_(pull.lam)).reciprocal_()
    x = x0.clone() if start is None else start.to(x0.dtype).clone()
    ahead, momentum = x, torch.ones(x0.shape[1], dtype=x0.dtype)
    left = 0.0
    for number in range(accuracy.steps + 1):
        force = incidence.difference(ahead).clamp_(-pull.c, pull.c).mul_(wide)
        slope = incidence.gather(force).add_(ahead - x0, alpha=pull.lam)
        if number % 5 == 0 or number == accuracy.steps:
            left = float(slope.abs().max()) / pull.lam if slope.numel() else 0.0
            if left <= accuracy.tol or number == accuracy.steps:
                break
        fresh = torch.addcmul(ahead, slope, step, value=-1.0)
        moved = fresh - x
        uphill = (slope * moved).sum(0) > 0
        momentum = torch.where(uphill, 1.0, momentum)
        longer = (1 + torch.sqrt(1 + 4 * momentum.square())) / 2
        ahead = torch.addcmul(fresh, moved, (momentum - 1) / longer)
        x, momentum = fresh, longer
    return ahead, left


def conjugate_gradients(b: Tensor, weight: Tensor, incidence: Incidence, lam: float, steps: int, tol: float) -> Tensor:
    """Solve `(lam I + B^T diag(weight) B) z = b` column by column, `(n, k)`, to a relative residual `tol`.

    `weight` is `(m, k)` ≥ 0. Preconditioned by the diagonal; every iterate lowers the quadratic, so a solve that is
    cut short is still a descent step.
    """
    scale = incidence.absolute(weight).add_(lam).reciprocal_()
    z, r = torch.zeros_like(b), b.clone()
    y = r * scale
    p, rho = y.clone(), (r * y).sum(0)
    goal = rho * tol**2
    for _ in range(steps):
        if bool((rho <= goal).all()):
            break
        q = incidence.gather(incidence.difference(p).mul_(weight)).add_(p, alpha=lam)
        alpha = rho / (p * q).sum(0).clamp_min(1e-300 if b.dtype == torch.float64 else 1e-38)
        z.addcmul_(p, alpha)
        r.addcmul_(q, -alpha)
        y = r * scale
        fresh = (r * y).sum(0)
        p = torch.addcmul(y, p, fresh / rho.clamp_min(1e-300 if b.dtype == torch.float64 else 1e-38))
        rho = fresh
    return z


class _Equilibrium(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x0: Tensor, edges: Tensor, weight: Tensor, pull: Pull, accuracy: Accuracy, start: Tensor | None
    ) -> Tensor:
        live = weight != 0
        kept, held = (edges, weight) if bool(live.all()) else (edges[:, live], weight[live])
        x, _ = solve(x0, kept, held.to(x0.dtype), pull, accuracy, start)
        ctx.save_for_backward(edges, kept, held, x, x0)
        ctx.pull, ctx.accuracy = pull, accuracy
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, Tensor | None, None, None, None]:
        edges, kept, held, x, _ = ctx.saved_tensors
        pull: Pull = ctx.pull
        incidence = Incidence.of(kept, len(x), x.dtype)
        active = held.to(x.dtype)[:, None] * (incidence.difference(x).abs() < pull.c)
        z = conjugate_gradients(
            grads[0].contiguous(), active, incidence, pull.lam, ctx.accuracy.steps, min(1e-2, ctx.accuracy.tol)
        )
        anchor = pull.lam * z if ctx.needs_input_grad[0] else None
        across = None
        if ctx.needs_input_grad[2]:
            i, j = edges
            across = -((z[i] - z[j]) * (x[i] - x[j]).clamp(-pull.c, pull.c)).sum(1)
        return anchor, None, across, None, None, None


class ClipFlow(nn.Module):
    """Class probabilities of a graph-blind tower, carried by the clipped flow to their equilibrium.

    Nodes whose label is public are anchored at it. Logits are `X* / temperature`.
    """

    def __init__(
        self,
        width: int,
        hidden: int,
        classes: int,
        pull: Pull | None = None,
        *,
        temperature: float = 0.1,
        input_drop: float = 0.5,
        drop: float = 0.5,
        anchored: bool = True,
    ) -> None:
        super().__init__()
        self.tower: nn.Module = Perceptron((width, hidden, classes), input_drop=input_drop, drop=drop)
        self.pull, self.temperature, self.anchored = pull or Pull(), temperature, anchored
        self.classes = classes

    def anchors(self, inputs: Inputs) -> Tensor:
        """X0 `(n, classes)`: what features and public labels alone say; no change of edges moves it.

        A node whose features overflow the tower says nothing (all classes alike), and its neighbours hear no NaN.
        """
        told = self.tower(inputs.features)
        x0 = torch.softmax(torch.where(told.isfinite().all(1, keepdim=True), told, 0.0), 1)
        if not self.anchored:
            return x0
        public = F.one_hot(inputs.known.clamp_min(0), self.classes).to(x0.dtype)
        return torch.where((inputs.known >= 0)[:, None], public, x0)

    def forward(self, inputs: Inputs, accuracy: Accuracy = TRAIN) -> Tensor:
        x = equilibrium(self.anchors(inputs), inputs.edges, inputs.weight, self.pull, accuracy, start=inputs.start)
        return x / self.temperature
