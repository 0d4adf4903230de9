"""What decision-only attacks share: they read whether an answer is wrong, and count every question."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.attacks.base import Attack, AttackResult, Model, Oracle
from sparring.objectives import Criterion, Objective, misclassified
from sparring.threats.base import ThreatModel
from sparring.typed import integers, unique


def wrong_decision(outputs: Tensor, target: Tensor) -> Tensor:
    """True where the decision is wrong: integer or bool outputs `(n,)` are labels, others are logits."""
    if outputs.is_floating_point():
        return misclassified(outputs, target)
    return outputs.reshape(-1).long() != target.reshape(-1).long()


@dataclass(frozen=True, kw_only=True)
class DecisionAttack(Attack):
    """An attack that reads `criterion` alone from the model's answers, which may be labels.

    The result's objective is 1 where the adversary won, else 0; the call's objective is not used.
    """

    criterion: Criterion = wrong_decision

    def __call__(
        self,
        model: Model,
        batch: tuple[Tensor, Tensor],
        threat: ThreatModel,
        *,
        objective: Objective | None = None,
        generator: torch.Generator,
    ) -> AttackResult:
        """Attack a batch; `objective` is accepted for the common signature and not used."""

        def won(outputs: Tensor, target: Tensor) -> Tensor:
            return self.criterion(outputs, target).float()

        return super().__call__(model, batch, threat, objective=won, generator=generator)


class Interview:
    """Questions to the model: the budget `left` of each sample, and the wrong answers found inside the threat."""

    def __init__(self, oracle: Oracle, x: Tensor, y: Tensor, budget: int) -> None:
        self.oracle, self.x, self.y = oracle, x, y
        self.left = torch.full((len(x),), budget, device=x.device)
        self.open = torch.ones(len(x), dtype=torch.bool, device=x.device)
        self.located = torch.zeros_like(self.open)
        self.found = x.clone()

    def __call__(self, points: Tensor, rows: Tensor, *, inside: bool = False) -> Tensor:
        """Whether the answers at `points` `(m, k, *sample)` are wrong, `(m, k)`; `inside` ones end the search."""
        m, k = points.shape[:2]
        who = rows.repeat_interleave(k)
        out = self.oracle.outputs(points.reshape(m * k, *points.shape[2:]), who)
        wrong = self.oracle.criterion(out, self.y[who]).reshape(m, k)
        self.left[rows] -= k
        if inside:
            hit = wrong.any(1) & self.open[rows]
            winner = points[torch.arange(m, device=rows.device), wrong.int().argmax(1)]
            self.found[rows[hit]] = winner[hit]
            self.open[rows[hit]] = False
        return wrong

    def members(self, threat: ThreatModel, count: int, generator: torch.Generator) -> None:
        """Ask every open sample about up to `count` random members of the threat."""
        rows = (self.open & (self.left > 0)).nonzero().squeeze(1)
        for left in integers(unique(self.left[rows].clamp_max(count))):
            group = rows[self.left[rows].clamp_max(count) == left]
            many = self.x[group].repeat_interleave(left, dim=0)
            points = threat.sample(many, generator=generator).reshape(len(group), left, *self.x.shape[1:])
            self(points, group, inside=True)
