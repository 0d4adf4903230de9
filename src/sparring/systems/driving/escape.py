"""The privileged search for an escape: is there an ego manoeuvre, chosen with the attack known, that survives it?

An attack that no manoeuvre escapes teaches nothing but standing still (the published rule-based trainings show it), so
training leaves such attacks out, and every crash rate is also given among avoidable attacks.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparring.systems.driving.geometry import boxes_overlap
from sparring.systems.driving.policy import REACH, control
from sparring.systems.driving.scenes import STEPS, Scenes
from sparring.systems.driving.simulator import BRAKE, THRUST, Simulator, StepwiseAttack
from sparring.typed import split

EVERY = 2
"""Only every second moment is compared: 0.2 s."""


def manoeuvres() -> Tensor:
    """`(E, 5)`: acceleration m/s², its onset s, place beside the route m, its onset s, speed m/s (share of the
    pace) at which accelerating ends."""
    rows = [
        (accel, onset, place, aside, 1.15)
        for accel in (-7.5, -4.0, -1.5, 0.0, 2.5)
        for place in (0.0, 3.5, -3.5, 1.6, -1.6)
        for onset, aside in ((0.0, 0.0), (1.5, 1.0), (3.0, 3.0))
        if not (accel == 0.0 and place == 0.0 and onset > 0)
    ]
    return torch.tensor(rows)


class Manoeuvre:
    """A driver that carries out one manoeuvre per episode, `(B, 5)`."""

    def __init__(self, plan: Tensor) -> None:
        self.plan = plan

    def act(self, sim: Simulator) -> Tensor:
        """Acceleration from its onset on (up to the speed limit), the place from its own; else cruising."""
        t = sim.t * 0.1
        accel, onset, place, aside, most = self.plan.unbind(1)
        cruise = (0.8 * (sim.pace - sim.ego[:, 3])).clamp(-2, 1)
        wanted = torch.where(t >= onset, torch.where(accel == 0, cruise, accel), cruise)
        wanted = torch.where((wanted > 0) & (sim.ego[:, 3] > most * sim.pace), 0.0, wanted)
        scaled = torch.where(wanted > 0, wanted / THRUST, wanted / BRAKE)
        return torch.stack([scaled, torch.where(t >= aside, place, 0.0) / REACH], dim=1)


@torch.no_grad()
def escapes(scenes: Scenes, moves: Tensor | None = None) -> Tensor:
    """Whether some manoeuvre survives each candidate: bool `(S, K)`.

    `moves` `(S, K, STEPS + 1, 4)` are other paths of the attacker. The manoeuvres are driven with the logged traffic
    braking for the ego; then every path of the ego is compared with every path of the attacker.
    """
    moves = scenes.moves if moves is None else moves
    found: list[Tensor] = []
    for rows in split(torch.arange(len(scenes)), 64):
        poses, fell = _driven(scenes, rows)
        theirs = moves[rows][:, None, :, EVERY::EVERY]
        ours = poses[:, :, None, EVERY::EVERY]
        size = scenes.size[rows]
        hit = boxes_overlap(ours, theirs, size[:, None, None, None, 0], size[:, None, None, None, 1]).any(3)
        found.append((~hit & ~fell.unsqueeze(2)).any(1))
    return torch.cat(found)


def _driven(scenes: Scenes, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The ego's poses `(s, E, STEPS + 1, 4)` in each manoeuvre, and where it failed without the attacker."""
    plan = manoeuvres()
    many = rows.repeat_interleave(len(plan))
    nobody = scenes.log[many, 0].clone()
    nobody[..., :2] += 1e4
    sim = Simulator(scenes, many, nobody)
    driver = Manoeuvre(plan.repeat(len(rows), 1))
    poses = [sim.ego]
    while sim.t < STEPS:
        sim.step(*control(sim, driver.act(sim)))
        poses.append(sim.ego)
    shape = (len(rows), len(plan))
    return torch.stack(poses, dim=1).reshape(*shape, STEPS + 1, 4), (sim.ending > 0).reshape(shape)


@torch.no_grad()
def escapes_reactive(scenes: Scenes, rows: Tensor, make: Callable[[Tensor], StepwiseAttack]) -> Tensor:
    """The same for an attacker that reacts: each manoeuvre is driven against it. Bool `(len(rows),)`."""
    plan = manoeuvres()
    found: list[Tensor] = []
    for part in split(rows, 64):
        many = part.repeat_interleave(len(plan))
        sim = Simulator(scenes, many, attack=make(many))
        driver = Manoeuvre(plan.repeat(len(part), 1))
        while sim.t < STEPS:
            sim.step(*control(sim, driver.act(sim)))
        found.append((sim.ending == 0).reshape(len(part), len(plan)).any(1))
    return torch.cat(found)
