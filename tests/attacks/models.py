"""Models whose worst cases are known, and models that only give scores or labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparring.threats.base import flat


class Linear(nn.Module):
    """Logits of flattened samples, linear and 0 at the middle of [0, 1], in double precision, with seeded weights."""

    def __init__(self, d: int, classes: int, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(classes, d, generator=generator, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return (flat(x) - 0.5) @ self.weight.T


class Steps(nn.Module):
    """A linear model seen through a staircase, like a tree: the gradient is zero almost everywhere."""

    def __init__(self, inner: nn.Module, width: float) -> None:
        super().__init__()
        self.inner, self.width = inner, width

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(torch.floor(x / self.width) * self.width)


class Noisy(nn.Module):
    """Random in evaluation mode too: global noise on the input."""

    def __init__(self, inner: nn.Module, scale: float) -> None:
        super().__init__()
        self.inner, self.scale = inner, scale

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x + self.scale * torch.randn_like(x))


class Counting(nn.Module):
    """Counts the rows that pass forward."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.rows = inner, 0

    def forward(self, x: Tensor) -> Tensor:
        self.rows += len(x)
        return self.inner(x)


class Fortress(nn.Module):
    """Nobody moves it: class 0 by far, with a small slope so that gradients exist."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor) -> Tensor:
        slope = flat(x).sum(1, keepdim=True) * torch.linspace(-1e-3, 1e-3, self.classes, dtype=x.dtype)
        slope[:, 0] += 100.0
        return slope


def seeded(seed: int = 0) -> torch.Generator:
    """A fresh generator."""
    return torch.Generator().manual_seed(seed)


def points(n: int, *shape: int, seed: int = 1) -> Tensor:
    """Inputs in [0, 1], double precision."""
    return torch.rand(n, *shape, generator=seeded(seed), dtype=torch.float64)
