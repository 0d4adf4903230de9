"""Seeded procedural scenes: seven families, drawn whole batches at a time.

A draft says where everyone's path lies and how each one drives along it; `build.py` turns drafts into scenes. The
shape of a family (curve, angle, gap) comes from a number in [0, 1) whose cell of width 1/30 decides the split, so that
training, selection and test share no shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sparring.systems.driving.geometry import SPACING, from_curvature
from sparring.systems.driving.scenes import DT, POINTS, STEPS

LANE = 3.5
BEHIND = 40.0
"""Metres of route behind the ego's start."""
SPLITS = ("training", "selection", "test")
TIMES = torch.arange(STEPS + 1) * DT


@dataclass(frozen=True)
class Track:
    """Vehicles on paths: `path` `(n, points, 4)`, first place `along` `(n,)`, `speed` and `aside` `(n, STEPS + 1)`;
    `there` `(n,)` False where the scene has no such vehicle."""

    path: Tensor
    along: Tensor
    speed: Tensor
    aside: Tensor
    there: Tensor


@dataclass(frozen=True)
class Draft:
    """Scenes before anyone drove: the ego's `route`, `pace`, road limits, the attacker with the room beside its path
    (`(n, 2)` left and right) and the side `(n,)` on which the ego is, and the others."""

    route: Tensor
    pace: Tensor
    left: Tensor
    right: Tensor
    attacker: Track
    room: Tensor
    towards: Tensor
    others: tuple[Track, ...] = field(default=())


class Draw:
    """Random numbers of one batch of drafts."""

    def __init__(self, n: int, split: str, generator: torch.Generator) -> None:
        self.n, self.split, self.generator = n, SPLITS.index(split), generator

    def uniform(self, low: float, high: float) -> Tensor:
        """`(n,)` even between low and high."""
        return low + (high - low) * torch.rand(self.n, generator=self.generator)

    def whole(self, count: int) -> Tensor:
        """`(n,)` of 0 ... count - 1."""
        return torch.randint(count, (self.n,), generator=self.generator)

    def chance(self, p: float) -> Tensor:
        """`(n,)` True with probability p."""
        return torch.rand(self.n, generator=self.generator) < p

    def sign(self) -> Tensor:
        """`(n,)` of -1 and 1."""
        return torch.where(self.chance(0.5), 1.0, -1.0)

    def shape(self, low: float, high: float) -> Tensor:
        """`(n,)` in the cells between low and high that belong to this split, ten of thirty."""
        cell = torch.randint(10, (self.n,), generator=self.generator) * 3 + self.split
        return low + (high - low) * (cell + torch.rand(self.n, generator=self.generator)) / 30


def held(values: Tensor) -> Tensor:
    """The same value at all moments `(n, STEPS + 1)`."""
    return values.unsqueeze(1).expand(-1, STEPS + 1)


def shifted(start: Tensor, span: Tensor, amount: Tensor) -> Tensor:
    """A smooth step of `amount` metres `(n, STEPS + 1)` that begins at `start` seconds and takes `span`."""
    share = ((TIMES - start.unsqueeze(1)) / span.unsqueeze(1)).clamp(0, 1)
    return amount.unsqueeze(1) * share.square() * (3 - 2 * share)


def curved(n: int, curvature: Tensor) -> Tensor:
    """A route that bends at this constant curvature `(n,)`, the ego's start at the origin, heading along x."""
    return _placed(curvature.unsqueeze(1).expand(-1, POINTS), BEHIND)


def _placed(curvature: Tensor, at: float) -> Tensor:
    """The path of this curvature `(n, points)`, moved so that its point `at` metres along is the origin, heading 0."""
    path = from_curvature(torch.zeros(len(curvature), 3), curvature)
    return _moved(path, path[:, round(at / SPACING)])


def _moved(path: Tensor, origin: Tensor) -> Tensor:
    """The path seen from poses `(n, 3 or more)`."""
    cos, sin = origin[:, 2:3].cos(), origin[:, 2:3].sin()
    dx, dy = path[..., 0] - origin[:, :1], path[..., 1] - origin[:, 1:2]
    return torch.stack([dx * cos + dy * sin, dy * cos - dx * sin, path[..., 2] - origin[:, 2:3], path[..., 3]], dim=-1)


def _straight(start: Tensor, bend: Tensor | None = None) -> Tensor:
    zero = torch.zeros(len(start), POINTS) if bend is None else bend.unsqueeze(1).expand(-1, POINTS)
    return from_curvature(start, zero)


# --- three-lane roads -------------------------------------------------------------------------------------------------


