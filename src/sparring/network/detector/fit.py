"""Training the layers, plain: stack on out-of-fold scores, autoencoder on benign rows, calibration on held-out ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.network.detector.forest import Forest
from sparring.network.detector.layers import Autoencoder, Perceptron, Stack
from sparring.typed import integers, step, unique_inverse


@dataclass(frozen=True)
class StackSize:
    """Size of the stack and length of its training.

    Depths are bounded so that a row costs a few dozen memory reads a tree; `folds` is the number of parts for the
    out-of-fold scores.
    """

    rounds: int = 100
    leaves: int = 31
    booster_depth: int = 10
    trees: int = 60
    tree_depth: int = 16
    hidden: tuple[int, ...] = (64, 32)
    epochs: int = 8
    batch: int = 256
    learning_rate: float = 2e-3
    folds: int = 3


DEFAULT_SIZE = StackSize()


@dataclass(frozen=True)
class AutoencoderSize:
    """Size of the autoencoders and length of their training.

    `mask` is the chance with which an input column is set to 0 while the clean row is to be rebuilt (denoising,
    Vincent et al., "Extracting and Composing Robust Features ...", ICML 2008): columns are then rebuilt from each
    other instead of copied, and unusual combinations of usual values stand out.
    """

    hidden: tuple[int, ...] = (64, 16)
    members: int = 5
    epochs: int = 10
    batch: int = 256
    learning_rate: float = 2e-3
    mask: float = 0.1


DEFAULT_AUTOENCODER = AutoencoderSize()


def fit_stack(
    x: Tensor,
    y: Tensor,
    columns: Tensor,
    size: StackSize = DEFAULT_SIZE,
    *,
    groups: Tensor | None = None,
    weight: Tensor | None = None,
    generator: torch.Generator,
) -> Stack:
    """Layer 1 on rows `(n, width)` with labels `(n,)` (1 = attack), seeing only `columns`.

    `groups` `(n,)` keeps rows of one group (a row and its adversarial versions) in one fold; `weight` `(n,)`
    weighs the rows.
    """
    seen, target = x[:, columns].float(), y.long()
    w = torch.ones(len(y)) if weight is None else weight.float()
    fold = _folds(torch.arange(len(y)) if groups is None else groups, size.folds, generator)
    held_out = torch.zeros(len(y), 3, dtype=torch.float64)
    for k in range(size.folds):
        part = _members(seen[fold != k], target[fold != k], w[fold != k], columns, size, generator)
        with torch.no_grad():
            held_out[fold == k] = Stack(torch.arange(seen.shape[1]), *part).members(seen[fold == k])
    stack = Stack(columns, *_members(seen, target, w, columns, size, generator))
    coefficient, intercept = _regression(held_out.numpy(), target.numpy(), w.numpy())
    stack.weight.copy_(torch.as_tensor(coefficient))
    stack.bias.copy_(torch.tensor(intercept))
    return stack.eval()


def fit_autoencoder(
    benign: Tensor, columns: Tensor, size: AutoencoderSize = DEFAULT_AUTOENCODER, *, generator: torch.Generator
) -> Autoencoder:
    """Layer 2 on benign rows `(n, width)`, seeing only `columns`; every member has its own masks and weights."""
    model, rows = Autoencoder(columns, size.hidden, size.members, generator), benign[:, columns].float()

    def loss(batch: Tensor) -> Tensor:
        clean = rows[batch]
        keep = torch.rand(size.members, *clean.shape, generator=generator) >= size.mask
        return (model.reconstruct(clean * keep) - clean).square().mean((1, 2)).sum()

    _descend(model, loss, len(rows), size.epochs, size.batch, size.learning_rate, generator)
    return model.eval()


def fit_perceptron(x: Tensor, y: Tensor, weight: Tensor, size: StackSize, generator: torch.Generator) -> Perceptron:
    """The stack's network alone, on rows `(n, d)` float32."""
    model = Perceptron((x.shape[1], *size.hidden, 1), generator)

    def loss(batch: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(model(x[batch]), y[batch].float(), weight=weight[batch])

    _descend(model, loss, len(x), size.epochs, size.batch, size.learning_rate, generator)
    return model.eval()


def fit_booster(x: Tensor, y: Tensor, weight: Tensor, size: StackSize, seed: int) -> Forest:
    """LightGBM on rows `(n, d)` float32, taken over as a `Forest`."""
    import lightgbm

    parameters: dict[str, Any] = {
        "objective": "binary",
        "num_leaves": size.leaves,
        "max_depth": size.booster_depth,
        "learning_rate": 0.1,
        "use_missing": False,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": seed,
        "verbose": -1,
    }
    data = lightgbm.Dataset(x.numpy(), y.numpy(), weight=weight.numpy())
    return Forest.from_lightgbm(cast(Any, lightgbm).train(parameters, data, size.rounds))


def fit_trees(x: Tensor, y: Tensor, weight: Tensor, size: StackSize, seed: int) -> Forest:
    """Extremely randomised trees on rows `(n, d)` float32, taken over as a `Forest` of the attack probability."""
    from sklearn.ensemble import ExtraTreesClassifier

    ensemble = ExtraTreesClassifier(
        size.trees, max_depth=size.tree_depth, min_samples_leaf=2, n_jobs=1, random_state=seed
    )
    return Forest.from_sklearn(ensemble.fit(x.numpy(), y.numpy(), sample_weight=weight.numpy()))


def split(n: int, shares: Sequence[float], *, generator: torch.Generator) -> list[Tensor]:
    """Disjoint random index sets of these shares of `range(n)`; the shares sum to at most 1."""
    order = torch.randperm(n, generator=generator)
    edges = [round(n * sum(shares[:i])) for i in range(len(shares) + 1)]
    return [order[a:b] for a, b in pairwise(edges)]


def _members(
    x: Tensor, y: Tensor, w: Tensor, columns: Tensor, size: StackSize, generator: torch.Generator
) -> tuple[Forest, Forest, Perceptron]:
    seeds = integers(torch.randint(2**31 - 1, (2,), generator=generator))
    network = fit_perceptron(x, y, w, size, generator)
    return fit_booster(x, y, w, size, seeds[0]), fit_trees(x, y, w, size, seeds[1]), network


def _folds(groups: Tensor, folds: int, generator: torch.Generator) -> Tensor:
    """A fold number per row, the same within a group; folds of equal size up to one group."""
    names, index = unique_inverse(groups)
    return (torch.randperm(len(names), generator=generator) % folds)[index]


def _regression(scores: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, float]:
    """Logistic regression with non-negative weights: a member that misleads is dropped, never inverted."""
    from scipy.optimize import minimize

    def loss(p: np.ndarray) -> tuple[float, np.ndarray]:
        z = scores @ p[:3] + p[3]
        value = np.logaddexp(0, z) - y * z
        slope = w * (1 / (1 + np.exp(-np.clip(z, -500, 500))) - y) / w.sum()
        gradient = np.append(scores.T @ slope + 1e-3 * p[:3], slope.sum())
        return float((w * value).sum() / w.sum() + 5e-4 * (p[:3] ** 2).sum()), gradient

    found = minimize(loss, np.array([1 / 3, 1 / 3, 1 / 3, 0.0]), jac=True, bounds=[(0, None)] * 3 + [(None, None)])
    return found.x[:3], float(found.x[3])


def _descend(
    model: nn.Module,
    loss: Callable[[Tensor], Tensor],
    n: int,
    epochs: int,
    batch: int,
    learning_rate: float,
    generator: torch.Generator,
) -> None:
    """Adam on `loss(indices of a batch)`, learning rate falling linearly to 0."""
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    steps = epochs * -(-n // batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: max(0.0, 1 - done / steps))
    for _ in range(epochs):
        for rows in torch.split(torch.randperm(n, generator=generator), batch):
            optimizer.zero_grad()
            torch.autograd.backward(loss(rows))
            step(optimizer)
            schedule.step()
