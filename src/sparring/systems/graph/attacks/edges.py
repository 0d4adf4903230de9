"""What attacks on edges share: pairs of nodes as numbers, flipping them, and what an attacker wants to raise."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.objectives import margin
from sparring.systems.graph.inputs import Inputs

GraphModel = Callable[[Inputs], Tensor]
"""Inputs to logits `(n, classes)`."""

Loss = Literal["raw", "scale-free", "cross-entropy"]


@dataclass(frozen=True)
class Goal:
    """The nodes `(k,)` whose classes `labels` `(k,)` the attacker wants to be missed.

    `budget` counts undirected edges that may be added or removed; `local`, where given, `(n,)` int64 bounds the changes
    at each node as well.
    """

    nodes: Tensor
    labels: Tensor
    budget: int
    local: Tensor | None = None

    def accuracy(self, model: GraphModel, inputs: Inputs) -> float:
        """Share of the nodes that the model still gets right."""
        with torch.no_grad():
            return float((model(inputs)[self.nodes].argmax(1) == self.labels).double().mean())


class EdgeAttack(Protocol):
    """An attack that chooses pairs `(2, k)`, k ≤ budget, each to be flipped once."""

    def __call__(self, model: GraphModel, inputs: Inputs, goal: Goal, generator: torch.Generator) -> Tensor: ...


def payoff(logits: Tensor, labels: Tensor, loss: Loss) -> Tensor:
    """What the attacker raises: mean over the nodes of the tanh of the margin by which the class is missed.

    "scale-free" divides the margins by their median magnitude first, so that a model cannot hide its gradients by the
    size of its logits; "raw" does not. Geisler et al., "Robustness of Graph Neural Networks at Scale", NeurIPS 2021,
    section 2 (tanh margin).
    """
    if loss == "cross-entropy":
        return F.cross_entropy(logits, labels)
    missed = margin(logits, labels)
    if loss == "scale-free":
        missed = missed / missed.detach().abs().median().clamp_min(1e-12)
    return torch.tanh(missed).mean()


def numbered(pairs: Tensor, n: int) -> Tensor:
    """Pairs `(2, k)` as numbers `(k,)`, the same for both orders."""
    return torch.minimum(pairs[0], pairs[1]) * n + torch.maximum(pairs[0], pairs[1])


def paired(numbers: Tensor, n: int) -> Tensor:
    """The pairs `(2, k)` behind the numbers, lower end first."""
    return torch.stack([numbers // n, numbers % n])


def drawn(nodes: Tensor, n: int, k: int, generator: torch.Generator) -> Tensor:
    """Numbers of up to `k` different pairs with at least one end among `nodes`, sorted."""
    a = nodes[torch.randint(len(nodes), (k,), generator=generator)]
    b = torch.randint(n, (k,), generator=generator)
    return numbered(torch.stack([a, b]), n)[a != b].unique()


def flipped(inputs: Inputs, pairs: Tensor) -> Inputs:
    """The inputs with each pair flipped: edges among them removed, the others added with weight 1."""
    n = inputs.n
    own, asked = numbered(inputs.edges, n), numbered(pairs, n).unique()
    kept = ~torch.isin(own, asked)
    new = asked[~torch.isin(asked, own)]
    edges = torch.cat([inputs.edges[:, kept], paired(new, n)], 1)
    weight = torch.cat([inputs.weight[kept], inputs.weight.new_ones(len(new))])
    return replace(inputs, edges=edges, weight=weight, start=None)


@dataclass(frozen=True)
class Relaxed:
    """The graph with candidate pairs that may be flipped in part.

    A candidate that is an edge lowers its weight by the share it is flipped, another one gains that share as weight.
    """

    edges: Tensor
    base: Tensor
    sign: Tensor
    at: Tensor

    @classmethod
    def of(cls, inputs: Inputs, candidates: Tensor) -> Relaxed:
        """For candidate numbers `(k,)`, sorted and different."""
        n = inputs.n
        own = numbered(inputs.edges, n)
        order = torch.argsort(own)
        ordered = own[order]
        spot = torch.searchsorted(ordered, candidates).clamp(max=max(len(ordered) - 1, 0))
        there = ordered[spot] == candidates if len(ordered) else torch.zeros(len(candidates), dtype=torch.bool)
        new = candidates[~there]
        at = torch.empty(len(candidates), dtype=torch.int64)
        at[there] = order[spot[there]] if len(ordered) else at[there]
        at[~there] = len(own) + torch.arange(len(new))
        edges = torch.cat([inputs.edges, paired(new, n)], 1)
        base = torch.cat([inputs.weight, inputs.weight.new_zeros(len(new))])
        sign = torch.where(there, -base[at], 1.0)
        return cls(edges, base, sign, at)

    def inputs(self, inputs: Inputs, share: Tensor) -> Inputs:
        """With the candidates flipped by `share` `(k,)` in [0, 1]."""
        weight = self.base.index_add(0, self.at, self.sign * share.to(self.base.dtype))
        return replace(inputs, edges=self.edges, weight=weight)
