"""PyTorch's functions whose own annotations say too little for a strict type checker, each typed once.

They do what the function of the same name does, to the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


def eigen(a: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues `(..., n)`, rising, and eigenvectors `(..., n, n)`, one a column, of symmetric `a` `(..., n, n)`."""
    return _torch.linalg.eigh(a)


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


def unique_rows(x: Tensor) -> Tensor:
    """The distinct rows of a tensor."""
    return cast(Any, x).unique(dim=0)


def rfft(x: Tensor, n: int | None = None) -> Tensor:
    """The one-sided discrete Fourier transform along the last axis, of length `n`."""
    return _torch.fft.rfft(x, n=n)


def irfft(x: Tensor, n: int) -> Tensor:
    """The real signal of length `n` with that one-sided spectrum."""
    return _torch.fft.irfft(x, n=n)


def fft(x: Tensor, n: int | None = None) -> Tensor:
    """The discrete Fourier transform along the last axis, of length `n`."""
    return _torch.fft.fft(x, n=n)


def ifft(x: Tensor) -> Tensor:
    """The signal with that two-sided spectrum."""
    return _torch.fft.ifft(x)


def rfftfreq(n: int, spacing: float, like: Tensor) -> Tensor:
    """The frequencies of `rfft`'s output, in the dtype and on the device of `like`."""
    return _torch.fft.rfftfreq(n, spacing, dtype=like.dtype, device=like.device)


def on_gradient(x: Tensor, hook: Callable[[Tensor], Tensor | None]) -> None:
    """Let `hook` see, and replace where it returns something, the gradient that reaches `x`."""
    cast(Any, x).register_hook(hook)


def first(where: Tensor) -> list[int]:
    """The index of the first true entry."""
    return integers(cast(Any, where).nonzero()[0])
