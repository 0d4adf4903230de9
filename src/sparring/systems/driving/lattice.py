"""The attacker's candidates: a lattice of manoeuvres with an analytic density of how natural each one is.

A candidate changes what the logged vehicle did: brake or speed up from some moment on, and move to another place
beside its path, perhaps back again. Candidate 0 is the log.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.systems.driving.families import TIMES, Track, shifted
from sparring.systems.driving.geometry import beside, boxes_overlap
from sparring.systems.driving.scenes import DT, FAR, STEPS

ACCELERATIONS = (0.0, -7.0, -4.5, -2.5, -1.2, 1.2, 2.2, 3.0)
SIDES = ("none", "towards", "away", "there and back")
CANDIDATES = len(ACCELERATIONS) * len(SIDES)


@dataclass(frozen=True)
class Naturalness:
    """The density's scales: a candidate costs ½ (added acceleration / `along`)² + ½ (added lateral acceleration /
    `across`)², means over the time in which it acts, plus `lane` for leaving its place and `change` for anything but
    the log (nats)."""

    along: float = 2.2
    across: float = 1.6
    lane: float = 0.8
    change: float = 1.0


@dataclass(frozen=True)
class Moves:
    """Candidates: `path` `(n, K, STEPS + 1, 4)`, `log_prior` `(n, K)`."""

    path: Tensor
    log_prior: Tensor


def drive(track: Track) -> Tensor:
    """The poses `(n, STEPS + 1, 4)` of vehicles on their paths; absent ones stand far away."""
    along = track.along.unsqueeze(1) + _integral(track.speed)
    pose = beside(track.path, along, track.aside)
    drift = torch.cat([track.aside[:, 1:] - track.aside[:, :-1], torch.zeros(len(pose), 1)], dim=1) / DT
    heading = pose[..., 2] + torch.atan2(drift, track.speed.clamp_min(1.0))
    speed = (track.speed.square() + drift.square()).sqrt()
    poses = torch.stack([pose[..., 0], pose[..., 1], heading, speed], dim=2)
    absent = torch.tensor([FAR, FAR, 0.0, 0.0])
    return torch.where(track.there[:, None, None], poses, absent)


def lattice(track: Track, room: Tensor, towards: Tensor, scale: Naturalness, generator: torch.Generator) -> Moves:
    """All candidates of the attackers on `track`: `room` `(n, 2)` metres to its left and right in which it may move,
    `towards` `(n,)` ±1 the side of the ego."""
    n = len(track.along)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand((n * CANDIDATES,), generator=generator)

    accel = torch.tensor(ACCELERATIONS).repeat_interleave(len(SIDES)).repeat(n)
    side = torch.tensor([0.0, 1.0, -1.0, 1.0]).repeat(len(ACCELERATIONS)).repeat(n)
    back = torch.tensor([0.0, 0.0, 0.0, 1.0]).repeat(len(ACCELERATIONS)).repeat(n)
    many = track.speed.repeat_interleave(CANDIDATES, 0)
    accel = accel * uniform(0.75, 1.2)
    change = accel.unsqueeze(1) * (TIMES - uniform(0, 4.0).unsqueeze(1)).clamp_min(0)
    most = torch.where(accel < 0, uniform(0.4, 1.3) * many[:, 0], uniform(2.0, 5.0)).unsqueeze(1)
    speed = (many + torch.minimum(torch.maximum(change, -most), most)).clamp(0, 20)
    wide = room.repeat_interleave(CANDIDATES, 0)
    aim = side * towards.repeat_interleave(CANDIDATES) * 3.5 * uniform(0.7, 1.05)
    begin, span = uniform(0.1, 4.0), uniform(1.6, 3.5)
    move = shifted(begin, span, aim) - shifted(begin + span + uniform(0, 1), uniform(1.6, 3.0), aim * back)
    log_aside = track.aside.repeat_interleave(CANDIDATES, 0)
    aside = torch.minimum(torch.maximum(log_aside + move, -wide[:, 1:]), wide[:, :1])
    # A vehicle that stands does not move sideways: what it has left of its speed limits how far it gets.
    aside = _with_speed(log_aside, aside, speed)
    path = Track(track.path.repeat_interleave(CANDIDATES, 0), track.along.repeat_interleave(CANDIDATES), speed, aside,
                 track.there.repeat_interleave(CANDIDATES))  # fmt: skip
    poses = drive(path).reshape(n, CANDIDATES, STEPS + 1, 4)
    cost = _cost(speed - many, aside - log_aside, scale).reshape(n, CANDIDATES)
    cost[:, 0] = 0.0
    poses[:, 0] = drive(track)
    return Moves(poses, F.log_softmax(-cost, dim=1))


def feasible(moves: Tensor, others: Tensor, sizes: Tensor) -> Tensor:
    """Which candidates `(n, K)` touch no third vehicle as logged `(n, m, STEPS + 1, 4)`; `sizes` `(n, 1 + m, 2)`.

    The log itself always counts as feasible.
    """
    hit = boxes_overlap(
        moves[:, :, None, ::2], others[:, None, :, ::2], sizes[:, None, :1, None], sizes[:, None, 1:, None]
    )
    good = ~hit.flatten(2).any(2)
    good[:, 0] = True
    return good


def _integral(speed: Tensor) -> Tensor:
    step = 0.5 * (speed[:, 1:] + speed[:, :-1]) * DT
    return torch.cat([torch.zeros(len(speed), 1), step.cumsum(1)], dim=1)


def _with_speed(base: Tensor, aside: Tensor, speed: Tensor) -> Tensor:
    """Lateral steps of at most a third of the way driven in them."""
    wanted = aside - base
    step = wanted[:, 1:] - wanted[:, :-1]
    most = 0.33 * DT * speed[:, 1:]
    step = torch.minimum(torch.maximum(step, -most), most)
    moved = torch.cat([wanted[:, :1], wanted[:, :1] + step.cumsum(1)], dim=1)
    return base + moved


def _cost(faster: Tensor, beside: Tensor, scale: Naturalness) -> Tensor:
    """Nats `(n,)` by which a change of speed `(n, t)` and place `(n, t)` is less natural than none."""
    accel = (faster[:, 1:] - faster[:, :-1]) / DT
    lateral = (beside[:, 2:] - 2 * beside[:, 1:-1] + beside[:, :-2]) / DT**2
    cost = 0.5 * _mean_square(accel) / scale.along**2 + 0.5 * _mean_square(lateral) / scale.across**2
    left = beside.abs().amax(1) > 0.5
    changed = (faster.abs().amax(1) > 0.5) | left
    return cost + scale.lane * left + scale.change * changed


def _mean_square(values: Tensor) -> Tensor:
    acting = values.abs() > 0.05
    return (values.square() * acting).sum(1) / acting.sum(1).clamp_min(1)
