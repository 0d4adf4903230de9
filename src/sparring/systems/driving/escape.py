"""The privileged search for an escape: did a collision-free way exist once the attack could be seen?

An attack that nothing escapes teaches only to stand still (the published rule-based trainings show it), so training
leaves such attacks out, and crash rates are also given among avoidable attacks. The search may know the attack, but
not act on it before a driver could: up to `REACTION` after the attacker first departs from its log the ego drives as
the default planner did, among the logged traffic. From then on it carries out one of a set of manoeuvres, within the
bicycle's friction limit; boxes are compared at every step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.systems.driving.episodes import REPEAT
from sparring.systems.driving.geometry import boxes_overlap, wrap
from sparring.systems.driving.planner import Planner
from sparring.systems.driving.policy import REACH, control
from sparring.systems.driving.scenes import DT, STEPS, Scenes
from sparring.systems.driving.simulator import BRAKE, THRUST, Simulator, StepwiseAttack
from sparring.typed import split

REACTION = 0.4
"""Seconds from the first visible departure to the first reaction: two decisions."""
ONSETS = (0.4, 0.8, 1.4, 2.0, 2.8, 3.6, 4.8)
"""Moments at which an escape may begin, s. An attack seen between two of them is escaped from the later one on."""
VISIBLE = (0.5, 1.0, 0.1)
"""A departure from the log shows from so many metres, m/s, or radians on."""
CHUNK = 48


def manoeuvres() -> Tensor:
    """`(E, 2)`: acceleration m/s², place beside the route m. Braking hard and gently, evading, getting away."""
    rows = [(accel, place) for accel in (-7.5, -3.5) for place in (0.0, 1.7, -1.7, 3.5, -3.5)]
    rows += [(0.0, place) for place in (1.7, -1.7, 3.5, -3.5)] + [(2.5, place) for place in (0.0, 3.5, -3.5)]
    return torch.tensor(rows)


def plans() -> Tensor:
    """`(P, 3)`: onset s, acceleration, place; the first one never begins."""
    every = [torch.cat([torch.full((len(manoeuvres()), 1), t), manoeuvres()], dim=1) for t in ONSETS]
    return torch.cat([torch.tensor([[1e3, 0.0, 0.0]]), *every])


class Escaping:
    """A driver that repeats recorded actions `(B, decisions, 2)` up to its plan's onset and then follows the plan
    `(B, 3)`; it accelerates up to 1.15 of the pace."""

    def __init__(self, before: Tensor, plan: Tensor) -> None:
        self.before, self.plan = before, plan

    def act(self, sim: Simulator) -> Tensor:
        """Acceleration and place, scaled as a policy's action."""
        onset, accel, place = self.plan.unbind(1)
        wanted = torch.where((accel > 0) & (sim.ego[:, 3] > 1.15 * sim.pace), 0.0, accel)
        cruise = (0.8 * (sim.pace - sim.ego[:, 3])).clamp(-2, 1)
        wanted = torch.where(accel == 0, cruise, wanted)
        scaled = torch.where(wanted > 0, wanted / THRUST, wanted / BRAKE)
        own = torch.stack([scaled, place / REACH], dim=1)
        begun = sim.t * DT >= onset - 1e-6
        return torch.where(begun.unsqueeze(1), own, self.before[:, sim.t // REPEAT])


@torch.no_grad()
def calm_actions(scenes: Scenes, rows: Tensor) -> Tensor:
    """What the default planner does `(n, decisions, 2)` in scenes `rows` with the attacker as logged."""
    sim, driver = Simulator(scenes, rows), Planner()
    found: list[Tensor] = []
    while sim.t < STEPS:
        found.append(driver.act(sim))
        for _ in range(REPEAT):
            sim.step(*control(sim, found[-1]))
    return torch.stack(found, dim=1)


def seen_at(scenes: Scenes, rows: Tensor, paths: Tensor) -> Tensor:
    """When each path `(n, K, STEPS + 1, 4)` first shows that it is not the log, s `(n, K)`; infinite if it never does.

    A path that starts elsewhere than the log is seen at once.
    """
    away = paths - scenes.log[rows, :1]
    far, fast, turned = VISIBLE
    shows = (away[..., :2].square().sum(3) > far**2) | (away[..., 3].abs() > fast) | (wrap(away[..., 2]).abs() > turned)
    moment = torch.where(shows, torch.arange(STEPS + 1) * DT, torch.inf)
    return moment.amin(2)


@dataclass(frozen=True)
class Ways:
    """The ego's ways through scenes in every plan, driven among the logged traffic, which brakes for it, with nobody in
    the attacker's place: `poses` `(S, P, STEPS, 4)`, `fell` `(S, P)` where it failed all the same."""

    scenes: Scenes
    poses: Tensor
    fell: Tensor

    @classmethod
    @torch.no_grad()
    def driven(cls, scenes: Scenes) -> Ways:
        """Drive all plans through all scenes: 120 episodes a scene."""
        parts = [_driven(scenes, rows) for rows in split(torch.arange(len(scenes)), CHUNK)]
        return cls(scenes, torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts]))

    def escape(self, moves: Tensor) -> Tensor:
        """Whether some plan, begun after the reaction time, survives each way of the attacker `(S, K, STEPS + 1, 4)`:
        bool `(S, K)`. Every way of the ego is compared with every way of the attacker, box against box."""
        size = self.scenes.size
        own, theirs = size[:, 0], size[:, 1]
        met = [
            boxes_overlap(self.poses[at, :1], moves[at, :, 1:], own[at, None, None], theirs[at, None, None]).any(2)
            for at in split(torch.arange(len(moves)), CHUNK)
        ]
        escaped = ~torch.cat(met) & ~self.fell[:, :1]
        seen = seen_at(self.scenes, torch.arange(len(moves)), moves)
        for pairs in split(torch.nonzero(~escaped), 8 * CHUNK):  # the calm way meets these: try the others
            s, k = pairs.unbind(1)
            hit = boxes_overlap(self.poses[s], moves[s, k, None, 1:], own[s, None, None], theirs[s, None, None]).any(2)
            escaped[s, k] = (~hit & ~self.fell[s] & ~_too_early(seen[s, k])).any(1)
        return escaped


