"""Graphs that the system knows: embedded ones, Cora and Citeseer from the data folder, and the splits."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sparring.data import sources
from sparring.errors import BadInput
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


def halves(labels: Tensor, state: int) -> Split:
    """Half of the labelled nodes to train and half to choose by, class by class; the unlabelled ones are the test.

    Raises `BadInput` where a class has fewer than two.
    """
    from sklearn.model_selection import train_test_split

    y = labels.numpy()
    counts = np.bincount(y[y >= 0])
    if counts.size < 2 or counts[counts > 0].min() < 2:
        raise BadInput("y: every class needs at least 2 known labels, one to train on and one to choose by")
    first, second = train_test_split(np.flatnonzero(y >= 0), test_size=0.5, stratify=y[y >= 0], random_state=state)
    rest = torch.from_numpy(np.flatnonzero(y < 0))
    return Split(torch.from_numpy(first), torch.from_numpy(second), rest, False)


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


EMBEDDED = ("digits", "blocks", "karate")


def load(name: str, data: Path | None = None) -> Graph:
    """A graph by its name: an embedded one, or the user's copy of a real set. Raises `BadInput` where it is missing."""
    match name:
        case "digits":
            return digits()
        case "blocks":
            return blocks()
        case "karate":
            return karate()
        case _:
            return compact(sources.locate(name, None, data), name)


def split_of(graph: Graph, protocol: str, seed: int) -> Split:
    """Split number `seed` of a protocol; the first five are the published ones. Raises `BadInput` if labels are too
    few.
    """
    state = PUBLISHED_SPLITS[seed] if seed < len(PUBLISHED_SPLITS) else seed
    known = graph.labels[graph.labels >= 0]
    share = 0.1 if len(known) * 0.1 >= 2 * graph.classes else 0.3
    smallest = int(torch.bincount(known).clamp_min(0)[known.unique()].min())
    if smallest < 4:
        raise BadInput(f"{graph.name}: a class has {smallest} labelled nodes; every class needs at least 4 to be split")
    return transductive(graph.labels, state, share, share) if protocol == "transductive" else inductive(graph, state)


def digits(neighbours: int = 5) -> Graph:
    """1,797 real handwritten digits of scikit-learn, each joined to its nearest ones in pixels: `(n, 64)` in [0, 1]."""
    from sklearn.datasets import load_digits
    from sklearn.neighbors import kneighbors_graph

    x, y = load_digits(return_X_y=True)
    joined = kneighbors_graph(x, neighbours).tocoo()
    edges, weight, _ = simple(np.stack([joined.row, joined.col]), None, len(y), "digits")
    features = Features.dense(torch.from_numpy((x / 16).astype(np.float32)))
    return Graph("digits", edges, weight, features, torch.from_numpy(y.astype(np.int64)))


def blocks(
    n: int = 1000, classes: int = 4, degree: float = 6.0, homophily: float = 0.85, signal: float = 1.0, seed: int = 0
) -> Graph:
    """A contextual stochastic block model: class means `signal` apart from noise of variance 1, in 16 channels.

    `homophily` of the edges join equal classes; the truth is known, so certificates can be checked against it.
    Deshpande
    et al., "Contextual Stochastic Block Models", NeurIPS 2018.
    """
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=n)
    count = int(n * degree / 2)
    first = rng.integers(n, size=3 * count)
    same = rng.random(len(first)) < homophily
    second = rng.integers(n, size=len(first))
    fits = (y[first] == y[second]) == same
    for _ in range(30):
        second = np.where(fits, second, rng.integers(n, size=len(first)))
        fits = (y[first] == y[second]) == same
    edges, weight, _ = simple(np.stack([first, second])[:, fits][:, :count], None, n, "blocks")
    means = rng.standard_normal((classes, 16)) * signal
    x = (means[y] + rng.standard_normal((n, 16))).astype(np.float32)
    return Graph("blocks", edges, weight, Features.dense(torch.from_numpy(x)), torch.from_numpy(y.astype(np.int64)))


def karate() -> Graph:
    """Zachary's karate club, 34 members and the two sides of its split; features are positional."""
    from sparring.systems.graph.readers import from_networkx

    networkx = import_module("networkx")
    club = networkx.karate_club_graph()
    for _, _, held in club.edges(data=True):
        held.clear()
    return from_networkx(club, label="club", name="karate")
