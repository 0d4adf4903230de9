"""What no change of edges or nodes can do to a ClipFlow: deterministic certificates, one solve for all nodes.

Let X*, Y* be the equilibria of two graphs that differ in `delta_i` edges at node i, and e = Y* - X*. Subtracting their
equations gives `(lam I + L) e = p` with `|p_i| <= w c delta_i` (w bounds the edge weights) and a Laplacian L of secant
weights. That matrix is a symmetric M-matrix; its inverse is non-negative with row and column sums 1 / lam. So in each
class coordinate

    max_i |e_i| <= w c max_i delta_i / lam        sum_i |e_i| <= w c sum_i delta_i / lam

whatever edges were added, removed or run to injected nodes, whose features do not enter. The solver's own residual,
over
lam, bounds how far the computed X* lies from the true one, and is taken off every margin.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.systems.graph.clipflow import EXACT, Accuracy, ClipFlow, Pull, solve
from sparring.systems.graph.inputs import Inputs


@dataclass(frozen=True)
class Certificate:
    """What is proved of one ClipFlow on one graph. All nodes are certified at once, in float64.

    `predicted` `(n,)` are the classes; `margins` `(n,)` float64 the lead of that class over the next one, less twice
    the solver's error; `heaviest` the largest weight an edge may have.
    """

    predicted: Tensor
    margins: Tensor
    classes: int
    pull: Pull
    heaviest: float
    residual: float

    def changes(self) -> Tensor:
        """`(n,)` int64: a node keeps its class as long as no node anywhere has more changed edges than this.

        0 means that nothing is proved. An injected node's edge counts as one changed edge at its other end.
        """
        unit = 2 * self.heaviest * self.pull.c / self.pull.lam
        return torch.ceil(self.margins / unit - 1).clamp_min(0).to(torch.int64)

    def holds(self, changes: int) -> Tensor:
        """`(n,)` bool: the class is the same whatever is done to up to `changes` edges at *every* node at once."""
        unit = 2 * self.heaviest * self.pull.c / self.pull.lam
        return self.margins > changes * unit

    def standing(self, right: Tensor, flips: int, *, injected: bool = False) -> int:
        """At least so many of the nodes `right` `(k,)` (numbers) keep their class under `flips` flips anywhere.

        A node that falls has lost its margin between two coordinates, and all coordinates together have moved by at
        most `classes * ends * flips * w c / lam` (`ends` 2; 1 for edges of injected nodes): the smallest margins whose
        sum fits into that may fall, no more. No single node moves by more than one coordinate's whole sum either.
        """
        ends = 1 if injected else 2
        each = ends * flips * self.heaviest * self.pull.c / self.pull.lam
        ordered = self.margins[right].clamp_min(0).sort().values
        spent = ordered.cumsum(0)
        fallen = int((spent <= self.classes * each).sum())
        return len(right) - min(fallen, int((ordered <= 2 * each).sum()))


@torch.no_grad()
def certify(model: ClipFlow, inputs: Inputs, *, heaviest: float = 1.0, accuracy: Accuracy = EXACT) -> Certificate:
    """The certificate of `model` on a graph. `heaviest` bounds the weight of edges that an attacker may add.

    Raises `ValueError` for negative edge weights, for which nothing holds.
    """
    if bool((inputs.weight < 0).any()):
        raise ValueError("the certificate needs edge weights of at least 0")
    x0 = model.anchors(inputs).double()
    x, residual = solve(x0, inputs.edges, inputs.weight.double(), model.pull, accuracy)
    bound = max([heaviest, *inputs.weight.max().reshape(1).tolist()]) if inputs.weight.numel() else heaviest
    top = x.topk(2, 1)
    margins = top.values[:, 0] - top.values[:, 1] - 2 * residual
    return Certificate(top.indices[:, 0], margins, x.shape[1], model.pull, float(bound), residual)
