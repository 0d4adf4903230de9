"""A name for an alert: which of the attack families that training saw a flow is nearest to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparring.typed import solve

_SHRINKAGE = 1e-3
_SMALLEST = 1e-9
"""Variance that every column has at least; columns lie on the unit scale."""


class Families(nn.Module):
    """Linear discriminant functions, one a family: `(n, width) -> (n, families)` float64, the largest names the row.

    It names alerts and raises none: an attacker who fools it changes a word, not a verdict.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, names: Sequence[str], width: int) -> None:
        super().__init__()
        self.names = tuple(names)
        self.register_buffer("weight", torch.zeros(len(self.names), width, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(len(self.names), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return x.double() @ self.weight.T + self.bias

    def name(self, x: Tensor) -> list[str]:
        """The family of every row."""
        return [self.names[i] for i in self(x).argmax(1).tolist()]


def fit_families(x: Tensor, family: NDArray[np.str_]) -> Families:
    """From attack rows `(n, width)` and their families `(n,)`.

    Linear discriminant analysis (Fisher, Annals of Eugenics 7, 1936). The pooled covariance is shrunk a little, since
    one-hot columns depend on each other, and never singular, since floods repeat themselves to the bit.
    """
    if len(x) == 0:
        raise ValueError("families need attack rows")
    names, index = np.unique(family.astype(str), return_inverse=True)
    families, member = Families(names.tolist(), x.shape[1]), torch.as_tensor(index)
    share = torch.bincount(member).double() / len(x)
    mean = torch.stack([x[member == k].double().mean(0) for k in range(len(names))])
    inner = x.double() - mean[member]
    covariance = inner.T @ inner / len(x)
    typical = covariance.diagonal().mean()
    covariance = (1 - _SHRINKAGE) * covariance + (_SHRINKAGE * typical + _SMALLEST) * torch.eye(x.shape[1])
    families.weight.copy_(solve(covariance, mean.T).T)
    families.bias.copy_(share.log() - 0.5 * (mean * families.weight).sum(1))
    return families
