# pyright: basic

"""Small worlds for the driving tests: a straight road, vehicles where a test wants them."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.systems.driving.scenes import FAMILIES, FAR, OTHERS, POINTS, STEPS, Scenes

CANDIDATES = 4


def straight(poses: Tensor, pace: float = 10.0, *, candidates: int = CANDIDATES) -> Scenes:
    """One scene on a straight road along x: the ego at 40 m, others `(m, 4)` going straight on at their speeds."""
    x = torch.arange(POINTS, dtype=torch.float32)
    route = torch.stack([x - 40, torch.zeros(POINTS), torch.zeros(POINTS), torch.zeros(POINTS)], dim=1)
    log = torch.full((OTHERS, STEPS + 1, 4), FAR)
    log[..., 2:] = 0
    t = torch.arange(STEPS + 1) * 0.1
    for i, (px, py, heading, speed) in enumerate(poses.tolist()):
        h = torch.tensor(heading)
        log[i] = torch.stack(
            [px + speed * t * h.cos(), py + speed * t * h.sin(), h.expand_as(t), torch.full_like(t, speed)], dim=1
        )
    moves = log[:1].expand(candidates, -1, -1).clone()
    return Scenes(
        route=route[None], start=torch.tensor([[0.0, 0.0, 0.0, pace]]), log=log[None],
        size=torch.tensor([4.6, 1.9]).repeat(1, 1 + OTHERS, 1), left=torch.tensor([5.0]), right=torch.tensor([5.0]),
        pace=torch.tensor([pace]), nominal=torch.tensor([pace * 8]), family=torch.tensor([FAMILIES.index("crossing")]),
        moves=moves[None], log_prior=torch.zeros(1, candidates).log_softmax(1),
        feasible=torch.ones(1, candidates, dtype=torch.bool), avoidable=torch.ones(1, candidates, dtype=torch.bool),
    )  # fmt: skip


def nobody() -> Tensor:
    """No other vehicle."""
    return torch.empty(0, 4)
