"""Aiming at a class: which ones, and how an oracle is told."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparring.attacks.base import Oracle
from sparring.objectives import two_sided

TargetedObjective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`(outputs, target, goal) -> (n,)`; higher means closer to the class `goal`."""

RunOn = Callable[[Tensor], tuple[Oracle, Tensor]]
"""Rows of the batch to the oracle and the targets of one run on them."""


def likely_goals(oracle: Oracle, x: Tensor, y: Tensor, count: int) -> tuple[Tensor, int]:
    """The `count` (or k - 1) most likely other classes, likeliest first, `(n, m)`; and k. One forward pass."""
    out = oracle.outputs(x, torch.arange(len(x), device=x.device))
    if out.ndim > 2:
        raise TypeError(f"a targeted attack needs class logits (n, k) or one logit (n,), got {tuple(out.shape)}")
    z = two_sided(out)
    others = z.scatter(1, y.reshape(-1, 1).long(), -torch.inf)
    return others.topk(min(count, z.shape[1] - 1), dim=1).indices, z.shape[1]


def towards(oracle: Oracle, y: Tensor, goal: Tensor, objective: TargetedObjective) -> RunOn:
    """A run on any rows of the batch towards the classes `goal` `(n,)`; any wrong decision still counts as a win.

    Its targets are pairs `(m, 2)` of class and goal, so that both follow the active set.
    """
    pairs, untargeted = torch.stack([y.reshape(-1).long(), goal], dim=1), oracle.criterion
    aimed = oracle.view(
        objective=lambda out, pair: objective(out, pair[:, 0], pair[:, 1]),
        criterion=lambda out, pair: untargeted(out, pair[:, 0]),
    )
    return lambda rows: (aimed.view(rows), pairs[rows])
