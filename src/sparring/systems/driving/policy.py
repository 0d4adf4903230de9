"""The driving policy: actor and critic over one first layer, and the low-level control below them.

An action is (acceleration, place beside the route), both in -1 to 1. A path tracker turns it into acceleration and
curvature; the bicycle and its friction limit decide what becomes of that.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from sparring.systems.driving.observe import COMING, WIDTH, observe
from sparring.systems.driving.simulator import BRAKE, THRUST, Simulator

ACTIONS = 2
FREQUENCY, DAMPING = 1.7, 0.9
"""Of the path tracker's second-order response to a new place beside the route: rad/s, share of critical."""
REACH = 3.8
"""Metres beside the route that an action of 1 asks for (less where the road ends)."""


class Driver(Protocol):
    """Whatever drives: a policy network or a planner."""

    def act(self, sim: Simulator) -> Tensor:
        """The action `(B, 2)` at this moment, without exploration."""
        ...


def control(sim: Simulator, action: Tensor) -> tuple[Tensor, Tensor]:
    """Acceleration and curvature `(B,)` for an action `(B, 2)`: the route's curvature, and a critically damped
    approach to the place that was asked for."""
    action = action.clamp(-1, 1)
    accel = torch.where(action[:, 0] > 0, THRUST * action[:, 0], BRAKE * action[:, 0])
    place = torch.minimum(torch.maximum(action[:, 1] * REACH, 0.3 - sim.right), sim.left - 0.3)
    speed = sim.ego[:, 3].clamp_min(2.0)
    off = sim.ego[:, 2] - sim.point[:, 2]
    pull = FREQUENCY**2 * (sim.aside - place) + 2 * DAMPING * FREQUENCY * speed * off.sin()
    return accel, sim.point[:, 3] - pull / speed.square()


def residual(sim: Simulator, action: Tensor) -> Tensor:
    """The action `(B, 2)` that a network's output means: its acceleration is added to the car-following one.

    What it is added to is the intelligent driver model (Treiber et al. 2000) behind whoever drives ahead in the lane,
    so that an untrained policy drives like a calm, short-sighted driver.
    """
    speed = sim.ego[:, 3:4]
    gap = sim.dx - 0.5 * (sim.length + sim.lengths)
    ahead = (sim.dy.abs() < 1.7) & (gap > 0) & (sim.dh.cos() > 0.6)
    wish = 2.0 + (speed + speed * (speed - sim.others[..., 3]) / 3.5).clamp_min(0)
    close = torch.where(ahead, (wish / gap.clamp_min(0.5)).square(), 0.0).amax(1)
    free = 1 - (speed.squeeze(1) / sim.pace).pow(4)
    follow = (1.5 * (free - close)).clamp(-4.0, 1.5)
    own = action[:, 0].clamp(-1, 1)
    accel = follow + torch.where(own > 0, THRUST, BRAKE) * own
    return torch.stack([accel / torch.where(accel > 0, THRUST, BRAKE), action[:, 1]], dim=1)


class Policy(nn.Module):
    """A Gaussian actor and its critic `(B, WIDTH + COMING) -> mean (B, 2), value (B,)`; zero mean and value at first.

    In training the critic is told what is coming (asymmetric actor-critic: Pinto et al., RSS 2018), so that the luck of
    the draw does not blur what an action was worth. The actor never sees it, and nobody asks the critic on the road.
    """

    def __init__(self, width: int = 128, half: int = 64, *, generator: torch.Generator) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(WIDTH, width), nn.ReLU())
        self.actor = nn.Sequential(nn.Linear(width, half), nn.ReLU(), nn.Linear(half, ACTIONS))
        self.critic = nn.Sequential(nn.Linear(width + COMING, half), nn.ReLU(), nn.Linear(half, 1))
        self.log_std = nn.Parameter(torch.tensor([-1.2, -1.2]))
        initialise(self, generator)
        nn.init.zeros_(self.actor.get_parameter("2.weight"))
        nn.init.zeros_(self.critic.get_parameter("2.weight"))

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.trunk(seen[:, :WIDTH])
        return self.actor(hidden), self.critic(torch.cat([hidden, seen[:, WIDTH:]], dim=1)).squeeze(1)

    def act(self, sim: Simulator) -> Tensor:
        return residual(sim, self.actor(self.trunk(observe(sim))))


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Weights from the generator: uniform with variance 1/inputs, biases zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            bound = math.sqrt(3 / layer.in_features)
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)


def log_prob(mean: Tensor, log_std: Tensor, action: Tensor) -> Tensor:
    """Log density `(B,)` of actions `(B, 2)` under the Gaussian."""
    z = (action - mean) / log_std.exp()
    return -0.5 * z.square().sum(1) - log_std.sum() - 0.5 * math.log(2 * math.pi) * action.shape[1]
