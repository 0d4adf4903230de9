"""What every model of this system is given: features, edges with weights, and the labels that are public."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparring.systems.graph.sparse import Features


@dataclass(frozen=True)
class Inputs:
    """One graph as a model sees it.

    `edges` `(2, m)` int64 holds each undirected edge once, `weight` `(m,)` ≥ 0; `known` `(n,)` int64 holds the labels
    that a model may use at inference (those it was trained on), -1 elsewhere. `start` is where an iterative solver may
    begin; it changes the work, not the result.
    """

    features: Features
    edges: Tensor
    weight: Tensor
    known: Tensor
    start: Tensor | None = None

    @property
    def n(self) -> int:
        """Nodes, injected ones included."""
        return self.features.rows

    def rewired(self, edges: Tensor, weight: Tensor | None = None) -> Inputs:
        """The same nodes with other edges (of weight 1 if none is given)."""
        weight = torch.ones(edges.shape[1], dtype=self.weight.dtype) if weight is None else weight
        return replace(self, edges=edges, weight=weight)

    def injected(self, rows: Tensor, edges: Tensor) -> Inputs:
        """With further nodes of dense features `rows` `(k, d)` and their edges `(2, m')` of weight 1, labels
        unknown.
        """
        known = torch.cat([self.known, self.known.new_full((len(rows),), -1)])
        weight = torch.cat([self.weight, self.weight.new_ones(edges.shape[1])])
        before = self.features.extra
        extra = rows if before is None else torch.cat([before.to(rows.dtype), rows])
        return Inputs(self.features.with_extra(extra), torch.cat([self.edges, edges], 1), weight, known)

    def to(self, dtype: torch.dtype) -> Inputs:
        """In another precision."""
        return replace(self, features=self.features.to(dtype), weight=self.weight.to(dtype), start=None)
