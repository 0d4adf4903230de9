"""What a driving policy sees: its own state on the route, and every other vehicle from where it sits.

The vehicles come in the order in which they press, without a mark: nothing tells which of them an adversary steers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.systems.driving.geometry import wrap
from sparring.systems.driving.scenes import DT, OTHERS, STEPS
from sparring.systems.driving.simulator import Simulator

OWN, EACH = 13, 12
"""Numbers about the ego, and about each of the other vehicles."""
WIDTH = OWN + OTHERS * EACH
SIGHT = 60.0
"""Metres beyond which nothing is seen."""
PREVIEW = (6, 14, 26)
"""Metres ahead at which the route's curvature is read."""


def observe(sim: Simulator) -> Tensor:
    """The observation `(B, WIDTH)` of the present moment, roughly within -3 to 3."""
    return torch.cat([_own(sim), _others(sim).flatten(1)], dim=1)


def _own(sim: Simulator) -> Tensor:
    speed = sim.ego[:, 3]
    points = (sim.near.unsqueeze(1) + torch.tensor(PREVIEW)).clamp_max(sim.route.shape[1] - 1)
    ahead = (sim.route[..., 3].gather(1, points) * 15).unbind(1)
    late = sim.way / sim.nominal - sim.t / STEPS
    return torch.stack(
        [
            speed / 12,
            (speed - sim.pace) / 5,
            sim.aside / 3,
            torch.sin(sim.ego[:, 2] - sim.point[:, 2]) * 3,
            *ahead,
            (sim.left - sim.aside).clamp_max(6) / 4,
            (sim.right + sim.aside).clamp_max(6) / 4,
            torch.full_like(speed, sim.t / STEPS),
            sim.accel / 6,
            sim.turn * speed / 5,
            late * 4,
        ],
        dim=1,
    )


def _others(sim: Simulator) -> Tensor:
    own = sim.ego[:, 3:4]
    cos, sin = sim.dh.cos(), sim.dh.sin()
    speed = sim.others[..., 3]
    vx, vy = speed * cos - own, speed * sin
    seen = (sim.dx.square() + sim.dy.square() < SIGHT**2).to(own.dtype)
    square = vx.square() + vy.square()
    soonest = (-(sim.dx * vx + sim.dy * vy) / square.clamp_min(0.1)).clamp(0, 6)
    nearest = ((sim.dx + soonest * vx).square() + (sim.dy + soonest * vy).square()).sqrt()
    gain = (speed - sim.before[..., 3]) / DT if sim.t else torch.zeros_like(speed)
    turn = wrap(sim.others[..., 2] - sim.before[..., 2]) / DT if sim.t else torch.zeros_like(speed)
    features = torch.stack(
        [
            sim.dx / 20,
            sim.dy / 8,
            vx / 8,
            vy / 5,
            cos,
            sin,
            gain.clamp(-9, 9) / 4,
            turn.clamp(-1, 1) * 2,
            soonest / 3,
            nearest.clamp_max(20) / 6,
            (-0.4 * (nearest - 2) - 0.5 * soonest).clamp(-4, 1).exp(),
            seen,
        ],
        dim=2,
    )
    # The most pressing first: whoever comes close soon, then whoever is near.
    order = (nearest + 2 * soonest + 0.1 * (sim.dx.abs() + sim.dy.abs())).argsort(1)
    shown = (features.clamp(-4, 4) * seen.unsqueeze(2)).gather(1, order.unsqueeze(2).expand(-1, -1, EACH))
    return shown
