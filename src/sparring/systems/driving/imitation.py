"""A policy's first lessons: what the default planner does in the logged traffic (behaviour cloning).

It spares reinforcement learning the hours of finding out how to keep a lane; every training that is compared goes on
from the same pupil. Pomerleau, "ALVINN", NIPS 1988.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.systems.driving.episodes import REPEAT
from sparring.systems.driving.observe import WIDTH, coming, observe
from sparring.systems.driving.planner import Planner
from sparring.systems.driving.policy import Policy, control, residual
from sparring.systems.driving.scenes import STEPS, Scenes
from sparring.systems.driving.simulator import BRAKE, THRUST, Simulator
from sparring.typed import split, step

EPISODES, PASSES, RATE, BATCH = 768, 12, 1e-3, 512


@torch.no_grad()
def shown(scenes: Scenes, rows: Tensor) -> tuple[Tensor, Tensor]:
    """What the planner sees in scenes `rows` on their logs `(n, WIDTH + COMING)`, and the network action `(n, 2)`
    that would drive as it does."""
    sim, planner = Simulator(scenes, rows), Planner()
    seen: list[Tensor] = []
    wanted: list[Tensor] = []
    while sim.t < STEPS:
        action = planner.act(sim)
        alive = ~sim.ended
        seen.append(torch.cat([observe(sim), coming(sim)], dim=1)[alive])
        wanted.append(own(sim, action)[alive])
        for _ in range(REPEAT):
            sim.step(*control(sim, action))
    return torch.cat(seen), torch.cat(wanted)


def own(sim: Simulator, action: Tensor) -> Tensor:
    """The network's action `(B, 2)` that `residual` turns into `action`, as far as its bounds go."""
    base = residual(sim, torch.zeros_like(action))
    more = _force(action[:, 0]) - _force(base[:, 0])
    scaled = more / torch.where(more > 0, THRUST, BRAKE)
    return torch.stack([scaled, action[:, 1]], dim=1).clamp(-1, 1)


def imitate(policy: Policy, scenes: Scenes, generator: torch.Generator) -> float:
    """Descend on the squared distance to the planner's actions in `EPISODES` scenes; returns the last pass's mean."""
    rows = torch.randperm(len(scenes), generator=generator)[:EPISODES]
    seen, wanted = shown(scenes, rows)
    optimizer = torch.optim.Adam([*policy.trunk.parameters(), *policy.actor.parameters()], RATE)
    total = 0.0
    for lesson in range(PASSES):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - lesson / PASSES)
        total = 0.0
        for at in split(torch.randperm(len(seen), generator=generator), BATCH):
            mean = policy.actor(policy.trunk(seen[at, :WIDTH]))
            loss = (mean - wanted[at]).square().mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            step(optimizer)
            total += float(loss.detach()) * len(at) / len(seen)
    return total


def _force(scaled: Tensor) -> Tensor:
    return scaled * torch.where(scaled > 0, THRUST, BRAKE)
