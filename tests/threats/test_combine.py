from __future__ import annotations

import itertools
import math

import pytest
import torch

from sparring.threats import (
    L1,
    L2,
    Box,
    Control,
    Integer,
    Intersection,
    LInf,
    Mask,
    OneHotGroups,
    ThreatModel,
    Union,
)
from sparring.threats.base import flat


def never_farther_than_random_members(threat: ThreatModel, a: torch.Tensor, x: torch.Tensor, margin: float) -> None:
    """A brute-force look for members nearer to `a` than its projection."""
    z = threat.project(a, x)
    assert bool((threat.violation(z, x) == 0).all())
    reached = flat(z - a).norm(dim=1)
    generator = torch.Generator().manual_seed(0)
    for size in (1.0, 0.3, 0.1, 0.03, 0.01, 0.001):
        for _ in range(300):
            other = z + size * torch.randn(z.shape, generator=generator, dtype=z.dtype)
            other = x + (other - x) * torch.rand(len(x), 1, generator=generator, dtype=z.dtype).pow(0.1)
            good = threat.violation(other, x) == 0
            assert bool((flat(other - a).norm(dim=1)[good] >= reached[good] - margin).all())


@pytest.mark.parametrize(
    "threat",
    [
        Intersection(L2(0.5), L1(0.7)),
        Intersection(L1(0.7), LInf(0.3), L2(0.5)),
        Intersection(L2(0.5), Box(0.0, torch.tensor([1.0, 0.8, 0.6, 0.9]))),
        Intersection(Control(("up", "down", "both", "both")), L1(0.8)),
    ],
)
def test_convex_members_are_met_at_the_nearest_point(threat):
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(6, 4, generator=generator, dtype=torch.float64) * 0.6
    a = x + torch.randn(6, 4, generator=generator, dtype=torch.float64)
    never_farther_than_random_members(threat, a, x, 1e-6)


def test_l2_with_a_box_of_its_own_is_the_same_as_their_intersection():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(50, 20, generator=generator)
    a = x + torch.randn(50, 20, generator=generator)
    for ball in (L1, L2):
        own = ball(0.8, 0.0, 1.0).project(a, x)
        torch.testing.assert_close(Intersection(ball(0.8), Box(0.0, 1.0)).project(a, x), own, atol=1e-6, rtol=0)
        torch.testing.assert_close(Intersection(Box(0.0, 1.0), ball(0.8)).project(a, x), own, atol=1e-6, rtol=0)


def test_masked_entries_cost_no_budget():
    threat = Intersection(L2(1.0), Mask(torch.tensor([True, False, True])))
    x = torch.zeros(1, 3)
    grad = torch.tensor([[3.0, 100.0, 4.0]])
    torch.testing.assert_close(threat.steepest(grad, x, x), torch.tensor([[0.6, 0.0, 0.8]]))
    torch.testing.assert_close(threat.project(x + grad, x), torch.tensor([[0.6, 0.0, 0.8]]))


def test_grids_stop_at_the_last_value_inside_the_ball():
    threat = Intersection(LInf(1.7), Integer((0, 1)))
    x = torch.tensor([[5.0, 5.0]])
    assert threat.project(torch.tensor([[9.0, 5.6]]), x).tolist() == [[6, 6]]


def test_grids_in_an_l2_ball_move_inwards():
    threat = Intersection(L2(2.0), Integer((0, 1)))
    x = torch.zeros(1, 2)
    z = threat.project(torch.tensor([[3.0, 3.0]]), x)
    assert z.tolist() == [[1, 1]]


def test_a_category_that_is_out_of_reach_stays_and_the_rest_moves():
    threat = Intersection(Box(0.0, 1.0), OneHotGroups([(0, 1)]), Mask(torch.tensor([False, True, True])))
    for first, second in itertools.permutations((0.0, 1.0)):
        x = torch.tensor([[first, second, 0.2]])
        z = threat.project(torch.tensor([[0.0, 9.0, 0.7]]), x)
        assert threat.violation(z, x).item() == 0
        torch.testing.assert_close(z, torch.tensor([[first, second, 0.7]]))


@pytest.mark.parametrize("share", [0.01, 0.06, 1.0])
def test_any_share_of_the_radius_swaps_a_category(share):
    threat = Intersection(Box(0.0, 1.0), OneHotGroups([(0, 1, 2)]), Control(("both", "both", "fixed", "both")))
    x = torch.tensor([[1.0, 0, 0, 0.5]])
    grad = torch.tensor([[-1.0, 2, 9, -1]])
    z = threat.project(x + share * threat.radius * threat.steepest(grad, x, x), x)
    torch.testing.assert_close(z, torch.tensor([[0.0, 1, 0, max(0.5 - share, 0.0)]]))


def test_the_budget_leads_and_bounds_stay():
    threat = Intersection(Box(0.0, 1.0), L2(0.5), Mask(torch.tensor([True, True])))
    assert threat.lead == L2(0.5)
    assert threat.radius == 0.5
    half = threat.scaled(0.5)
    assert half.radius == 0.25
    assert half.threats[0] is threat.threats[0]
    box = Intersection(Mask(torch.tensor([True, True])), Box(0.0, 2.0)).scaled(0.5)
    assert box.radius == 1.0


def test_nested_intersections_are_one():
    inner = Intersection(LInf(0.1), Box(0.0, 1.0))
    assert len(Intersection(inner, Mask(torch.tensor([True]))).threats) == 3


def test_rules_alone_bound_nothing():
    assert math.isinf(Intersection(Mask(torch.tensor([True])), Integer((0,))).radius)
    with pytest.raises(ValueError, match="Mask bounds nothing alone"):
        Union(LInf(0.1), Mask(torch.tensor([True])))


def test_nothing_combines_to_nothing():
    for kind in (Intersection, Union):
        with pytest.raises(ValueError, match="at least one"):
            kind()


def test_a_union_holds_what_any_member_holds():
    threat = Union(LInf(0.1), L1(0.3))
    x = torch.zeros(3, 4)
    a = torch.tensor([[0.1, 0.1, 0.1, 0.1], [0.3, 0, 0, 0], [0.3, 0.1, 0, 0]])
    torch.testing.assert_close(threat.violation(a, x), torch.tensor([0.0, 0.0, 0.1]))
    assert torch.equal(threat.project(a, x)[:2], a[:2])


def test_a_union_projects_to_the_nearer_set():
    x = torch.zeros(2, 2)
    a = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    got = Union(LInf(0.5), L1(0.8)).project(a, x)
    torch.testing.assert_close(got, torch.tensor([[0.5, 0.5], [0.8, 0.0]]))


def test_a_union_steps_where_the_whole_radius_promises_most():
    threat, x = Union(LInf(0.5), L1(0.8, share=0.0)), torch.zeros(2, 2)
    grad = torch.tensor([[1.0, 1.0], [1.0, 0.1]])
    step = threat.radius * threat.steepest(grad, x, x)
    torch.testing.assert_close(step, torch.tensor([[0.5, 0.5], [0.8, 0.0]]))
    # Beyond the L1 ball only the other set is left.
    at = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    torch.testing.assert_close(threat.radius * threat.steepest(grad, at, x)[1], torch.tensor([0.5, 0.5]))
