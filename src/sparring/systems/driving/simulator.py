"""The simulator: many scenes at once as tensor arithmetic, no rendering.

The ego is a kinematic bicycle with a friction limit; it collides with exact oriented boxes. The attacker follows the
path it was given (or drives step by step); all other traffic follows its log, but brakes for what stands before it,
because replayed cars that drive into whoever slows down would be crashes of the replay and not of the driving.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from sparring.systems.driving.geometry import overlap, project
from sparring.systems.driving.scenes import DT, STEPS, Scenes

NONE, ATTACKER, THIRD, REAR, ROAD = range(5)
"""How an episode ended for the ego: not early; a crash with the attacker; one with other traffic; hit from behind by
other traffic; off the road."""
ENDINGS = ("none", "attacker", "third party", "rear-ended", "off the road")

FRICTION = 7.5
"""The most that tyres give in any direction, m/s²."""
BRAKE, THRUST = 7.5, 3.0
"""The ego's largest deceleration and acceleration, m/s²."""
CURVATURE = 0.2
"""The tightest turn, 1/m."""
AXLE = 1.4
"""From the centre to the rear axle, m."""
CRASH = 10.0
"""What a crash, or leaving the road, costs."""
PROGRESS = 20.0
"""What the nominal driver's way is worth; up to a tenth more can be earned."""


