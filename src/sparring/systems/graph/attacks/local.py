"""PRBCD and greedy under local budgets: no node may gain or lose more than a share of its edges."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from sparring.systems.graph.attacks.edges import Goal, GraphModel, flipped, numbered
from sparring.systems.graph.attacks.prbcd import PRBCD
from sparring.systems.graph.inputs import Inputs


def local_budgets(inputs: Inputs, share: float = 0.5) -> Tensor:
    """`(n,)` int64: at each node `share` of its degree, rounded down, but at least 1 where it has an edge."""
    degree = torch.bincount(inputs.edges.reshape(-1), minlength=inputs.n)
    return torch.where(degree > 0, (share * degree).long().clamp_min(1), 0)


def admitted(pairs: Tensor, local: Tensor, budget: int) -> Tensor:
    """The pairs `(2, k)`, in their order, that fit into every node's budget and the common one."""
    left, chosen = local.clone().tolist(), []
    for number, (a, b) in enumerate(pairs.T.tolist()):
        if len(chosen) == budget:
            break
        if left[a] > 0 and left[b] > 0:
            left[a] -= 1
            left[b] -= 1
            chosen.append(number)
    return pairs[:, chosen]


@dataclass(frozen=True)
class LocalPRBCD:
    """PRBCD whose answer is made to fit local budgets, and completed round by round until the budget is spent.

    In the manner of LR-BCD (Gosch et al., "Adversarial Training for Graph Neural Networks", NeurIPS 2023): a global and
    a local budget at once. Their projection onto both sets is replaced by greedy admission of the largest shares.
    """

    inner: PRBCD = field(default_factory=lambda: PRBCD(steps=25, draws=0))
    rounds: int = 3
    share: float = 0.5

    def __call__(self, model: GraphModel, inputs: Inputs, goal: Goal, generator: torch.Generator) -> Tensor:
        local = local_budgets(inputs, self.share) if goal.local is None else goal.local.clone()
        chosen, now = torch.zeros((2, 0), dtype=torch.int64), inputs
        for _ in range(self.rounds):
            left = goal.budget - chosen.shape[1]
            if left < 1:
                break
            asked = self.inner(model, now, Goal(goal.nodes, goal.labels, left), generator)
            # A pair of an earlier round would be flipped back, and counted twice.
            asked = asked[:, ~torch.isin(numbered(asked, inputs.n), numbered(chosen, inputs.n))]
            fresh = admitted(asked, local, left)
            ends = fresh.reshape(-1)
            local = local.index_add(0, ends, -torch.ones_like(ends))
            chosen = torch.cat([chosen, fresh], 1)
            now = flipped(inputs, chosen)
        return chosen
