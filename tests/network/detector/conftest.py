"""A small flow world: four columns the attacker cannot move, three it can."""

import pytest
import torch

from sparring.network.detector.fit import AutoencoderSize, StackSize

FIXED = torch.arange(4)
SMALL = StackSize(rounds=15, trees=8, tree_depth=6, hidden=(16,), epochs=4, folds=2)
SMALL_AUTOENCODER = AutoencoderSize(hidden=(8, 1), members=2, epochs=30, batch=32, learning_rate=5e-3, mask=0.0)


@pytest.fixture(scope="session")
def flows():
    """Rows `(900, 7)` and labels: attacks differ a little in the fixed columns and much in column 5."""
    g = torch.Generator().manual_seed(3)
    y = torch.rand(900, generator=g) < 0.4
    x = torch.rand(900, 7, generator=g, dtype=torch.float64) * 0.5
    x[:, 1], x[:, 2], x[:, 3] = x[:, 0], 0.5 - x[:, 0], 0.3
    x[y, 1] = x[y, 0] + 0.05 + 0.2 * torch.rand(int(y.sum()), generator=g, dtype=torch.float64)
    x[:, 5] = torch.where(y, 0.9, 0.1) + 0.05 * x[:, 5]
    return x, y
