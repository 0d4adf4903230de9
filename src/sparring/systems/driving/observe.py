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
PROPOSALS = ((-7.5, 0.0), (-3.0, 0.0), (0.0, 0.0), (2.0, 0.0), (0.0, 1.7), (0.0, -1.7), (-3.0, 3.5), (-3.0, -3.5))
"""Manoeuvres whose consequences the policy is told: acceleration m/s², metres beside the route."""
LOOK = (0.5, 1.0, 1.6, 2.4)
"""Seconds ahead at which their predicted ways are compared with everybody's."""
WIDTH = OWN + OTHERS * EACH + len(PROPOSALS)
AHEAD = (6, 12, 20, 30)
"""Steps ahead at which the critic is told of the attacker."""
COMING = 1 + 3 * len(AHEAD)
SIGHT = 60.0
"""Metres beyond which nothing is seen."""
PREVIEW = (6, 14, 26)
"""Metres ahead at which the route's curvature is read."""


def observe(sim: Simulator) -> Tensor:
    """The observation `(B, WIDTH)` of the present moment, roughly within -3 to 3."""
    return torch.cat([_own(sim), _others(sim).flatten(1), _consequences(sim)], dim=1)


def coming(sim: Simulator) -> Tensor:
    """What only the critic may know in training: where the attacker will be, `(B, COMING)`."""
    speed = sim.ego[:, 3]
    found = [sim.steered.to(speed.dtype)]
    cos, sin = sim.ego[:, 2].cos(), sim.ego[:, 2].sin()
    for steps in AHEAD:
        then = sim.ahead(steps)
        x, y = then[:, 0] - sim.ego[:, 0], then[:, 1] - sim.ego[:, 1]
        along, aside = x * cos + y * sin - speed * steps * DT, y * cos - x * sin
        found += [(along / 10).tanh() * 2, (aside / 5).tanh() * 2, (-(along.square() + aside.square()) / 30).exp()]
    return torch.stack(found, dim=1)


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


def _consequences(sim: Simulator) -> Tensor:
    """How deep each proposal would break into somebody's space, 0 to 1 `(B, proposals)`, if all others went on with
    their present acceleration and turning: what a driver asks himself before he brakes or evades."""
    t = torch.tensor(LOOK)
    accel, place = torch.tensor(PROPOSALS).unbind(1)
    speed = sim.ego[:, 3, None, None]
    span = torch.minimum(t, torch.where(accel < 0, speed.squeeze(2) / -accel.clamp_max(-1e-3), torch.inf).unsqueeze(2))
    way = speed * span + 0.5 * accel[:, None] * span.square()  # (B, p, h)
    aim = torch.minimum(torch.maximum(place, 0.3 - sim.right[:, None]), sim.left[:, None] - 0.3)
    share = 1 - (1 + t / 0.45) * torch.exp(-t / 0.45)
    move = (aim - sim.aside[:, None]).unsqueeze(2) * share
    # In the ego's frame, along the route's bend.
    bend = sim.point[:, 3, None, None]
    turned = sim.point[:, 2, None, None] - sim.ego[:, 2, None, None] + 0.5 * bend * way
    x, y = way * turned.cos() - move * turned.sin(), way * turned.sin() + move * turned.cos()
    face = turned + 0.5 * bend * way
    theirs = sim.others[..., 3, None]
    on = sim.t > 0
    gain = (theirs - sim.before[..., 3, None]) / DT * 0.7 if on else torch.zeros_like(theirs)
    turn = wrap(sim.others[..., 2, None] - sim.before[..., 2, None]) / DT * 0.7 if on else torch.zeros_like(theirs)
    gain, turn = gain.clamp(-8, 4), turn.clamp(-0.6, 0.6)
    goes = torch.where(gain < 0, torch.minimum(t, theirs / -gain.clamp_max(-1e-3)), t.clamp_max(1.5))
    far = (theirs * t + gain * (goes * t - 0.5 * goes.square())).clamp_min(0)
    middle = sim.dh[..., None] + 0.5 * turn * t.clamp_max(1.2)
    their_x, their_y = sim.dx[..., None] + far * middle.cos(), sim.dy[..., None] + far * middle.sin()  # (B, n, h)
    slant = (middle - face.mean(1, keepdim=True)).sin().abs()
    long = 0.5 * (sim.length[..., None] + sim.lengths[..., None] * (1 - 0.5 * slant)) + 2.0
    wide = 0.5 * (sim.width[..., None] + sim.widths[..., None] + 2.4 * slant) + 0.4
    dx, dy = their_x[:, None] - x[:, :, None], their_y[:, None] - y[:, :, None]  # (B, p, n, h)
    cos, sin = face.cos()[:, :, None], face.sin()[:, :, None]
    along, aside = (dx * cos + dy * sin).abs(), (dy * cos - dx * sin).abs()
    depth = torch.minimum(1 - along / long[:, None], 1 - aside / wide[:, None]).clamp_min(0)
    return (depth * (1 - 0.2 * t)).amax((2, 3))
