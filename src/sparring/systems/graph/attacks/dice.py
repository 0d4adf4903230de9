"""Attacks that need no model: random flips, and DICE, which knows the labels."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.systems.graph.attacks.edges import Goal, GraphModel, drawn, numbered, paired
from sparring.systems.graph.inputs import Inputs


@dataclass(frozen=True)
class Dice:
    """Delete edges inside classes, connect across them (Waniek et al., Nature Human Behaviour 2018).

    `labels` `(n,)` are the classes the attacker goes by; `removed` is the share of the budget spent on deletions.
    """

    labels: Tensor
    removed: float = 0.5

    def __call__(self, model: GraphModel, inputs: Inputs, goal: Goal, generator: torch.Generator) -> Tensor:
        n, wanted = inputs.n, torch.zeros(inputs.n, dtype=torch.bool)
        wanted[goal.nodes] = True
        alike = (self.labels[inputs.edges[0]] == self.labels[inputs.edges[1]]) & wanted[inputs.edges].any(0)
        inside = inputs.edges[:, alike]
        gone = inside[:, torch.randperm(inside.shape[1], generator=generator)[: int(self.removed * goal.budget)]]
        fresh = paired(drawn(goal.nodes, n, 8 * goal.budget + 64, generator), n)
        across = fresh[:, self.labels[fresh[0]] != self.labels[fresh[1]]]
        across = across[:, ~torch.isin(numbered(across, n), numbered(inputs.edges, n))]
        order = torch.randperm(across.shape[1], generator=generator)[: goal.budget - gone.shape[1]]
        return torch.cat([gone, across[:, order]], 1)


@dataclass(frozen=True)
class RandomFlips:
    """Pairs at random, each with an end among the attacked nodes."""

    def __call__(self, model: GraphModel, inputs: Inputs, goal: Goal, generator: torch.Generator) -> Tensor:
        numbers = drawn(goal.nodes, inputs.n, 2 * goal.budget + 16, generator)
        return paired(numbers[torch.randperm(len(numbers), generator=generator)[: goal.budget]], inputs.n)
