"""Solvers of `D^b u = F(u)`, integer (b = 1) and fractional (Caputo, 0 < b < 1), on a uniform grid.

`after`, where given, maps each candidate step to the one that is taken, knowing the states so far: the discrete-exact
Lyapunov projection enters there, and so works with every solver.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, cast

import torch
from torch import Tensor

Field = Callable[[Tensor], Tensor]
After = Callable[[Sequence[Tensor], Tensor], Tensor]

Method = Literal["euler", "rk4", "dopri5", "predictor", "pece", "l1"]
INTEGER: tuple[Method, ...] = ("euler", "rk4", "dopri5")
FRACTIONAL: tuple[Method, ...] = ("predictor", "pece", "l1")


@dataclass(frozen=True)
class Solver:
    """How a flow is integrated: up to time `horizon`, in steps of `step`, by `method`, in Caputo order `order`.

    `memory`, where given, is how many past steps a fractional method still weighs (the short-memory principle,
    Podlubny 1999, section 7.3): cheaper, at the price of an error that does not vanish with the step.
    """

    method: Method = "euler"
    horizon: float = 3.0
    step: float = 1.0
    order: float = 1.0
    memory: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.order <= 1:
            raise ValueError(f"the order must be in (0, 1], got {self.order}")
        if self.method in INTEGER and self.order != 1:
            raise ValueError(f"{self.method} solves order 1; choose one of {', '.join(FRACTIONAL)} for {self.order}")
        if not 0 < self.step <= self.horizon:
            raise ValueError(f"the step must be in (0, horizon], got {self.step} for horizon {self.horizon}")
        if self.memory is not None and self.memory < 1:
            raise ValueError(f"memory counts steps, at least 1, got {self.memory}")

    @property
    def steps(self) -> int:
        """Number of steps; the last one ends at the horizon, and the step is adapted to that."""
        return max(1, round(self.horizon / self.step))

    def path(self, field: Field, u0: Tensor, after: After | None = None) -> list[Tensor]:
        """The states at all grid times, `u0` first."""
        h = self.horizon / self.steps
        if self.method == "dopri5":
            return _adaptive(field, u0, self.steps, h, after)
        advance = {"euler": _euler, "rk4": _rk4}.get(self.method)
        if advance is not None:
            states = [u0]
            for _ in range(self.steps):
                fresh = advance(field, states[-1], h)
                states.append(fresh if after is None else after(states, fresh))
            return states
        fractional = {"predictor": _predictor, "pece": _pece, "l1": _l1}[self.method]
        return fractional(field, u0, self, h, after)

    def __call__(self, field: Field, u0: Tensor, after: After | None = None) -> Tensor:
        """The state at the horizon."""
        return self.path(field, u0, after)[-1]


def _euler(field: Field, u: Tensor, h: float) -> Tensor:
    return u + h * field(u)


def _rk4(field: Field, u: Tensor, h: float) -> Tensor:
    a = field(u)
    b = field(u + h / 2 * a)
    c = field(u + h / 2 * b)
    d = field(u + h * c)
    return u + h / 6 * (a + 2 * b + 2 * c + d)


def _adaptive(field: Field, u0: Tensor, steps: int, h: float, after: After | None) -> list[Tensor]:
    """Dormand-Prince 5(4) of torchdiffeq between the grid times (extra `graph`)."""
    odeint: Any = import_module("torchdiffeq").odeint

    states = [u0]
    for _ in range(steps):
        span = torch.tensor([0.0, h], dtype=u0.dtype)
        found = cast(Tensor, odeint(lambda t, u: field(u), states[-1], span, method="dopri5", rtol=1e-5, atol=1e-6))
        states.append(found[-1] if after is None else after(states, found[-1]))
    return states


def rectangle_weights(order: float, k: int) -> Tensor:
    """Weights `(k+1,)` of the field values 0 ... k in step k+1 of the predictor, in units of `h^b / b`.

    Diethelm, Ford & Freed, "A Predictor-Corrector Approach ...", Nonlinear Dynamics 2002, eq. 1.14.
    """
    far = torch.arange(k + 1, 0, -1, dtype=torch.float64)
    return far**order - (far - 1) ** order


def trapezoid_weights(order: float, k: int) -> Tensor:
    """Weights `(k+2,)` of the field values 0 ... k+1 in the corrector, in units of `h^b / (b (b+1))` (ibid., eq.
    1.13).
    """
    b = order
    j = torch.arange(1, k + 1, dtype=torch.float64)
    inner = (k - j + 2) ** (b + 1) + (k - j) ** (b + 1) - 2 * (k - j + 1) ** (b + 1)
    first = torch.tensor([float(k) ** (b + 1) - (k - b) * float(k + 1) ** b], dtype=torch.float64)
    return torch.cat([first, inner, torch.ones(1, dtype=torch.float64)])


def l1_weights(order: float, k: int) -> Tensor:
    """`(j+1)^(1-b) - j^(1-b)` for j = 0 ... k: the L1 formula's weights of past differences (Oldham & Spanier 1974)."""
    j = torch.arange(k + 1, dtype=torch.float64)
    return (j + 1) ** (1 - order) - j ** (1 - order)


def _recent(count: int, memory: int | None) -> int:
    return 0 if memory is None else max(0, count - memory)


def _combined(weights: Tensor, values: Sequence[Tensor], first: int) -> Tensor:
    total = torch.zeros_like(values[0])
    for weight, value in zip(weights.tolist()[first:], values[first:], strict=True):
        total = total + weight * value
    return total


def _predictor(field: Field, u0: Tensor, solver: Solver, h: float, after: After | None) -> list[Tensor]:
    b, states, slopes = solver.order, [u0], [field(u0)]
    for k in range(solver.steps):
        first = _recent(k + 1, solver.memory)
        fresh = u0 + h**b / math.gamma(b + 1) * _combined(rectangle_weights(b, k), slopes, first)
        states.append(fresh if after is None else after(states, fresh))
        if k + 1 < solver.steps:
            slopes.append(field(states[-1]))
    return states


def _pece(field: Field, u0: Tensor, solver: Solver, h: float, after: After | None) -> list[Tensor]:
    b, states, slopes = solver.order, [u0], [field(u0)]
    for k in range(solver.steps):
        first = _recent(k + 1, solver.memory)
        guess = u0 + h**b / math.gamma(b + 1) * _combined(rectangle_weights(b, k), slopes, first)
        weights = trapezoid_weights(b, k)
        known = _combined(weights[:-1], slopes, first)
        fresh = u0 + h**b / math.gamma(b + 2) * (known + field(guess))
        states.append(fresh if after is None else after(states, fresh))
        if k + 1 < solver.steps:
            slopes.append(field(states[-1]))
    return states


def _l1(field: Field, u0: Tensor, solver: Solver, h: float, after: After | None) -> list[Tensor]:
    """Explicit L1: the Caputo derivative by differences, the field at the last state."""
    b, states = solver.order, [u0]
    weights = l1_weights(b, solver.steps).tolist()
    for k in range(solver.steps):
        past = states[-1]
        for j in range(1, k + 1):
            if solver.memory is not None and j > solver.memory:
                break
            past = past - weights[j] * (states[k + 1 - j] - states[k - j])
        fresh = past + math.gamma(2 - b) * h**b * field(states[-1])
        states.append(fresh if after is None else after(states, fresh))
    return states
