"""A critic on the gather's own plane: the 1-Lipschitz, bounded function that tells two gathers best apart.

Of two gathers the adversary picks u(receiver, time) so as to make <u, simulated - observed> large, within

    |u| <= 1,   |du/dt| <= 1 / time,   |du/dx| <= 1 / length.

The largest value is the Kantorovich-Rubinstein distance (Métivier, Brossier, Mérigot, Oudet, Virieux, "Measuring the
misfit between seismograms using an optimal transport distance", GJI 205, 2016); u itself is the adjoint source. It is
the Wasserstein critic's own problem, with the points of the plane in place of whole gathers as samples: there are
thousands of them, so the best response is a function, not a memory of a few gathers. For small `time` and `length` it
is L1; for large ones a misplaced arrival costs its distance, as far as |u| <= 1 lets it, and white noise averages out.

The adversary keeps its u from step to step and improves it by a few sweeps of ADMM, as a critic is improved by a few
gradient steps. The linear part of a sweep is diagonal in the cosine basis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.errors import BadInput
from sparring.game import Batch, Game, State, StepResult
from sparring.systems.seismic.filters import lowpass
from sparring.systems.seismic.plan import PotentialPlan

ENOUGH = 100
"""Sweeps from nothing after which the value changes by less than one part in a hundred."""


class Potential(nn.Module):
    """The adversary's functions, one per shot, on a plane of `receivers` x `samples` thinned by the plan.

    `dt` in s, `dx` the distance of neighbouring receivers in m. `memory (shots, 2, 3, receivers', samples')` holds
    ADMM's split and dual variables for u and its two derivatives.
    """

    memory: Tensor
    across: Tensor
    along: Tensor
    weight: Tensor

    def __init__(self, shape: tuple[int, int, int], dt: float, dx: float, plan: PotentialPlan) -> None:
        super().__init__()
        shots, receivers, samples = shape
        self.plan = plan
        self.size = receivers // plan.each, samples // plan.every
        if min(self.size) < 2:
            raise BadInput(
                f"the potential would live on {self.size[0]} receivers x {self.size[1]} samples; thin less "
                "(potential.each, potential.every) or record more"
            )
        self.steps = plan.length / (dx * plan.each), plan.time / (dt * plan.every)
        rows, columns = self.size
        self.register_buffer("memory", torch.zeros(shots, 2, 3, rows, columns))
        self.register_buffer("across", cosines(rows))
        self.register_buffer("along", cosines(columns))
        planes = zip(self.steps, self.size, strict=True)
        a, b = (s**2 * (2 - 2 * torch.cos(math.pi * torch.arange(n) / n)) for s, n in planes)
        self.register_buffer("weight", 1 / (1 + a[:, None] + b))

    def ascend(self, shots: Tensor, difference: Tensor) -> Tensor:
        """Improve the u of these shots on `difference` (simulated - observed) and return it, `(n, rows, columns)`."""
        u, self.memory[shots] = self._sweep(self.thinned(difference.detach()), self.memory[shots], self.plan.sweeps)
        return u

    def best(self, difference: Tensor) -> Tensor:
        """The u for this difference found from nothing, by `ENOUGH` sweeps."""
        return self._sweep(self.thinned(difference.detach()), torch.zeros_like(self.memory[: len(difference)]), ENOUGH)[
            0
        ]

    def thinned(self, gathers: Tensor) -> Tensor:
        """Means over `each` receivers and `every` samples."""
        (rows, columns), each, every = self.size, self.plan.each, self.plan.every
        cut = gathers[:, : rows * each, : columns * every]
        return cut.reshape(len(gathers), rows, each, columns, every).mean((2, 4))

    def value(self, u: Tensor, difference: Tensor) -> Tensor:
        """Mean of u times the difference, `(n,)`; its derivative by the difference is the adjoint source."""
        return (u * self.thinned(difference)).mean((-2, -1))

    def derivatives(self, u: Tensor) -> Tensor:
        """u, and its slopes over receivers and time as shares of what is allowed, `(n, 3, rows, columns)`."""
        out = u.new_zeros((len(u), 3, *self.size))
        out[:, 0] = u
        out[:, 1, :-1] = self.steps[0] * u.diff(dim=1)
        out[:, 2, :, :-1] = self.steps[1] * u.diff(dim=2)
        return out

    def forward(self, difference: Tensor) -> Tensor:
        """The distance itself, `(n,)`."""
        return self.value(self.best(difference), difference)

    def _transposed(self, slopes: Tensor) -> Tensor:
        out = slopes[:, 0].clone()
        a, b = self.steps[0] * slopes[:, 1, :-1], self.steps[1] * slopes[:, 2, :, :-1]
        out[:, 1:] += a
        out[:, :-1] -= a
        out[:, :, 1:] += b
        out[:, :, :-1] -= b
        return out

    @torch.no_grad()
    def _sweep(self, r: Tensor, memory: Tensor, sweeps: int) -> tuple[Tensor, Tensor]:
        # max <u, r> with z = (u, slopes of u) in the unit box: u solves (A'A) u = A'(z - y) + r, y gathers A u - z.
        r = r / (r.square().mean((1, 2), keepdim=True).sqrt() + 1e-12)
        z, y = memory.unbind(1)
        u = torch.zeros_like(r)
        for _ in range(sweeps):
            right = self.across @ (self._transposed(z - y) + r) @ self.along.T
            u = self.across.T @ (right * self.weight) @ self.along
            slopes = self.derivatives(u)
            z = (slopes + y).clamp(-1, 1)
            y = y + slopes - z
        return u.clamp(-1, 1), torch.stack([z, y], 1)


@dataclass(frozen=True)
class Duel:
    """Potential and velocity in turns: the adversary improves its u on the new simulation, then the velocity steps.

    No opponent optimiser: the best response is computed, not descended to. Player "defender".
    """

    dt: float
    cutoff: float

    def step(self, game: Game, batch: Batch, state: State) -> StepResult:
        shots, real = batch
        difference = lowpass(game.defender(shots) - real, self.cutoff, self.dt)
        adversary: Potential = game.adversary
        values = adversary.value(adversary.ascend(shots, difference), difference)
        loss = values.mean()
        state.descend(loss, "defender")
        return StepResult(loss.detach(), {"gap": float(loss.detach())})


def cosines(n: int) -> Tensor:
    """The orthonormal cosine basis (DCT-II) of `n` points, one function a row, `(n, n)`."""
    k = torch.arange(n, dtype=torch.float64)
    basis = torch.cos(math.pi * (k + 0.5) * k[:, None] / n) * math.sqrt(2 / n)
    basis[0] /= math.sqrt(2)
    return basis.float()
