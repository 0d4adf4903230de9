"""Small graphs that the tests share."""

from __future__ import annotations

import numpy as np
import torch

from sparring.systems.graph.graph import Graph, simple
from sparring.systems.graph.sparse import Features


def blocks(n: int = 60, classes: int = 3, inside: float = 0.2, across: float = 0.02, seed: int = 0) -> Graph:
    """A stochastic block model whose features name the class with noise."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    chance = np.where(y[:, None] == y[None], inside, across)
    hit = np.triu(rng.random((n, n)) < chance, 1)
    edges, weight, _ = simple(np.stack(np.nonzero(hit)), None, n, "blocks")
    x = (rng.random((n, 12)) < 0.15) | (np.arange(12)[None] % classes == y[:, None]) & (rng.random((n, 12)) < 0.5)
    return Graph("blocks", edges, weight, Features.dense(torch.from_numpy(x.astype(np.float32))), torch.from_numpy(y))
