"""Graphs that the system knows: embedded ones, Cora and Citeseer from the data folder, and the splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sparring.systems.graph.graph import Graph, simple
from sparring.systems.graph.sparse import Features

PUBLISHED_SPLITS = (1234, 2021, 1309, 4242, 1698)
"""Random states of the five 10/10/80 splits of Mujkanovic et al., "Are Defenses for Graph Neural Networks Robust?",
NeurIPS 2022."""


@dataclass(frozen=True)
class Split:
    """Node numbers of the roles. `inductive`: validation and test nodes, and their edges, are unseen in training."""

    train: Tensor
    valid: Tensor
    test: Tensor
    inductive: bool


def compact(path: Path, name: str) -> Graph:
    """A graph from this project's npz form: `edges` (2, m), `y` (n,), and binary features as CSR index arrays."""
    with np.load(path, allow_pickle=False) as stored:
        y = stored["y"].astype(np.int64)
        edges, weight, mended = simple(stored["edges"].astype(np.int64), None, len(y), str(path))
        start = torch.from_numpy(stored["x_indptr"].astype(np.int64))
        col = torch.from_numpy(stored["x_indices"].astype(np.int64))
        features = Features.of(start, col, torch.ones(len(col)), int(stored["x_cols"]))
    return Graph(name, edges, weight, features, torch.from_numpy(y), mended=mended)


def transductive(labels: Tensor, state: int, train: float = 0.1, valid: float = 0.1) -> Split:
    """Class by class 10 % to train, 10 % to choose by, 80 % to test; all features and edges are seen in training.

    The same nodes as Mujkanovic et al. for the random states `PUBLISHED_SPLITS`.
    """
    from sklearn.model_selection import train_test_split

    y = labels.numpy()
    both, test = train_test_split(
        np.flatnonzero(y >= 0), train_size=train + valid, stratify=y[y >= 0], random_state=state
    )
    first, second = train_test_split(both, train_size=train / (train + valid), stratify=y[both], random_state=state)
    return Split(torch.from_numpy(first), torch.from_numpy(second), torch.from_numpy(test), False)


def inductive(graph: Graph, state: int) -> Split:
    """The "full" split of the GRB benchmark (Zheng et al., NeurIPS 2021): 60 % train, test nodes from three degree
    bands.

    Nodes are sorted by degree, the lowest 5 % and the top are left out of the test bands; each band of 30 % gives 10 %
    of all nodes to the test. Of the rest 60 % of all nodes train and the remaining ones are for choosing.
    """
    generator = np.random.default_rng(state)
    degree = torch.bincount(graph.edges.reshape(-1), minlength=graph.n).numpy()
    usable = np.flatnonzero(graph.labels.numpy() >= 0)
    order = usable[np.argsort(degree[usable], kind="stable")]
    n = len(order)
    low, band, take = int(0.05 * n), int(0.30 * n), int(0.10 * n)
    test = np.concatenate(
        [generator.choice(order[low + k * band : low + (k + 1) * band], take, replace=False) for k in range(3)]
    )
    rest = generator.permutation(np.setdiff1d(order, test))
    count = int(0.6 * n)
    as_tensor = [torch.from_numpy(np.sort(part)) for part in (rest[:count], rest[count:], test)]
    return Split(as_tensor[0], as_tensor[1], as_tensor[2], True)