def _road(d: Draw, ahead: tuple[float, float], same_lane: bool, faster: tuple[float, float]) -> Draft:
    lane, pace = d.whole(3), d.uniform(8, 13.5)
    bend = d.shape(-1 / 140, 1 / 140)
    route = curved(d.n, bend)
    side = torch.where(lane == 0, 1.0, torch.where(lane == 2, -1.0, d.sign()))
    offset = torch.zeros(d.n) if same_lane else side * LANE
    speed = pace * d.uniform(*faster)
    gap = d.uniform(*ahead)
    theirs = lane + torch.round(offset / LANE).long()
    wave = 0.6 * torch.sin(TIMES * d.uniform(0.3, 0.8).unsqueeze(1) + d.uniform(0, 6).unsqueeze(1))
    attacker = Track(route, BEHIND + gap, held(speed) + wave, held(offset), torch.ones(d.n, dtype=torch.bool))
    room = torch.stack([(2 - theirs) * LANE + 0.7 + offset, theirs * LANE + 0.7 - offset], dim=1)
    towards = torch.where(offset == 0, d.sign(), -offset.sign())
    others: list[Track] = []
    for start in ((-30.0, -16.0), (14.0, 30.0), (-16.0, 12.0), (32.0, 60.0)):
        there = d.whole(3) if start[0] < 30 else lane
        there = torch.where((there == lane) & (abs(start[0] + start[1]) < 10), (lane + 1) % 3, there)
        there = torch.where(there == theirs, (theirs + 1 + d.whole(2)) % 3, there)
        clear = (there != lane) | (start[0] >= 30) | (start[1] <= -16)
        shift = (there - lane) * LANE
        flow = held(pace * d.uniform(0.88, 1.08))
        others.append(Track(route, BEHIND + d.uniform(*start), flow, held(shift), d.chance(0.75) & clear))
    left, right = (2 - lane) * LANE + 0.75, lane * LANE + 0.75
    return Draft(route, pace, left, right, attacker, room, towards, tuple(others))


def car_following(d: Draw) -> Draft:
    """The attacker ahead in the ego's lane on a three-lane road."""
    return _road(d, (14, 34), True, (0.8, 1.05))


def brake_check(d: Draw) -> Draft:
    """The attacker close ahead in the ego's lane, at its speed; in half of the scenes it has just moved in."""
    draft = _road(d, (10, 18), True, (0.97, 1.08))
    came = shifted(d.uniform(0.0, 1.0), d.uniform(2.0, 3.0), -draft.towards * LANE) + held(draft.towards * LANE)
    inside = (draft.towards * LANE < draft.left) & (-draft.towards * LANE < draft.right)
    aside = torch.where((d.chance(0.5) & inside).unsqueeze(1), came, draft.attacker.aside)
    a = draft.attacker
    return Draft(
        draft.route, draft.pace, draft.left, draft.right, Track(a.path, a.along, a.speed, aside, a.there),
        draft.room, draft.towards, draft.others,
    )  # fmt: skip


def cut_in(d: Draw) -> Draft:
    """The attacker in the next lane, somewhere between behind and ahead."""
    return _road(d, (-7, 16), False, (0.92, 1.15))


# --- junctions --------------------------------------------------------------------------------------------------------


def _met(d: Draw, route: Tensor, pace: Tensor, meet: Tensor, angle: Tensor, aside: float = 0.0) -> tuple[Track, Tensor]:
    """An attacker on a straight path that crosses the route `meet` metres ahead of the ego at `angle`, some seconds
    before or after it; and on which side `(n,)` of it the ego waits."""
    speed = d.uniform(6, 11)
    early = torch.where(d.chance(0.5), d.uniform(-3.6, -2.0), d.uniform(2.2, 4.0))
    arrival = (meet / pace + early).clamp_min(0.6)
    at = (BEHIND + meet).round().long()
    point = route[torch.arange(d.n), at]
    heading = point[:, 2] + angle
    way = arrival * speed + BEHIND
    x, y = point[:, 0] - way * heading.cos(), point[:, 1] - way * heading.sin()
    path = _straight(torch.stack([x - aside * heading.sin(), y + aside * heading.cos(), heading], dim=1))
    there = torch.ones(d.n, dtype=torch.bool)
    track = Track(path, torch.full((d.n,), BEHIND), held(speed), held(torch.zeros(d.n)), there)
    origin = path[torch.arange(d.n), round(BEHIND)]
    # The ego sits at the origin: on which side of the attacker's path?
    left = origin[:, 1] * heading.cos() * -1 + origin[:, 0] * heading.sin()
    return track, torch.where(left > 0, 1.0, -1.0)


def _junction(d: Draw, route: Tensor, pace: Tensor, attacker: Track, towards: Tensor, half: float = 1.6) -> Draft:
    width = torch.full((d.n,), half)
    room = torch.full((d.n, 2), 1.8)
    flow = held(pace * d.uniform(0.95, 1.03))
    zero = held(torch.zeros(d.n))
    behind = Track(route, BEHIND - d.uniform(13, 24), flow, zero, d.chance(0.6))
    before = Track(route, BEHIND + d.uniform(26, 45), held(pace * d.uniform(1.0, 1.15)), zero, d.chance(0.4))
    next_one = Track(attacker.path, attacker.along - d.uniform(14, 30), attacker.speed, attacker.aside, d.chance(0.6))
    first = Track(attacker.path, attacker.along + d.uniform(14, 30), attacker.speed, attacker.aside, d.chance(0.4))
    return Draft(route, pace, width, width, attacker, room, towards, (behind, before, next_one, first))


