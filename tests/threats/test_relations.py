from __future__ import annotations

import torch
from torch import Tensor

from sparring.threats import Box, Intersection, Relations


def mean_of(x_adv: Tensor, x: Tensor) -> Tensor:
    """Columns: bytes, packets, bytes per packet."""
    return torch.stack([x_adv[:, 0], x_adv[:, 1], x_adv[:, 0] / x_adv[:, 1]], 1)


def off(x_adv: Tensor) -> Tensor:
    return (x_adv[:, 0] / x_adv[:, 1] - x_adv[:, 2]).abs()


FLOW = Relations(mean_of, off)


def test_dependent_features_are_recomputed():
    x = torch.tensor([[100.0, 4, 25]])
    z = FLOW.project(torch.tensor([[120.0, 4, 99]]), x)
    assert z.tolist() == [[120, 4, 30]]
    assert FLOW.violation(z, x).item() == 0
    assert FLOW.violation(torch.tensor([[120.0, 4, 99]]), x).item() == 69


def test_a_dirty_row_may_stay_as_dirty_as_it_is():
    dirty = torch.tensor([[100.0, 4, 20]])
    assert FLOW.violation(dirty, dirty).item() == 0
    assert torch.equal(FLOW.project(dirty, dirty), dirty)
    assert FLOW.violation(torch.tensor([[100.0, 4, 19]]), dirty).item() == 1


def test_tolerance_is_allowed_everywhere():
    x = torch.tensor([[100.0, 4, 25]])
    assert Relations(mean_of, off, tolerance=0.5).violation(torch.tensor([[100.0, 4, 25.4]]), x).item() == 0


def test_the_input_stands_where_the_repair_finds_nothing():
    hopeless = Relations(lambda x_adv, x: x_adv, off)
    x = torch.tensor([[100.0, 4, 25], [100.0, 4, 25]])
    a = torch.tensor([[120.0, 4, 99], [120.0, 4, 30]])
    assert torch.equal(hopeless.project(a, x), torch.stack([x[0], a[1]]))


def test_within_bounds_of_the_dependent_feature_the_way_is_cut_short():
    threat = Intersection(Box(torch.tensor([0.0, 1, 0]), torch.tensor([1000.0, 100, 40])), FLOW)
    x = torch.tensor([[100.0, 4, 25]])
    z = threat.project(torch.tensor([[220.0, 4, 25]]), x)
    assert threat.violation(z, x).item() == 0
    assert z.tolist() == [[160, 4, 40]]
