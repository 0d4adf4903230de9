"""The base flows behind one interface: GRAND-l, GRAND-nl, GraphCON, HANG, in integer or fractional order.

encoder (a perceptron, features alone) -> state at time 0 -> flow over the graph -> linear decoder. `stability` adds a
learned Lyapunov function and one of the two projections onto its descent; `separated` fixes orthonormal class
directions in the decoder.

The field equations are those of the papers named at each class; sizes, times and the per-node choice of V are ours.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.systems.graph.baselines import Perceptron, attention, symmetric
from sparring.systems.graph.inputs import Inputs
from sparring.systems.graph.lyapunov import Lyapunov, continuous, discrete
from sparring.systems.graph.solvers import Field, Solver
from sparring.systems.graph.sparse import degrees, neighbours

FlowName = Literal["grand-l", "grand-nl", "graphcon", "hang"]
Stability = Literal["none", "continuous", "discrete"]


class GrandLinear(nn.Module):
    """`du/dt = (A - I) u`, A the random walk with self loops (Chamberlain et al., "GRAND", ICML 2021, eq. 11)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.doubled = False

    def field(self, inputs: Inputs) -> Field:
        d = degrees(inputs.edges, inputs.weight, inputs.n) + 1
        i, j = inputs.edges
        first, second = inputs.weight / d[i], inputs.weight / d[j]

        def flow(u: Tensor) -> Tensor:
            return neighbours(inputs.edges, first, u, second) + u / d[:, None] - u

        return flow


class GrandNonlinear(nn.Module):
    """`du/dt = (A(u) - I) u` with scaled dot-product attention at every evaluation (ibid., eq. 8)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.doubled = False

    def field(self, inputs: Inputs) -> Field:
        i, j = inputs.edges

        def flow(u: Tensor) -> Tensor:
            q, k = self.query(u), self.key(u)
            scale = u.shape[1] ** -0.5
            into = torch.stack([(q[i] * k[j]).sum(1), (q[j] * k[i]).sum(1)]) * scale
            first, second, own = attention(inputs, into, (q * k).sum(1) * scale)
            return neighbours(inputs.edges, first, u, second) + own[:, None] * u - u

        return flow


class GraphCon(nn.Module):
    """`u' = y, y' = relu(A u W) - gamma u - alpha y` (Rusch et al., "Graph-Coupled Oscillator Networks", ICML 2022)."""

    def __init__(self, channels: int, gamma: float = 1.0, alpha: float = 1.0) -> None:
        super().__init__()
        self.mix, self.gamma, self.alpha = nn.Linear(channels, channels), gamma, alpha
        self.doubled = True

    def field(self, inputs: Inputs) -> Field:
        value, own = symmetric(inputs)

        def flow(state: Tensor) -> Tensor:
            u, y = state.chunk(2, 1)
            h = self.mix(u)
            pulled = F.relu(neighbours(inputs.edges, value, h) + own[:, None] * h)
            return torch.cat([y, pulled - self.gamma * u - self.alpha * y], 1)

        return flow


class Hang(nn.Module):
    """`q' = dH/dp, p' = -dH/dq` (Zhao et al., "Adversarial Robustness in Graph Neural Networks: A Hamiltonian
    Approach",
    NeurIPS 2023): H is the norm of a two-layer graph convolution of (q, p) with tanh, and is conserved by the exact
    flow.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2 * channels, channels), nn.Linear(channels, channels)
        self.doubled = True

    def energy(self, inputs: Inputs, state: Tensor) -> Tensor:
        """H, a scalar; through operators that can be differentiated twice (the sparse products' own cannot)."""
        value, own = symmetric(inputs)
        i, j = inputs.edges

        def spread(h: Tensor) -> Tensor:
            out = own[:, None] * h
            return out.index_add(0, i, value[:, None] * h[j]).index_add(0, j, value[:, None] * h[i])

        h = self.second(torch.tanh(spread(self.first(state))))
        return spread(h).square().sum().add(1e-12).sqrt()

    def field(self, inputs: Inputs) -> Field:
        def flow(state: Tensor) -> Tensor:
            taped = torch.is_grad_enabled()
            with torch.enable_grad():
                at = state if state.requires_grad else state.detach().requires_grad_()
                (slope,) = torch.autograd.grad(self.energy(inputs, at), at, create_graph=taped)
            q, p = slope.chunk(2, 1)
            return torch.cat([p, -q], 1)

        return flow


FLOWS: dict[FlowName, type[GrandLinear] | type[GrandNonlinear] | type[GraphCon] | type[Hang]] = {
    "grand-l": GrandLinear,
    "grand-nl": GrandNonlinear,
    "graphcon": GraphCon,
    "hang": Hang,
}


@dataclass(frozen=True)
class FlowPlan:
    """Which flow, how it is solved, and what keeps it stable; `alpha` is the rate at which V must fall."""

    flow: FlowName = "grand-l"
    solver: Solver = field(default_factory=Solver)
    stability: Stability = "none"
    alpha: float = 0.5
    separated: bool = False


class Flow(nn.Module):
    """A graph neural flow as a classifier."""

    def __init__(self, width: int, hidden: int, classes: int, plan: FlowPlan | None = None, drop: float = 0.5) -> None:
        super().__init__()
        self.plan = plan or FlowPlan()
        self.tower = Perceptron((width, hidden), input_drop=drop, drop=drop)
        self.drop = drop
        self.flow = FLOWS[self.plan.flow](hidden)
        channels = 2 * hidden if self.flow.doubled else hidden
        self.lyapunov = Lyapunov(channels) if self.plan.stability != "none" else None
        self.decoder = nn.Linear(hidden, classes, bias=not self.plan.separated)
        if self.plan.separated:  # class directions as far apart as can be, and left so
            nn.init.orthogonal_(self.decoder.weight)
            self.decoder.requires_grad_(False)
        self.scale = nn.Parameter(torch.tensor(1.0))

    def path(self, inputs: Inputs, solver: Solver | None = None) -> list[Tensor]:
        """The states `(n, channels)` along the flow, time 0 first."""
        solver = solver or self.plan.solver
        u0 = F.dropout(self.tower(inputs.features), self.drop, self.training)
        if self.flow.doubled:
            u0 = torch.cat([u0, torch.zeros_like(u0)], 1)
        flow, after = self.flow.field(inputs), None
        if self.lyapunov is not None and self.plan.stability == "continuous":
            flow = continuous(flow, self.lyapunov, self.plan.alpha)
        elif self.lyapunov is not None:
            after = discrete(self.lyapunov, self.plan.alpha, solver)
        return solver.path(flow, u0, after)

    def forward(self, inputs: Inputs, solver: Solver | None = None) -> Tensor:
        state = self.path(inputs, solver)[-1]
        u = state[:, : state.shape[1] // 2] if self.flow.doubled else state
        logits = self.decoder(F.dropout(u, self.drop, self.training))
        return logits * self.scale.exp() if self.plan.separated else logits


def lyapunov_values(path: Sequence[Tensor], v: Lyapunov) -> Tensor:
    """Mean V at every grid time `(steps + 1,)`."""
    with torch.no_grad():
        return torch.stack([v(state).mean() for state in path])