def crossing(d: Draw) -> Draft:
    """The attacker crosses the ego's way from the left or the right."""
    pace = d.uniform(7, 12)
    route = curved(d.n, d.uniform(-1 / 300, 1 / 300))
    angle = d.shape(math.radians(60), math.radians(120)) * d.sign()
    attacker, towards = _met(d, route, pace, d.uniform(28, 52), angle)
    return _junction(d, route, pace, attacker, towards)


def unprotected_left(d: Draw) -> Draft:
    """The ego turns left across the attacker, which comes straight on."""
    pace, radius = d.uniform(5.5, 8), d.shape(8, 15)
    before = d.uniform(12, 26)
    along = torch.arange(POINTS) * SPACING - BEHIND
    turning = (along > before.unsqueeze(1)) & (along < (before + radius * math.pi / 2).unsqueeze(1))
    route = _placed(torch.where(turning, 1 / radius.unsqueeze(1), 0.0), BEHIND)
    # The oncoming lane lies 3.5 to 6 m to the left of the ego's first lane: find where the arc crosses it.
    lane = d.uniform(3.5, 6.0)
    meet = before + radius * torch.acos((1 - lane / radius).clamp(-1, 1))
    heading = route[torch.arange(d.n), (BEHIND + meet).round().long(), 2]
    attacker, towards = _met(d, route, pace, meet, math.pi - heading)
    return _junction(d, route, pace, attacker, towards)


def merge(d: Draw) -> Draft:
    """The ego joins a lane on which the attacker drives."""
    pace = d.uniform(9, 13)
    before, length, angle = d.uniform(18, 30), d.uniform(18, 28), d.shape(0.12, 0.3)
    along = torch.arange(POINTS) * SPACING - BEHIND
    bending = (along > before.unsqueeze(1)) & (along < (before + length).unsqueeze(1))
    route = _placed(torch.where(bending, -(angle / length).unsqueeze(1), 0.0), BEHIND)
    rows = torch.arange(d.n)
    joined = route[rows, (BEHIND + before + length).round().long() + 1]
    speed = pace * d.uniform(0.9, 1.12)
    gap = torch.where(d.chance(0.5), d.uniform(10, 22), -d.uniform(11, 22))
    way = (before + length) / pace * speed - gap + BEHIND
    start = torch.stack([joined[:, 0] - way * joined[:, 2].cos(), joined[:, 1] - way * joined[:, 2].sin(),
                         joined[:, 2]], dim=1)  # fmt: skip
    there = torch.ones(d.n, dtype=torch.bool)
    path = _straight(start)
    attacker = Track(path, torch.full((d.n,), BEHIND), held(speed), held(torch.zeros(d.n)), there)
    draft = _junction(d, route, pace, attacker, -torch.ones(d.n))
    room = torch.stack([torch.full((d.n,), LANE + 0.7), torch.full((d.n,), 0.9)], dim=1)
    return Draft(route, pace, draft.left + 0.6, draft.right, attacker, room, draft.towards, draft.others)


def roundabout(d: Draw) -> Draft:
    """The ego enters a roundabout on which the attacker circulates. In test sets alone."""
    pace, radius = d.uniform(5.5, 7.5), d.shape(13, 22)
    before, entry, inside = d.uniform(12, 22), torch.full((d.n,), 7.0), d.uniform(18, 40)
    along = torch.arange(POINTS) * SPACING - BEHIND

    def between(low: Tensor, high: Tensor) -> Tensor:
        return (along >= low.unsqueeze(1)) & (along < high.unsqueeze(1))

    on, off = before + entry, before + entry + inside
    curve = torch.where(between(on, off), 1 / radius.unsqueeze(1), 0.0)
    curve = torch.where(between(before, on) | between(off, off + 7), -0.11, curve)
    route = _placed(curve, BEHIND)
    joined = route[torch.arange(d.n), (BEHIND + on).ceil().long()]
    speed = d.uniform(5.5, 8.5)
    early = torch.where(d.chance(0.5), d.uniform(-3.2, -1.8), d.uniform(2.2, 3.6))
    back = ((on / pace + early).clamp_min(0.4) * speed + BEHIND) / radius
    centre = joined[:, :2] + radius.unsqueeze(1) * torch.stack([-joined[:, 2].sin(), joined[:, 2].cos()], dim=1)
    heading = joined[:, 2] - back
    start = centre + radius.unsqueeze(1) * torch.stack([heading.sin(), -heading.cos()], dim=1)
    path = _straight(torch.cat([start, heading.unsqueeze(1)], dim=1), 1 / radius)
    there = torch.ones(d.n, dtype=torch.bool)
    attacker = Track(path, torch.full((d.n,), BEHIND), held(speed), held(torch.zeros(d.n)), there)
    return _junction(d, route, pace, attacker, -torch.ones(d.n), half=2.0)


BUILDERS: dict[str, Callable[[Draw], Draft]] = {
    "car following": car_following,
    "cut-in": cut_in,
    "brake check": brake_check,
    "unprotected left": unprotected_left,
    "crossing": crossing,
    "merge": merge,
    "roundabout": roundabout,
}
