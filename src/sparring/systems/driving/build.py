"""From drafts to scenes: drive everyone, keep what a calm driver gets through, add the attacker's candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sparring.systems.driving.episodes import play
from sparring.systems.driving.escape import escapes
from sparring.systems.driving.families import BUILDERS, Draft, Draw
from sparring.systems.driving.geometry import boxes_overlap
from sparring.systems.driving.lattice import Naturalness, drive, feasible, lattice
from sparring.systems.driving.planner import Planner
from sparring.systems.driving.scenes import FAMILIES, HELD_OUT, OTHERS, Scenes

CAR = (4.6, 1.9)


def procedural(count: int, split: str, generator: torch.Generator, *, families: Sequence[str] | None = None) -> Scenes:
    """`count` scenes of one split, all families alike; the held-out family is in the test split alone.

    Kept are scenes in which nobody touches anybody and the default planner, driving among the logged traffic, gets
    through without an early end.
    """
    names = families or [f for f in BUILDERS if split == "test" or f != HELD_OUT]
    parts: list[Scenes] = []
    for i, name in enumerate(names):
        wanted = count // len(names) + (i < count % len(names))
        have: list[Scenes] = []
        while sum(map(len, have)) < wanted:
            short = wanted - sum(map(len, have))
            draft = BUILDERS[name](Draw(int(1.5 * short) + 8, split, generator))
            have.append(_kept(_scenes(draft, name, generator)))
        parts.append(Scenes.joined(have).take(torch.arange(wanted)))
    scenes = Scenes.joined(parts)
    return replace(scenes, avoidable=escapes(scenes))


def with_slow(scenes: Scenes, share: float, generator: torch.Generator) -> Scenes:
    """Training scenes of which a random `share` are played at 0.3 to 0.7 of their speed: dense, slow traffic."""
    slow = torch.rand(len(scenes), generator=generator) < share
    factor = 0.3 + 0.4 * torch.rand(len(scenes), generator=generator)
    return scenes.slowed(torch.where(slow, factor, 1.0))


def _scenes(draft: Draft, name: str, generator: torch.Generator) -> Scenes:
    n = len(draft.pace)
    tracks = [draft.attacker, *draft.others][:OTHERS]
    log = torch.stack([drive(t) for t in tracks], dim=1)
    size = torch.tensor(CAR).repeat(n, 1 + OTHERS, 1)
    size = size * (0.92 + 0.2 * torch.rand(size.shape, generator=generator))
    moves = lattice(draft.attacker, draft.room, draft.towards, Naturalness(), generator)
    start = torch.zeros(n, 4)
    start[:, 3] = draft.pace
    return Scenes(
        route=draft.route,
        start=start,
        log=log,
        size=size,
        left=draft.left,
        right=draft.right,
        pace=draft.pace,
        nominal=draft.pace * 8,
        family=torch.full((n,), FAMILIES.index(name)),
        moves=moves.path,
        log_prior=moves.log_prior,
        feasible=feasible(moves.path, log[:, 1:], size[:, 1:]),
        avoidable=torch.ones(n, moves.path.shape[1], dtype=torch.bool),
    )


def _kept(scenes: Scenes) -> Scenes:
    """The scenes without conflict, with the way that the default planner made as their `nominal`."""
    apart = ~_touching(scenes)
    scenes = scenes.take(apart)
    calm = measured(scenes)
    return calm.take(calm.nominal > 0)


def measured(scenes: Scenes) -> Scenes:
    """The scenes with the default planner's way on the log as `nominal`; 0 where it failed or hardly moved."""
    rows = torch.arange(len(scenes))
    whole = replace(scenes, nominal=scenes.pace * 8)
    out = play(Planner(), whole, rows)
    good = ~out.failed & (out.way > 0.35 * whole.nominal)
    return replace(scenes, nominal=torch.where(good, out.way, 0.0))


def _touching(scenes: Scenes) -> Tensor:
    """Scenes in which the attacker's log touches another vehicle, or anybody starts on the ego."""
    log, size = scenes.log[:, :, ::2], scenes.size[:, 1:, None]
    hit = boxes_overlap(log[:, :1], log[:, 1:], size[:, :1], size[:, 1:]).flatten(1).any(1)
    grown = scenes.size[:, :1] + 1.0
    return hit | boxes_overlap(scenes.start[:, None], scenes.log[:, :, 0], grown, scenes.size[:, 1:]).any(1)
