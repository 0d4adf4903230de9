"""What the attacker knows of a candidate: where it would bring the vehicle, next to where the ego last drove.

The adversary may look at the ego's last clean pass through the same scene, as the published CAT and SAGE do: a strong,
white-box-like assumption, made in training and evaluation alike.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.systems.driving.episodes import CHUNK, record
from sparring.systems.driving.geometry import boxes_overlap
from sparring.systems.driving.policy import Driver
from sparring.systems.driving.scenes import STEPS, Scenes
from sparring.systems.driving.simulator import Simulator
from sparring.typed import split

EVERY = 4
"""Steps between the moments of a pass that are kept: 0.4 s."""
MOMENTS = STEPS // EVERY + 1
SHOWN = 2
"""Of those moments, every how manyth the network sees."""
FEATURES = 6 * len(range(0, MOMENTS, SHOWN)) + 8


@torch.no_grad()
def passes(driver: Driver, scenes: Scenes, rows: Tensor, path: Tensor | None = None) -> Tensor:
    """The ego's poses `(n, MOMENTS, 4)` when it drives scenes `rows` `(n,)` with the attacker as logged."""
    found: list[Tensor] = []
    for at in split(torch.arange(len(rows)), CHUNK):
        sim = Simulator(scenes, rows[at], None if path is None else path[at])
        found.append(record(driver, sim)[0][:, ::EVERY])
    return torch.cat(found)


def met(scenes: Scenes, rows: Tensor, ego: Tensor) -> tuple[Tensor, Tensor]:
    """Open loop: when each candidate first touches the ego on its pass `(n, MOMENTS, 4)`, as a moment's index (MOMENTS
    where never), and how close it comes, m; both `(n, K)`."""
    theirs = scenes.moves[rows][:, :, ::EVERY]
    size = scenes.size[rows]
    hit = boxes_overlap(ego.unsqueeze(1), theirs, size[:, None, None, 0], size[:, None, None, 1])
    moments = torch.arange(MOMENTS)
    first = torch.where(hit, moments, MOMENTS).amin(2)
    gap = (ego[:, None, :, :2] - theirs[..., :2]).square().sum(3).amin(2).sqrt()
    return first, gap


def features(scenes: Scenes, rows: Tensor, ego: Tensor) -> Tensor:
    """The network's input `(n, K, FEATURES)` for scenes `rows` and the ego's passes `(n, MOMENTS, 4)`."""
    theirs = scenes.moves[rows][:, :, ::EVERY]
    ours = ego.unsqueeze(1).expand(-1, theirs.shape[1], -1, -1)
    dx, dy = theirs[..., 0] - ours[..., 0], theirs[..., 1] - ours[..., 1]
    cos, sin = ours[..., 2].cos(), ours[..., 2].sin()
    along, aside = dx * cos + dy * sin, dy * cos - dx * sin
    turn = theirs[..., 2] - ours[..., 2]
    far = (along.square() + aside.square()).sqrt()
    shown = slice(None, None, SHOWN)
    series = [
        (along / 15).tanh()[..., shown],
        (aside / 8).tanh()[..., shown],
        turn.cos()[..., shown],
        turn.sin()[..., shown],
        theirs[..., 3][..., shown] / 10,
        (-far / 5).exp()[..., shown],
    ]
    first, gap = met(scenes, rows, ego)
    closest = far.argmin(2, keepdim=True)
    pace = scenes.pace[rows].unsqueeze(1).expand_as(gap)
    single = torch.stack(
        [
            1 - first / MOMENTS,
            (first < MOMENTS).to(gap.dtype),
            (-gap / 4).exp(),
            closest.squeeze(2) / MOMENTS,
            along.gather(2, closest).squeeze(2).clamp(-10, 10) / 5,
            aside.gather(2, closest).squeeze(2).clamp(-10, 10) / 5,
            scenes.log_prior[rows] / 4,
            pace / 10,
        ],
        dim=2,
    )
    return torch.cat([*series, single], dim=2)
