"""PyTorch's functions whose own annotations say too little for a strict type checker, each typed once.

They do what the function of the same name does, to the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)

_torch: Any = torch


def norm(x: Tensor, p: float = 2, dim: int | tuple[int, ...] | None = None, keepdim: bool = False) -> Tensor:
    """The vector p-norm of a tensor, over all entries or over `dim`."""
    return cast(Any, x).norm(p, dim, keepdim)


def unique(x: Tensor) -> Tensor:
    """The sorted distinct values of a tensor, `(k,)`."""
    return cast(Any, x).unique()


def unique_counts(x: Tensor) -> tuple[Tensor, Tensor]:
    """The sorted distinct values `(k,)` and how often each occurs `(k,)`."""
    return cast(Any, x).unique(return_counts=True)


def unique_inverse(x: Tensor) -> tuple[Tensor, Tensor]:
    """The sorted distinct values `(k,)` and, in the shape of `x`, which of them each entry is."""
    return cast(Any, x).unique(return_inverse=True)


def numbers(x: Tensor) -> list[float]:
    """The entries of a one-dimensional tensor as Python numbers."""
    return cast(Any, x).tolist()


def integers(x: Tensor) -> list[int]:
    """The entries of a one-dimensional tensor of whole numbers (or truth values) as Python ints (or bools)."""
    return cast(Any, x).tolist()


def solve(a: Tensor, b: Tensor) -> Tensor:
    """The solution x of a x = b for square `a` `(..., n, n)`."""
    return _torch.linalg.solve(a, b)


def modules(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """All modules below and including this one, with their dotted names."""
    return cast(Any, module).named_modules()


def uninitialised(kind: type[M], *args: Any, **options: Any) -> M:
    """A module whose parameters hold whatever was in memory: for weights that are filled in next."""
    return _torch.nn.utils.skip_init(kind, *args, **options)


def forked_rng(devices: list[torch.device]) -> AbstractContextManager[None]:
    """The global random state of the CPU and the CUDA `devices` as it was before, once the block is left."""
    return _torch.random.fork_rng(devices=devices)


def step(optimizer: torch.optim.Optimizer) -> None:
    """One step of an optimiser."""
    cast(Any, optimizer).step()


def from_numpy(array: Any) -> Tensor:
    """A tensor on the memory of a NumPy array."""
    return _torch.from_numpy(array)


def split(x: Tensor, sizes: int | list[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of a tensor along `dim`, of these sizes."""
    return cast(Any, x).split(sizes, dim)


def solve_triangular(a: Tensor, b: Tensor) -> Tensor:
    """The solution x of a x = b for lower triangular `a` `(..., n, n)`."""
    return _torch.linalg.solve_triangular(a, b, upper=False)


def transposed(x: Tensor) -> Tensor:
    """The last two axes exchanged."""
    return cast(Any, x).mT


def unflatten(x: Tensor, shape: torch.Size) -> Tensor:
    """The first axis taken apart into axes of this shape."""
    return x.reshape(*shape, *x.shape[1:])
