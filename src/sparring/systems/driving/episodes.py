"""Playing episodes: a driver through scenes, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from sparring.systems.driving.policy import Driver, control
from sparring.systems.driving.scenes import DT, STEPS, Scenes
from sparring.systems.driving.simulator import ATTACKER, NONE, Simulator, StepwiseAttack
from sparring.typed import split

REPEAT = 2
"""Steps of the simulator per decision of the driver: five decisions a second."""
CHUNK = 4096
"""Episodes side by side; more do not get faster."""


@dataclass(frozen=True)
class Outcome:
    """What came of B episodes; all `(B,)`.

    `ret` the return; `ending` index into `simulator.ENDINGS`; `ended_at` the step; `way` metres along the route;
    `completion` share of the calm driver's way (0 to 1, nine tenths of it count as all); `speed` mean m/s on the way;
    `jerk` mean |da/dt| m/s³; `gap` the smallest centre distance to the attacker, m.
    """

    ret: Tensor
    ending: Tensor
    ended_at: Tensor
    way: Tensor
    completion: Tensor
    speed: Tensor
    jerk: Tensor
    gap: Tensor

    @property
    def crashed(self) -> Tensor:
        """Crashes with the attacker."""
        return self.ending == ATTACKER

    @property
    def failed(self) -> Tensor:
        """Every early end: all crashes, and leaving the road."""
        return self.ending > NONE

    @classmethod
    def joined(cls, parts: Sequence[Outcome]) -> Outcome:
        """Several behind each other."""
        return cls(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)})

    def tensors(self) -> dict[str, Tensor]:
        """As named tensors, for a file."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@torch.no_grad()
def play(
    driver: Driver,
    scenes: Scenes,
    rows: Tensor,
    path: Tensor | None = None,
    attack: StepwiseAttack | None = None,
) -> Outcome:
    """Drive the episodes `rows` `(B,)`, the attacker on `path` `(B, STEPS + 1, 4)` or steered; without exploration."""
    parts: list[Outcome] = []
    for at in split(torch.arange(len(rows)), CHUNK):
        sim = Simulator(scenes, rows[at], None if path is None else path[at], attack)
        parts.append(drive(driver, sim))
    return Outcome.joined(parts)


def play_moves(driver: Driver, scenes: Scenes, rows: Tensor, moves: Tensor) -> Outcome:
    """Drive scenes `rows` `(n,)` against each of their candidates `moves` `(n, k)`; figures are flat, `(n k,)`."""
    return play_pairs(driver, scenes, rows.repeat_interleave(moves.shape[1]), moves.flatten())


def play_pairs(driver: Driver, scenes: Scenes, rows: Tensor, moves: Tensor) -> Outcome:
    """Drive scenes `rows` `(B,)`, the attacker on candidate `moves` `(B,)` of its scene."""
    parts: list[Outcome] = []
    for at in split(torch.arange(len(rows)), CHUNK):
        parts.append(play(driver, scenes, rows[at], scenes.moves[rows[at], moves[at]]))
    return Outcome.joined(parts)


@torch.no_grad()
def record(driver: Driver, sim: Simulator) -> tuple[Tensor, Tensor]:
    """Drive to the end and keep the ego's poses `(B, STEPS + 1, 4)` and the others' `(B, others, STEPS + 1, 4)`."""
    egos, others = [sim.ego], [sim.others]
    while sim.t < STEPS:
        action = driver.act(sim)
        for _ in range(REPEAT):
            sim.step(*control(sim, action))
            egos.append(sim.ego)
            others.append(sim.others)
    return torch.stack(egos, dim=1), torch.stack(others, dim=2)


@torch.no_grad()
def drive(driver: Driver, sim: Simulator) -> Outcome:
    """Drive all episodes of a fresh simulator to their ends."""
    ret, speed, jerk, moving = (torch.zeros(sim.batch) for _ in range(4))
    gap = torch.full((sim.batch,), torch.inf)
    while sim.t < STEPS and not bool(sim.ended.all()):
        action = driver.act(sim)
        for _ in range(REPEAT):
            before, on = sim.accel, (~sim.ended).to(ret.dtype)
            ret += sim.step(*control(sim, action))
            gap = torch.minimum(gap, (sim.dx[:, 0].square() + sim.dy[:, 0].square()).sqrt())
            speed += sim.ego[:, 3] * on
            jerk += (sim.accel - before).abs() / DT * on
            moving += on
    share = (sim.way / (0.9 * sim.nominal)).clamp(0, 1)
    return Outcome(
        ret, sim.ending, sim.ended_at, sim.way, share, speed / moving.clamp_min(1), jerk / moving.clamp_min(1), gap
    )
