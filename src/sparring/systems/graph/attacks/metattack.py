"""Poisoning: flips chosen on the training graph so that a model trained on it afterwards fails."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.systems.graph.attacks.edges import Relaxed, drawn, flipped, numbered, paired
from sparring.systems.graph.baselines import symmetric
from sparring.systems.graph.inputs import Inputs
from sparring.systems.graph.sparse import neighbours


@dataclass(frozen=True)
class Metattack:
    """A sparse approximation of Metattack with self-training (Zuegner & Guennemann, ICLR 2019).

    The surrogate is a linear two-step GCN on `channels` random projections of the features, trained anew in each of
    `rounds` rounds for `steps` gradient steps; the gradient of the attacker's loss on the unlabelled nodes (against the
    surrogate's own first guesses) is taken with respect to candidate pairs, with the trained weights held fixed (the
    paper's first-order variant). `block` random pairs and all edges are candidates in each round.
    """

    rounds: int = 15
    steps: int = 60
    block: int = 60_000
    channels: int = 128

    def __call__(
        self, inputs: Inputs, labels: Tensor, train: Tensor, budget: int, generator: torch.Generator
    ) -> Tensor:
        """The pairs `(2, k)` to flip, k ≤ budget; of `labels` `(n,)` only those of `train` are looked at."""
        n = inputs.n
        mixing = torch.randn((inputs.features.width, self.channels), generator=generator) / self.channels**0.5
        x = inputs.features.times(mixing).detach()
        rest = torch.ones(n, dtype=torch.bool)
        rest[train] = False
        unknown = rest.nonzero().squeeze(1)
        chosen, now = torch.zeros(0, dtype=torch.int64), inputs
        guesses: Tensor | None = None
        present = numbered(inputs.edges, n)
        for number in range(self.rounds):
            spend = budget * (number + 1) // self.rounds - len(chosen)
            if spend < 1:
                continue
            head = self._trained(x, now, labels, train)
            if guesses is None:
                with torch.no_grad():
                    guesses = (_spread(now, x) @ head).argmax(1)
            candidates = torch.cat([drawn(torch.arange(n), n, self.block, generator), present]).unique()
            candidates = candidates[~torch.isin(candidates, chosen)]
            relaxed = Relaxed.of(now, candidates)
            share = torch.zeros(len(candidates)).requires_grad_()
            logits = _spread(relaxed.inputs(now, share), x @ head)
            loss = F.cross_entropy(logits[unknown], guesses[unknown])
            (grad,) = torch.autograd.grad(loss, share)
            chosen = torch.cat([chosen, candidates[grad.topk(min(spend, len(grad))).indices]])
            now = flipped(inputs, paired(chosen, n))
        return paired(chosen, n)

    def _trained(self, x: Tensor, inputs: Inputs, labels: Tensor, train: Tensor) -> Tensor:
        h = _spread(inputs, x)[train].detach()
        head = torch.zeros((x.shape[1], int(labels[train].max()) + 1), requires_grad=True)
        optimiser = torch.optim.Adam([head], lr=0.05, weight_decay=5e-4)
        for _ in range(self.steps):
            optimiser.zero_grad()
            F.cross_entropy(h @ head, labels[train]).backward()
            optimiser.step()
        return head.detach()


def _spread(inputs: Inputs, h: Tensor) -> Tensor:
    value, own = symmetric(inputs)
    for _ in range(2):
        h = neighbours(inputs.edges, value, h) + own[:, None] * h
    return h
