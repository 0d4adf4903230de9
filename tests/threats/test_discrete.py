from __future__ import annotations

import itertools

import pytest
import torch

from sparring.threats import Integer, OneHotGroups


def test_one_hot_takes_the_nearest_vertex_of_each_group():
    threat = OneHotGroups([(0, 2), (1, 3, 4)])
    x = torch.tensor([[1.0, 0, 0, 1, 0]])
    generator = torch.Generator().manual_seed(0)
    vertices = torch.tensor(
        [[float(i == 0), float(j == 0), float(i == 1), float(j == 1), float(j == 2)] for i in (0, 1) for j in (0, 1, 2)]
    )
    for _ in range(50):
        a = torch.randn(1, 5, generator=generator)
        want = vertices[(vertices - a).square().sum(1).argmin()]
        assert torch.equal(threat.project(a, x)[0], want)


def test_other_columns_are_free():
    x = torch.tensor([[1.0, 0, 7.5]])
    assert OneHotGroups([(0, 1)]).project(torch.tensor([[0.2, 0.7, 9.5]]), x).tolist() == [[0, 1, 9.5]]


def test_an_unknown_category_may_stay_unknown():
    threat, unknown = OneHotGroups([(0, 1, 2)]), torch.zeros(1, 3)
    assert threat.violation(unknown, unknown).item() == 0
    assert threat.violation(torch.zeros(1, 3), torch.tensor([[1.0, 0, 0]])).item() == 1
    assert torch.equal(threat.project(torch.tensor([[0.1, 0.2, 0.0]]), unknown), unknown)
    assert torch.equal(threat.project(torch.tensor([[0.1, 0.9, 0.0]]), unknown), torch.tensor([[0.0, 1, 0]]))


def test_one_hot_steps_swap_towards_the_best_category():
    x = torch.tensor([[0.0, 1, 0, 4]])
    step = OneHotGroups([(0, 1, 2)]).steepest(torch.tensor([[1.0, -2, 3, 9]]), x, x)
    assert step.tolist() == [[0, -1, 1, 0]]
    stay = OneHotGroups([(0, 1, 2)]).steepest(torch.tensor([[1.0, 3, 3, 9]]), x, x)
    assert stay.tolist() == [[0, 0, 0, 0]]


def test_random_categories_are_all_met():
    x = torch.tensor([[1.0, 0, 0]]).repeat(300, 1)
    drawn = OneHotGroups([(0, 1, 2)]).sample(x, generator=torch.Generator().manual_seed(0))
    assert bool((drawn.sum(0) > 70).all())


@pytest.mark.parametrize("groups", [[(0, 1), (1, 2)], [()], [(0, 0)]])
def test_groups_do_not_overlap(groups):
    with pytest.raises(ValueError, match="group"):
        OneHotGroups(groups)


def test_integers_round_to_their_own_grid():
    threat = Integer((0, 2), unit=(1.0, 0.5), origin=(0.0, 0.25))
    x = torch.tensor([[3.0, 0.1, 0.75]])
    assert threat.project(torch.tensor([[4.4, 0.33, 1.3]]), x).tolist() == [[4.0, pytest.approx(0.33), 1.25]]


def test_an_input_off_the_grid_may_stay_and_nothing_else_off_it():
    threat, x = Integer((0,)), torch.tensor([[0.4]])
    assert threat.violation(x, x).item() == 0
    assert threat.project(torch.tensor([[0.41]]), x).item() == pytest.approx(0.4)
    assert threat.project(torch.tensor([[0.9]]), x).item() == 1
    assert threat.violation(torch.tensor([[0.9]]), x).item() == pytest.approx(0.1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("unit", [1.0, 1 / 3, 1e-4])
def test_standardised_grids_round_to_the_same_bits_twice(dtype, unit):
    generator = torch.Generator().manual_seed(0)
    threat = Integer(range(50), unit=unit, origin=-0.7123)
    a = (torch.randn(20, 50, generator=generator) * 100 * unit).to(dtype)
    x = torch.zeros_like(a)
    z = threat.project(a, x)
    assert torch.equal(threat.project(z, x), z)
    assert bool((threat.violation(z, x) == 0).all())


def test_blocked_entries_only_move_towards_the_input():
    threat = Integer((0,))
    blocked = torch.ones(1, 1, dtype=torch.bool)
    for x, a in itertools.product((0.0, 0.4, 2.0), (-1.6, -0.1, 0.4, 0.5, 0.6, 1.7, 3.0)):
        z = threat.settle(torch.tensor([[a]]), torch.tensor([[x]]), blocked).item()
        assert min(a, x) - 1e-6 <= z <= max(a, x) + 1e-6
        assert z == round(z) or z == pytest.approx(x)
        assert abs(z - a) < 1 or z == pytest.approx(x)


@pytest.mark.parametrize("unit", [0.0, -1.0, (1.0, 2.0, 3.0)])
def test_units_are_positive_and_one_per_column(unit):
    with pytest.raises(ValueError, match="unit"):
        Integer((0, 1), unit=unit)
