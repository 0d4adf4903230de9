"""The measures against other people's code, on the same features."""

import numpy as np
import pytest
import torch

from sparring.systems.images.yardstick import prdc

peer = pytest.importorskip("prdc")


@pytest.mark.parametrize("k", [3, 5])
def test_neighbours_agree_with_the_package_prdc(k: int) -> None:
    generator = torch.Generator().manual_seed(k)
    real = torch.randn(400, 12, generator=generator)
    drawn = 1.3 * torch.randn(300, 12, generator=generator) + 0.2
    theirs = peer.compute_prdc(real.double().numpy(), drawn.double().numpy(), nearest_k=k)
    ours = prdc(real, drawn, k)
    for name, value in theirs.items():
        np.testing.assert_allclose(getattr(ours, name), value, atol=1e-6)
