"""PRBCD: projected gradient ascent on relaxed edge flips, over random blocks of pairs that change as it goes."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparring.systems.graph.attacks.edges import Goal, GraphModel, Loss, Relaxed, drawn, flipped, paired, payoff
from sparring.systems.graph.inputs import Inputs


def onto_budget(share: Tensor, budget: float) -> Tensor:
    """The nearest point of `{0 <= p <= 1, sum p <= budget}`, by bisection on the common shift."""
    inside = share.clamp(0, 1)
    if float(inside.sum()) <= budget:
        return inside
    low, high = float(share.min()) - 1, float(share.max())
    for _ in range(60):
        middle = (low + high) / 2
        if float((share - middle).clamp(0, 1).sum()) > budget:
            low = middle
        else:
            high = middle
    return (share - high).clamp(0, 1)


@dataclass(frozen=True)
class PRBCD:
    """Projected randomised block coordinate descent (Geisler et al., NeurIPS 2021, algorithm 1).

    `block` pairs are relaxed at a time; after every step those whose share is 0 are exchanged for fresh random ones
    (for the last quarter of the steps the block stays, to settle). At the end `draws` discrete sets are drawn from the
    shares, besides the largest ones, and the best is kept. Every pair has an end among the attacked nodes.
    """

    loss: Loss = "scale-free"
    steps: int = 50
    block: int = 20_000
    rate: float = 0.5
    draws: int = 10

    def __call__(self, model: GraphModel, inputs: Inputs, goal: Goal, generator: torch.Generator) -> Tensor:
        if goal.budget < 1:
            return torch.zeros((2, 0), dtype=torch.int64)
        n = inputs.n
        numbers = drawn(goal.nodes, n, self.block, generator)
        share = torch.zeros(len(numbers))
        start: Tensor | None = None
        for step in range(self.steps):
            grad, start = self._slope(model, inputs, goal, numbers, share, start)
            cooled = self.rate / math.sqrt(1 + max(0, step - self.steps // 2))
            scale = grad.abs().topk(min(goal.budget, len(grad))).values.mean().clamp_min(1e-30)
            share = onto_budget(share + cooled * grad / scale, goal.budget)
            if step < 3 * self.steps // 4:
                numbers, share = self._exchanged(numbers, share, goal, n, generator)
        return self._discrete(model, inputs, goal, numbers, share, generator)

    def _slope(
        self, model: GraphModel, inputs: Inputs, goal: Goal, numbers: Tensor, share: Tensor, start: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        relaxed = Relaxed.of(inputs, numbers)
        variable = share.clone().requires_grad_()
        logits = model(replace(relaxed.inputs(inputs, variable), start=start))
        (grad,) = torch.autograd.grad(payoff(logits[goal.nodes], goal.labels, self.loss), variable)
        scale = getattr(model, "temperature", None)  # an equilibrium model goes on from its last state
        return grad, None if scale is None else logits.detach() * scale

    def _exchanged(
        self, numbers: Tensor, share: Tensor, goal: Goal, n: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        held = share > 1e-6
        kept, value = numbers[held], share[held]
        fresh = drawn(goal.nodes, n, max(self.block - len(kept), 1), generator)
        fresh = fresh[~torch.isin(fresh, kept)]
        numbers, order = torch.cat([kept, fresh]).sort()
        return numbers, torch.cat([value, value.new_zeros(len(fresh))])[order]

    def _discrete(
        self, model: GraphModel, inputs: Inputs, goal: Goal, numbers: Tensor, share: Tensor, generator: torch.Generator
    ) -> Tensor:
        held = share > 1e-6
        numbers, share = numbers[held], share[held]
        best = torch.zeros((2, 0), dtype=torch.int64)
        lowest = goal.accuracy(model, inputs)
        for draw in range(self.draws + 1):
            if draw == 0:
                chosen = share.topk(min(goal.budget, len(share))).indices
            else:
                hit = (torch.rand(len(share), generator=generator) < share).nonzero().squeeze(1)
                if len(hit) > goal.budget:
                    hit = hit[share[hit].topk(goal.budget).indices]
                chosen = hit
            pairs = paired(numbers[chosen], inputs.n)
            left = goal.accuracy(model, flipped(inputs, pairs))
            if left < lowest:
                best, lowest = pairs, left
        return best