Dynamics = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Pose `(B, 4)`, acceleration and curvature `(B,)` to the pose after `DT`: `bicycle`, or a foreign vehicle."""


class StepwiseAttack(Protocol):
    """An attacker that looks and steers at every step."""

    def controls(self, sim: Simulator) -> tuple[Tensor, Tensor]:
        """Acceleration (m/s²) and curvature (1/m) `(B,)` of vehicle 0 of `sim.others`."""
        ...


def bicycle(pose: Tensor, accel: Tensor, curvature: Tensor) -> Tensor:
    """The kinematic bicycle's pose `(..., 4)` after `DT`, within the friction limit.

    Curvature is that of the centre's path: κ = sin(β) / l_r with the slip angle β (Rajamani, "Vehicle Dynamics and
    Control", section 2.2). Braking comes first: what it leaves of the friction circle limits v²κ.
    """
    x, y, heading, speed = pose.unbind(-1)
    accel = accel.clamp(-BRAKE, THRUST)
    lateral = (FRICTION**2 - accel.square()).clamp_min(0.5).sqrt()
    limit = (lateral / speed.square().clamp_min(0.25)).clamp_max(CURVATURE)
    curvature = torch.minimum(torch.maximum(curvature, -limit), limit)
    after = (speed + accel * DT).clamp_min(0.0)
    mean = 0.5 * (speed + after)
    course = heading + torch.asin(AXLE * curvature) + 0.5 * mean * curvature * DT
    way = mean * DT
    return torch.stack([x + way * course.cos(), y + way * course.sin(), heading + way * curvature, after], dim=-1)


class Simulator:
    """B episodes side by side: row b plays scene `rows[b]`, in which vehicle 0 follows `path[b]` or is steered.

    `path` is `(B, STEPS + 1, 4)`, by default the log; where `steered` `(B,)` is True the `attack` drives instead. The
    ego's body moves by `dynamics`.
    After an episode has ended its row stands still in the figures (`ended` is set, rewards are 0).
    """

    def __init__(
        self,
        scenes: Scenes,
        rows: Tensor,
        path: Tensor | None = None,
        attack: StepwiseAttack | None = None,
        steered: Tensor | None = None,
        dynamics: Dynamics = bicycle,
    ) -> None:
        self.rows, self.batch = rows, len(rows)
        self.route, self.pace, self.nominal = scenes.route[rows], scenes.pace[rows], scenes.nominal[rows]
        self.left, self.right = scenes.left[rows], scenes.right[rows]
        size = scenes.size[rows]
        self.length, self.width = size[:, :1, 0], size[:, :1, 1]
        self.lengths, self.widths = size[:, 1:, 0], size[:, 1:, 1]
        logs = scenes.log[rows] if path is None else torch.cat([path.unsqueeze(1), scenes.log[rows, 1:]], dim=1)
        self.others = logs[:, :, 0].clone()
        self._logs, count = logs.reshape(-1, 4), logs.shape[1]
        self._first = torch.arange(self.batch * count).reshape(self.batch, count) * (STEPS + 1)
        self.attack, self.dynamics = attack, dynamics
        self.steered = steered if steered is not None else torch.full((self.batch,), attack is not None)
        self.ego = scenes.start[rows].clone()
        self.clock = torch.zeros(self.batch, count)
        """How far each log has been played, in steps; a braking vehicle falls behind the time."""
        self._rate = torch.ones(self.batch, count - 1)
        self.t = 0
        self.ending = torch.zeros(self.batch, dtype=torch.long)
        self.ended_at = torch.full((self.batch,), STEPS)
        self.accel, self.turn = torch.zeros(self.batch), torch.zeros(self.batch)
        self.before = self.others.clone()
        self.way = torch.zeros(self.batch)
        self.near = (self.route[..., :2] - self.ego[:, None, :2]).square().sum(2).argmin(1)
        self._project()
        self._origin = self.along.clone()
        self._see()

    @property
    def ended(self) -> Tensor:
        """Which episodes are over `(B,)`."""
        return self.ending > NONE

    def step(self, accel: Tensor, curvature: Tensor) -> Tensor:
        """One step of `DT` with the ego's controls `(B,)` (m/s², 1/m); returns the reward `(B,)`."""
        over = self.ended
        before, paid = self.ego, self.paid
        self.ego = torch.where(over.unsqueeze(1), before, self.dynamics(before, accel, curvature))
        self.accel = (self.ego[:, 3] - before[:, 3]) / DT
        self.turn = (self.ego[:, 2] - before[:, 2]) / DT
        self._traffic()
        self.t += 1
        self._project()
        self._see()
        crashed = self._judge(over)
        comfort = 0.002 * accel.square() + 0.01 * (self.turn * self.ego[:, 3]).square().clamp_max(50) / 10
        reward = self.paid - paid - comfort * DT - CRASH * crashed
        return torch.where(over, 0.0, reward)

    def ahead(self, steps: int) -> Tensor:
        """Where the attacker will be after `steps` `(B, 4)` on its path; where it is now if it is steered."""
        later = self._logs[self._first[:, 0] + min(self.t + steps, STEPS)]
        return torch.where(self.steered.unsqueeze(1), self.others[:, 0], later)

    @property
    def paid(self) -> Tensor:
        """Reward for the way made so far `(B,)`; never more than a tenth above the nominal driver's pace."""
        most = 1.1 * self.nominal * (self.t / STEPS) + 2.0
        made = torch.minimum(torch.minimum(self.way, most), 1.1 * self.nominal)
        return PROGRESS * made / self.nominal

    # --- parts ----------------------------------------------------------------------------------------------------

    def _project(self) -> None:
        self.near, self.along, self.aside, self.point = project(self.route, self.ego, self.near)
        if self.t:
            self.way = torch.where(self.ended, self.way, self.along - self._origin)

    def _see(self) -> None:
        """The others in the ego's frame: places, and relative headings."""
        away_x, away_y = self.others[..., 0] - self.ego[:, :1], self.others[..., 1] - self.ego[:, 1:2]
        cos, sin = self.ego[:, 2:3].cos(), self.ego[:, 2:3].sin()
        self.dx, self.dy = away_x * cos + away_y * sin, away_y * cos - away_x * sin
        self.dh = self.others[..., 2] - self.ego[:, 2:3]

    def _traffic(self) -> None:
        """Everyone else moves: along the log as far as what is in front allows, or as the attack steers."""
        controls = None if self.attack is None else self.attack.controls(self)
        pace = self._pace()
        self.clock = torch.minimum(self.clock + pace, self.clock.new_tensor(STEPS - 1e-3))
        index = self.clock.long()
        at = (self._first + index).reshape(-1)
        low, high = self._logs.index_select(0, at), self._logs.index_select(0, at + 1)
        share = (self.clock - index).reshape(-1, 1)
        moved = torch.lerp(low, high, share).reshape(self.others.shape)
        moved[..., 3] *= pace
        if controls is not None:
            steered = bicycle(self.others[:, 0], *controls)
            moved[:, 0] = torch.where(self.steered.unsqueeze(1), steered, moved[:, 0])
        self.before, self.others = self.others, moved

    def _pace(self) -> Tensor:
        """How fast each log plays, 0 to 1 `(B, others)`: the attacker's at full speed, the others brake in time.

        A vehicle that has the ego or the attacker in its way brakes towards the speed from which it can still stop
        behind them at 5 m/s², changing its own speed by at most 7 m/s² down and 2.5 m/s² up.
        """
        rest = self.others[:, 1:]
        planned = self._planned()[:, 1:].clamp_min(0.5)
        safe = torch.minimum(self._safe(rest, self.ego, self.length), self._safe(rest, self.others[:, 0], None))
        wanted = (safe / planned).clamp_max(1.0)
        slowest, fastest = self._rate - 7 * DT / planned, self._rate + 2.5 * DT / planned
        self._rate = torch.minimum(torch.maximum(wanted, slowest), fastest).clamp(0, 1)
        return torch.cat([torch.ones(self.batch, 1), self._rate], dim=1)

    def _planned(self) -> Tensor:
        at = (self._first + self.clock.long()).reshape(-1)
        return self._logs[:, 3].index_select(0, at).reshape(self.clock.shape)

    def _safe(self, rest: Tensor, other: Tensor, length: Tensor | None) -> Tensor:
        """The speed `(B, others - 1)` at which the rest may drive behind `other` `(B, 4)`; huge if it is not ahead."""
        away_x, away_y = other[:, :1] - rest[..., 0], other[:, 1:2] - rest[..., 1]
        cos, sin = rest[..., 2].cos(), rest[..., 2].sin()
        ahead, aside = away_x * cos + away_y * sin, away_y * cos - away_x * sin
        long = self.lengths[:, :1] if length is None else length
        gap = ahead - 0.5 * (self.lengths[:, 1:] + long)
        turn = other[:, 2:3] - rest[..., 2]
        clear = (aside.abs() > 0.5 * (self.widths[:, 1:] + 2.0 + 2.5 * turn.sin().abs()) + 0.2) | (ahead < 0)
        theirs = (other[:, 3:4] * turn.cos()).clamp_min(0)
        safe = (theirs.square() + 10.0 * (gap - 1.0).clamp_min(0)).sqrt()
        return torch.where(clear, 1e3, safe)

    def _judge(self, over: Tensor) -> Tensor:
        """Find crashes and their causes; returns which episodes ended now `(B,)`."""
        hit = overlap(self.dx, self.dy, self.dh, (self.length, self.width), (self.lengths, self.widths))
        third = hit[:, 1:]
        # From behind: the other's centre lies behind the ego's rear half, and it is the faster one.
        behind = (self.dx[:, 1:] < -0.25 * self.length) & (self.others[:, 1:, 3] > self.ego[:, 3:4])
        off = (self.aside > self.left) | (self.aside < -self.right)
        kind = torch.where(off, ROAD, NONE)
        kind = torch.where((third & behind).any(1), REAR, kind)
        kind = torch.where((third & ~behind).any(1), THIRD, kind)
        kind = torch.where(hit[:, 0], ATTACKER, kind)
        now = (kind > NONE) & ~over
        self.ending = torch.where(now, kind, self.ending)
        self.ended_at = torch.where(now, self.t, self.ended_at)
        return now
