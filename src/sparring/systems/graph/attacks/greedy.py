"""Greedy flips: in each round the pairs whose gradient promises most are flipped, and stay so."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.systems.graph.attacks.edges import (
    Goal,
    GraphModel,
    Loss,
    Relaxed,
    drawn,
    flipped,
    numbered,
    paired,
    payoff,
)
from sparring.systems.graph.inputs import Inputs


@dataclass(frozen=True)
class Greedy:
    """Greedy randomised block coordinate descent (GR-BCD; Geisler et al., NeurIPS 2021, section 3).

    `rounds` rounds share the budget; each looks at `block` fresh pairs and at all present edges of the attacked nodes.
    """

    loss: Loss = "scale-free"
    rounds: int = 30
    block: int = 100_000

    def __call__(self, model: GraphModel, inputs: Inputs, goal: Goal, generator: torch.Generator) -> Tensor:
        n, chosen = inputs.n, torch.zeros(0, dtype=torch.int64)
        now = inputs
        wanted = torch.zeros(n, dtype=torch.bool)
        wanted[goal.nodes] = True
        present = numbered(inputs.edges, n)[wanted[inputs.edges].any(0)]
        for number in range(self.rounds):
            spend = goal.budget * (number + 1) // self.rounds - len(chosen)
            if spend < 1:
                continue
            candidates = torch.cat([drawn(goal.nodes, n, self.block, generator), present]).unique()
            candidates = candidates[~torch.isin(candidates, chosen)]
            relaxed = Relaxed.of(now, candidates)
            share = torch.zeros(len(candidates)).requires_grad_()
            logits = model(relaxed.inputs(now, share))
            (grad,) = torch.autograd.grad(payoff(logits[goal.nodes], goal.labels, self.loss), share)
            chosen = torch.cat([chosen, candidates[grad.topk(min(spend, len(grad))).indices]])
            now = flipped(inputs, paired(chosen, n))
        return paired(chosen, n)