def escapes(scenes: Scenes) -> Tensor:
    """Which of the scenes' candidates can be escaped: bool `(S, K)`."""
    parts = [scenes.take(rows) for rows in split(torch.arange(len(scenes)), CHUNK)]
    return torch.cat([Ways.driven(part).escape(part.moves) for part in parts])


@torch.no_grad()
def survivable(
    scenes: Scenes, rows: Tensor, path: Tensor | None = None, attack: StepwiseAttack | None = None
) -> Tensor:
    """Whether some plan survives when it is *played* against the attacker on `path` `(n, STEPS + 1, 4)`, or against one
    that reacts: bool `(n,)`. A reacting attacker, and one without a path of its own, is seen from the start."""
    plan = plans()
    found: list[Tensor] = []
    for at in split(torch.arange(len(rows)), CHUNK):
        part = rows[at]
        known = torch.zeros(len(part)) if path is None else seen_at(scenes, part, path[at].unsqueeze(1)).squeeze(1)
        many = part.repeat_interleave(len(plan))
        paths = None if path is None else path[at].repeat_interleave(len(plan), 0)
        sim = Simulator(scenes, many, paths, attack)
        driver = Escaping(calm_actions(scenes, part).repeat_interleave(len(plan), 0), plan.repeat(len(part), 1))
        while sim.t < STEPS:
            action = driver.act(sim)
            for _ in range(REPEAT):
                sim.step(*control(sim, action))
        early = _too_early(known)
        lived = (sim.ending == 0).reshape(len(part), len(plan))
        found.append((lived & ~early).any(1))
    return torch.cat(found) if found else torch.empty(0, dtype=torch.bool)


def _too_early(seen: Tensor) -> Tensor:
    """Which plans `(..., P)` begin before an attack seen at `seen` `(...)` could be answered; the first never does."""
    early = plans()[:, 0] < seen.unsqueeze(-1) + REACTION - 1e-6
    early[..., 0] = False
    return early


def _driven(scenes: Scenes, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The ego's poses `(s, P, STEPS, 4)` in each plan, and where it failed without the attacker `(s, P)`."""
    plan = plans()
    many = rows.repeat_interleave(len(plan))
    nobody = scenes.log[many, 0].clone()
    nobody[..., :2] += 1e4
    sim = Simulator(scenes, many, nobody)
    driver = Escaping(calm_actions(scenes, rows).repeat_interleave(len(plan), 0), plan.repeat(len(rows), 1))
    poses: list[Tensor] = []
    while sim.t < STEPS:
        action = driver.act(sim)
        for _ in range(REPEAT):
            sim.step(*control(sim, action))
            poses.append(sim.ego)
    shape = (len(rows), len(plan))
    return torch.stack(poses, dim=1).reshape(*shape, STEPS, 4), (sim.ending > 0).reshape(shape)
