from __future__ import annotations

import pytest
import torch

from sparring.threats import LInf
from sparring.threats.base import symmetric


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (101, 7)])
def test_draws_are_uniform_between_minus_one_and_one(dtype, shape) -> None:
    x = torch.zeros((4, *shape), dtype=dtype)
    drawn = symmetric(x, torch.Generator().manual_seed(0))
    assert drawn.shape == x.shape
    assert drawn.dtype == dtype
    assert float(drawn.abs().max()) <= 1
    if shape == (101, 7):
        assert abs(float(drawn.double().mean())) < 0.05
        assert float(drawn.double().square().mean()) == pytest.approx(1 / 3, abs=0.03)


def test_random_starts_reach_the_rim_and_no_further() -> None:
    x = torch.rand(2000, 9, generator=torch.Generator().manual_seed(1))
    drawn = LInf(0.1, 0, 1).sample(x, generator=torch.Generator().manual_seed(0))
    assert bool((LInf(0.1, 0, 1).violation(drawn, x) == 0).all())
    assert float((drawn - x).abs().max()) == pytest.approx(0.1, abs=1e-3)
    assert float(drawn.min()) == 0
    assert float(drawn.max()) == 1
