"""The in-place steps of a region do what the threat's own methods do."""

from __future__ import annotations

import pytest
import torch
from tests.attacks.models import points, seeded

from sparring.attacks.region import Region
from sparring.strategies.trades import NearStart
from sparring.threats import L2, Box, Intersection, LInf, Mask

THREATS = [LInf(0.1, 0, 1), LInf(0.1), L2(0.5, 0, 1), Box(0.0, 1.0, reach=0.3), Intersection(LInf(0.1), Box(0.0, 1.0))]


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_a_step_is_the_threats_own(threat) -> None:
    x = points(5, 2, 3, 3)
    at, grad = threat.sample(x, generator=seeded()), points(5, 2, 3, 3) - 0.5
    expected = threat.project(at + 0.03 * threat.steepest(grad, at, x), x)
    region = Region(threat, x)
    size = torch.full((5, 1, 1, 1), 0.03, dtype=x.dtype)
    torch.testing.assert_close(region.aim(at, grad, size), expected)
    torch.testing.assert_close(region.climb_(at.clone(), grad, 0.03), expected)
    buffer = torch.empty_like(x)
    far = at + 1
    torch.testing.assert_close(region.project(far, out=buffer), threat.project(far, x))


def test_the_input_and_the_gradient_stay_as_they_are() -> None:
    x, grad = points(4, 6), points(4, 6) - 0.5
    for threat in (LInf(0.1, 0, 1), Intersection(L2(0.2), Mask(torch.ones(6, dtype=torch.bool)))):
        before, slope = x.clone(), grad.clone()
        region = Region(threat, x)
        at = region.climb_(x.clone(), grad, 0.05)
        region.aim(at, grad, torch.full((4, 1), 0.05, dtype=x.dtype))
        assert torch.equal(x, before)
        assert torch.equal(grad, slope)


def test_only_the_kept_samples_stay() -> None:
    x, grad = points(4, 6), points(4, 6) - 0.5
    region = Region(LInf(0.1, 0, 1), x)
    whole = region.climb_(x.clone(), grad, 0.05)
    kept = torch.tensor([True, False, True, True])
    region.keep(kept)
    assert torch.equal(region.climb_(x[kept], grad[kept], 0.05), whole[kept])


def test_a_threat_that_starts_elsewhere_steps_as_the_one_it_wraps() -> None:
    x = points(3, 4)
    assert Region(NearStart(LInf(0.1), 0.01), x).ends is not None
