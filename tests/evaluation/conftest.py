from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class Stripes(nn.Module):
    """Class 1 where the first entry is above 0.5: the exact distance to the boundary is known."""

    def __init__(self, *, one_logit: bool = False) -> None:
        super().__init__()
        self.one_logit = one_logit

    def forward(self, x: Tensor) -> Tensor:
        z = 4 * (x[:, 0] - 0.5)
        return z if self.one_logit else torch.stack([-z, z], 1)


@pytest.fixture
def stripes() -> Stripes:
    return Stripes()


@pytest.fixture
def ladder() -> tuple[Tensor, Tensor]:
    """Forty points at known distances 0.0125, 0.0375, ... from the boundary of `Stripes`."""
    first = (torch.arange(40) + 0.5) / 40
    x = torch.stack([first, torch.full_like(first, 0.5)], 1)
    return x, (first > 0.5).long()
