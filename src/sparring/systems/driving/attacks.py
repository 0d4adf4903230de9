"""The evaluation's attackers that no training ever sees: budgeted search over controls, and reactive pursuit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.systems.driving.episodes import Outcome, play
from sparring.systems.driving.families import TIMES, Track
from sparring.systems.driving.geometry import from_points
from sparring.systems.driving.lattice import drive
from sparring.systems.driving.policy import Driver
from sparring.systems.driving.scenes import DT, POINTS, STEPS, Scenes
from sparring.systems.driving.simulator import Simulator

BUDGETS = ((0.5, 0.002), (1.0, 0.005), (2.0, 0.01))
"""How far the search may change the attacker's acceleration (m/s²) and curvature (1/m)."""
KNOTS = 5


class Pursuit:
    """A hand-made attacker that reacts: it steers for where the ego will be and meets it, within a car's limits.

    It aims at the ego's place at the time to go (at most 2 s), slows down for an ego behind it, speeds up after one
    ahead; at most 3 and -6 m/s², 0.06 1/m, and a quarter more than the scene's pace plus 2 m/s.
    """

    begin = 0.5
    """Seconds in which it goes straight on."""

    def controls(self, sim: Simulator) -> tuple[Tensor, Tensor]:
        """Acceleration and curvature `(B,)`."""
        me, ego = sim.others[:, 0], sim.ego
        away = ego[:, :2] - me[:, :2]
        far = away.square().sum(1).sqrt()
        soon = (far / (me[:, 3] + ego[:, 3]).clamp_min(2.0)).clamp(0.2, 2.0)
        aim = away + soon.unsqueeze(1) * torch.stack([ego[:, 3] * ego[:, 2].cos(), ego[:, 3] * ego[:, 2].sin()], dim=1)
        cos, sin = me[:, 2].cos(), me[:, 2].sin()
        ahead, aside = aim[:, 0] * cos + aim[:, 1] * sin, aim[:, 1] * cos - aim[:, 0] * sin
        reach = (ahead.square() + aside.square()).clamp_min(4.0)
        turn = (2 * aside / reach).clamp(-0.06, 0.06)
        wanted = (ahead / soon).clamp_min(0.0)
        wanted = torch.minimum(wanted, 1.25 * sim.pace + 2.0)
        gain = (2.0 * (wanted - me[:, 3])).clamp(-6.0, 3.0)
        if sim.t * DT < self.begin:
            return torch.zeros_like(gain), torch.zeros_like(turn)
        return gain, turn


@dataclass(frozen=True)
class Search:
    """Cross-entropy search over the attacker's control splines, in closed loop against the frozen defender."""

    population: int = 12
    rounds: int = 3
    elite: int = 4

    @property
    def queries(self) -> int:
        """Episodes per scene and budget."""
        return self.population * self.rounds


@dataclass(frozen=True)
class Found:
    """What the search found per budget: `crashed` `(budgets, n)` and the lowest return `(budgets, n)`, both counting
    what a smaller budget found; `path` `(budgets, n, STEPS + 1, 4)` of the lowest return."""

    crashed: Tensor
    ret: Tensor
    path: Tensor


def attacker_tracks(scenes: Scenes) -> Track:
    """Each attacker's logged way as a path, with its speeds: what controls are added to."""
    paths: list[Tensor] = []
    for log in scenes.log[:, 0]:
        ahead = torch.stack([log[-1, 2].cos(), log[-1, 2].sin()])
        points = torch.cat([log[:, :2], log[-1:, :2] + ahead * 60])
        paths.append(from_points(points, POINTS))
    n = len(scenes)
    speed = scenes.log[:, 0, :, 3]
    return Track(torch.stack(paths), torch.zeros(n), speed, torch.zeros(n, STEPS + 1), torch.ones(n, dtype=torch.bool))


def controlled(track: Track, rows: Tensor, controls: Tensor) -> Tensor:
    """The attacker's poses `(B, STEPS + 1, 4)` with controls `(B, 2, KNOTS)` added (m/s², 1/m), linear between knots.

    The speed never falls below zero; a curvature is integrated twice into a place beside the path.
    """
    at = TIMES / (STEPS * DT) * (KNOTS - 1)
    low = at.long().clamp_max(KNOTS - 2)
    share = at - low
    line = controls[..., low] * (1 - share) + controls[..., low + 1] * share
    speed = (track.speed[rows] + line[:, 0].cumsum(1) * DT).clamp(0, 25)
    sideways = (line[:, 1] * speed.square() * DT).cumsum(1)
    aside = torch.where(speed > 0.3, sideways, 0.0).cumsum(1) * DT
    return drive(Track(track.path[rows], track.along[rows], speed, aside, track.there[rows]))


@torch.no_grad()
def search(driver: Driver, scenes: Scenes, rule: Search, generator: torch.Generator) -> Found:
    """The search at each of BUDGETS in every scene; scenes whose attacker has hit the ego leave the search."""
    n = len(scenes)
    track = attacker_tracks(scenes)
    plain = play(driver, scenes, torch.arange(n))
    best, crashed = plain.ret.clone(), plain.crashed.clone()
    path = scenes.log[:, 0].clone()
    mean = torch.zeros(n, 2, KNOTS)
    found: list[tuple[Tensor, ...]] = []
    for budget in BUDGETS:
        bound = torch.tensor(budget).view(1, 2, 1)
        spread = 0.6 * bound.expand(n, 2, KNOTS).clone()
        for _ in range(rule.rounds):
            left = torch.nonzero(~crashed).flatten()
            if len(left) == 0:
                break
            rows = left.repeat_interleave(rule.population)
            noise = torch.randn(len(rows), 2, KNOTS, generator=generator)
            tried = torch.minimum(torch.maximum(mean[rows] + spread[rows] * noise, -bound), bound)
            paths = controlled(track, rows, tried)
            out = play(driver, scenes, rows, paths)
            shape = (len(left), rule.population)
            worth = out.ret.reshape(shape)
            top = worth.argsort(1)[:, : rule.elite]
            elite = tried.reshape(*shape, 2, KNOTS).gather(1, top[..., None, None].expand(-1, -1, 2, KNOTS))
            mean[left], spread[left] = elite.mean(1), elite.std(1, correction=0).clamp_min(0.1 * bound)
            first = torch.arange(len(left)) * rule.population + top[:, 0]
            better = out.ret[first] < best[left]
            path[left[better]] = paths[first[better]]
            best[left] = torch.minimum(best[left], out.ret[first])
            crashed[left] |= out.crashed.reshape(shape).any(1)
        found.append((crashed.clone(), best.clone(), path.clone()))
    return Found(*(torch.stack(parts) for parts in zip(*found, strict=True)))


def pursue(driver: Driver, scenes: Scenes) -> Outcome:
    """Every scene with the pursuing attacker."""
    return play(driver, scenes, torch.arange(len(scenes)), attack=Pursuit())
