"""A graph with node features and labels: checked once, when it is made."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sparring.errors import BadInput
from sparring.systems.graph.inputs import Inputs
from sparring.systems.graph.sparse import Features


@dataclass(frozen=True)
class Graph:
    """`edges` `(2, m)` int64, each undirected edge once with `edges[0] < edges[1]`; `weight` `(m,)` > 0 float32;
    `labels` `(n,)` int64, -1 where unknown; `names` the nodes' own ids where they are not 0 ... n-1.

    `positional` tells that the features were made from the edges; `mended` says in words what was changed in the given
    data to make it a simple undirected graph.
    """

    name: str
    edges: Tensor
    weight: Tensor
    features: Features
    labels: Tensor
    names: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()
    positional: bool = False

    @property
    def n(self) -> int:
        """Nodes."""
        return len(self.labels)

    @property
    def m(self) -> int:
        """Undirected edges."""
        return self.edges.shape[1]

    @property
    def classes(self) -> int:
        """One more than the largest label."""
        return int(self.labels.max()) + 1

    @property
    def homophily(self) -> float:
        """Share of the edges between labelled nodes that join equal labels; 1 where there is no such edge."""
        a, b = self.labels[self.edges]
        both = (a >= 0) & (b >= 0)
        return float((a == b)[both].double().mean()) if bool(both.any()) else 1.0

    def sha256(self) -> str:
        """Of edges, weights, features and labels."""
        digest = hashlib.sha256()
        stored = self.features.sparse
        for part in (
            stored.crow_indices(),
            stored.col_indices(),
            stored.values(),
            self.edges,
            self.weight,
            self.labels,
        ):
            digest.update(part.numpy().tobytes())
        return digest.hexdigest()

    def inputs(self, known: Tensor | None = None) -> Inputs:
        """As a model sees it; `known` are the nodes `(k,)` whose labels are public."""
        public = torch.full_like(self.labels, -1)
        if known is not None:
            public[known] = self.labels[known]
        return Inputs(self.features, self.edges, self.weight, public)

    def induced(self, nodes: Tensor) -> Graph:
        """The subgraph of these nodes `(k,)`, renumbered in their order."""
        position = torch.full((self.n,), -1)
        position[nodes] = torch.arange(len(nodes))
        a, b = position[self.edges]
        kept = (a >= 0) & (b >= 0)
        ends = torch.stack([torch.minimum(a, b), torch.maximum(a, b)])[:, kept]
        names = tuple(self.names[k] for k in nodes.tolist()) if self.names else ()
        return Graph(self.name, ends, self.weight[kept], self.features.take(nodes), self.labels[nodes], names)

    def rewired(self, edges: Tensor, weight: Tensor | None = None) -> Graph:
        """The same nodes with other edges."""
        return replace(self, edges=edges, weight=torch.ones(edges.shape[1]) if weight is None else weight)


def simple(pairs: ArrayLike, weight: ArrayLike | None, n: int, source: str) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Any list of pairs `(2, k)` as a simple undirected graph: loops dropped, both directions and repeats joined.

    Returns edges, weights (of joined pairs the largest) and what was changed, in words. Raises `BadInput` for ends
    outside 0 ... n-1 or not whole, and for weights that are negative or no numbers; edges of weight 0 are dropped.
    """
    given = np.asarray(pairs)
    if given.size and given.dtype.kind not in "iu":
        raise BadInput(f"{source}: edge ends are {given.dtype}; give whole numbers")
    ends: NDArray[np.int64] = given.astype(np.int64).reshape(2, -1)
    value = np.ones(ends.shape[1]) if weight is None else np.asarray(weight, np.float64).reshape(-1)
    if len(value) != ends.shape[1]:
        raise BadInput(f"{source}: {len(value)} edge weights for {ends.shape[1]} edges; give one weight an edge")
    if ends.size and (ends.min() < 0 or ends.max() >= n):
        bad = int(ends.min() if ends.min() < 0 else ends.max())
        raise BadInput(f"{source}: edge end {bad} is outside 0 ... {n - 1}; renumber the nodes or add the missing ones")
    if not np.isfinite(value).all() or (value < 0).any():
        raise BadInput(f"{source}: edge weights must be positive numbers; drop or mend the others")
    nothing = value == 0
    ends, value = ends[:, ~nothing], value[~nothing]
    loops = ends[0] == ends[1]
    low, high, kept = ends.min(0)[~loops], ends.max(0)[~loops], value[~loops]
    forward = ends[0][~loops] < ends[1][~loops]
    key = low * np.int64(n) + high
    unique, at = np.unique(key, return_inverse=True)
    joined = np.zeros(len(unique))
    np.maximum.at(joined, at, kept)
    told = [f"{int(nothing.sum())} edges of weight 0 dropped"] if nothing.any() else []
    told += [f"{int(loops.sum())} self loops dropped"] if loops.any() else []
    ways = np.zeros((2, len(unique)), np.int64)
    np.add.at(ways, (forward.astype(np.int64), at), 1)
    repeats, one_way = int((ways - 1).clip(min=0).sum()), int((ways.min(0) == 0).sum())
    if repeats:
        told.append(f"{repeats} repeated edges joined")
    if one_way < len(unique) and one_way:
        told.append(f"{one_way} edges given in one direction only were taken as undirected")
    edges = torch.from_numpy(np.stack([unique // n, unique % n]) if len(unique) else np.zeros((2, 0), np.int64))
    return edges, torch.from_numpy(joined.astype(np.float32)), tuple(told)
