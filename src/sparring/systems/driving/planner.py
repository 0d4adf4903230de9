"""A motion planner without a network: proposals along the route, scored on predicted traffic (IDM- and PDM-like).

At each decision it predicts every vehicle by its present speed, acceleration and turning, lets the ego follow each
proposal (an acceleration and a place beside the route), and takes the one with the least cost. Its ten numbers are a
vector, so that it can be tuned by any method that needs no gradient (`tuning.py`). After Treiber et al., "Congested
traffic states", Phys. Rev. E 2000 (the car-following term) and Dauner et al., "Parting with Misconceptions about
Learning-based Vehicle Motion Planning", CoRL 2023 (proposals, simulated and scored); reconstructed, simplified.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparring.systems.driving.policy import REACH
from sparring.systems.driving.scenes import DT
from sparring.systems.driving.simulator import BRAKE, THRUST, Simulator

ACCELERATIONS = (-7.5, -4.0, -2.0, -0.8, 0.0, 1.0, 2.5)
PLACES = (0.0, 1.6, -1.6, 3.5, -3.5)
HORIZON = (0.4, 0.8, 1.2, 1.6, 2.1, 2.7, 3.4)
"""Seconds ahead at which ego and traffic are compared."""
NUMBERS: dict[str, tuple[float, float, float]] = {
    "gap along": (2.5, 0.5, 8.0),
    "gap across": (0.5, 0.1, 2.0),
    "crash": (30.0, 5.0, 120.0),
    "fading": (0.25, 0.0, 1.0),
    "pace": (1.0, 0.3, 4.0),
    "harshness": (0.04, 0.005, 0.3),
    "aside": (0.35, 0.05, 2.0),
    "headway": (1.0, 0.3, 2.5),
    "their turning": (0.7, 0.0, 1.0),
    "their speeding": (0.5, 0.0, 1.0),
}
"""Name to (default, least, most): metres kept along and across; the cost of a predicted crash and its fading per
second; of lost speed, of harsh control, of leaving the route; car-following headway in s; how far the others' present
turning and acceleration are believed to go on."""


class Planner(nn.Module):
    """The planner with its numbers, each scaled to 0..1 within its range: `place` `(numbers,)`."""

    place: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("place", torch.tensor([(d - a) / (b - a) for d, a, b in NUMBERS.values()]))

    def numbers(self) -> dict[str, float]:
        """The present numbers by name, in their own units."""
        return {k: float(a + p * (b - a)) for p, (k, (_, a, b)) in zip(self.place, NUMBERS.items(), strict=True)}

    def act(self, sim: Simulator) -> Tensor:
        n = self.numbers()
        accel, place = _proposals()
        ego = _ego(sim, accel, place)
        cost = _crash_cost(sim, ego, n) + _drive_cost(sim, ego, accel, place, n)
        best = cost.argmin(1)
        chosen = accel[best]
        scaled = torch.where(chosen > 0, chosen / THRUST, chosen / BRAKE)
        return torch.stack([scaled, place[best] / REACH], dim=1)


def _proposals() -> tuple[Tensor, Tensor]:
    """Acceleration and place `(p,)` of every proposal."""
    grid = torch.cartesian_prod(torch.tensor(ACCELERATIONS), torch.tensor(PLACES))
    return grid[:, 0], grid[:, 1]


def _ego(sim: Simulator, accel: Tensor, place: Tensor) -> Tensor:
    """Where the ego would be: `(B, p, h, 4)` x, y, heading, speed. It accelerates up to a little over its pace and
    moves sideways as the tracker does, with a time constant of 0.9 s."""
    t = torch.tensor(HORIZON)
    speed = sim.ego[:, 3, None, None]
    top = torch.maximum(speed, 1.15 * sim.pace[:, None, None])
    a = accel[None, :, None]
    later = torch.minimum((speed + a * t).clamp_min(0), top)
    still = torch.where(a < 0, (speed / -a.clamp_max(-1e-3)), torch.inf)
    span = torch.minimum(t.expand_as(later), still)
    rising = torch.where(a > 0, ((top - speed) / a.clamp_min(1e-3)), torch.inf).minimum(span)
    way = speed * span + 0.5 * a * torch.where(a > 0, rising * (2 * span - rising), span.square())
    aim = torch.minimum(torch.maximum(place[None], 0.3 - sim.right[:, None]), sim.left[:, None] - 0.3)
    share = 1 - (1 + t / 0.45) * torch.exp(-t / 0.45)
    aside = sim.aside[:, None, None] + (aim[:, :, None] - sim.aside[:, None, None]) * share
    at = (sim.along[:, None, None] + way).clamp(0, sim.route.shape[1] - 2)
    index = at.long().flatten(1)
    point = torch.gather(sim.route, 1, index.unsqueeze(2).expand(-1, -1, 4)).reshape(*at.shape, 4)
    rest = at - at.floor()
    heading = point[..., 2]
    x = point[..., 0] + rest * heading.cos() - aside * heading.sin()
    y = point[..., 1] + rest * heading.sin() + aside * heading.cos()
    return torch.stack([x, y, heading, later], dim=-1)


def _crash_cost(sim: Simulator, ego: Tensor, n: dict[str, float]) -> Tensor:
    """`(B, p)`: the largest over vehicles and moments of how deep the gaps are broken, fading with time."""
    t = torch.tensor(HORIZON)
    x, y, heading, speed = (sim.others[..., i, None] for i in range(4))
    moved = sim.t > 0
    gain = (sim.others[..., 3] - sim.before[..., 3])[..., None] / DT * n["their speeding"] if moved else 0 * x
    turn = (sim.others[..., 2] - sim.before[..., 2])[..., None] / DT * n["their turning"] if moved else 0 * x
    gain, turn = gain.clamp(-8, 4), turn.clamp(-0.6, 0.6)
    span = torch.where(gain < 0, torch.minimum(t, speed / -gain.clamp_max(-1e-3)), t.clamp_max(1.5))
    way = (speed * t + gain * (span * t - 0.5 * span.square())).clamp_min(0)
    middle = heading + 0.5 * turn * t.clamp_max(1.2)
    theirs = torch.stack([x + way * middle.cos(), y + way * middle.sin(), middle], dim=-1)  # (B, others, h, 3)
    away = theirs[:, None, :, :, :2] - ego[:, :, None, :, :2]
    face = ego[:, :, None, :, 2]
    dx = away[..., 0] * face.cos() + away[..., 1] * face.sin()
    dy = away[..., 1] * face.cos() - away[..., 0] * face.sin()
    slant = (theirs[:, None, ..., 2] - face).sin().abs()
    lengths, widths = sim.lengths[:, None, :, None], sim.widths[:, None, :, None]
    long = 0.5 * (sim.length[..., None, None] + lengths * (1 - 0.5 * slant)) + n["gap along"]
    wide = 0.5 * (sim.width[..., None, None] + widths + 2.4 * slant) + n["gap across"]
    # What comes from behind along the lane is its own driver's to avoid.
    behind = (dx < -3.5) & (dy.abs() < 1.5) & (slant < 0.3)
    depth = torch.minimum(1 - dx.abs() / long, 1 - dy.abs() / wide).clamp(0, 1)
    depth = torch.where(behind, 0.0, depth) * torch.exp(-n["fading"] * t)
    return n["crash"] * depth.amax((2, 3))


def _drive_cost(sim: Simulator, ego: Tensor, accel: Tensor, place: Tensor, n: dict[str, float]) -> Tensor:
    """`(B, p)`: lost pace, harshness, leaving the route, and following too closely (the IDM's desired gap)."""
    speed = sim.ego[:, 3:4]
    lost = (ego[:, :, 3:5, 3].mean(2) - sim.pace[:, None]).abs() * n["pace"]
    harsh = n["harshness"] * accel[None].square()
    aside = n["aside"] * place[None].abs() + 0.3 * n["aside"] * (place[None] - sim.aside[:, None]).abs()
    gap = sim.dx - 0.5 * (sim.length + sim.lengths)
    lane = (sim.dy.abs() < 1.6) & (gap > 0) & (sim.dh.cos() > 0.7)
    closing = speed - sim.others[..., 3]
    desired = 2.0 + (speed * n["headway"] + speed * closing / 4.5).clamp_min(0)
    idm = torch.where(lane, (desired / gap.clamp_min(0.5)).square().clamp_max(6), 0.0).amax(1, keepdim=True)
    follow = (idm * (accel[None] + 1.0).clamp_min(0)) * (place[None] - sim.aside[:, None]).abs().lt(1.2)
    return lost + harsh + aside + 0.5 * follow
