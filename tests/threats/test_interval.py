from __future__ import annotations

import math

import pytest
import torch

from sparring.threats import Box, Control, Mask


def test_a_box_clamps_to_its_bounds_wherever_the_input_is():
    box = Box(torch.tensor([0.0, 10.0]), torch.tensor([1.0, 30.0]))
    x = torch.tensor([[0.5, 20.0]])
    assert torch.equal(box.project(torch.tensor([[7.0, -7.0]]), x), torch.tensor([[1.0, 10.0]]))
    assert box.radius == 20.0


def test_a_box_steps_by_each_features_own_range():
    box = Box(torch.tensor([0.0, 10.0]), torch.tensor([1.0, 30.0]))
    x = torch.tensor([[0.5, 20.0]])
    step = box.radius * box.steepest(torch.tensor([[1e-9, -5.0]]), x, x)
    torch.testing.assert_close(step, torch.tensor([[1.0, -20.0]]))


def test_a_scaled_box_goes_part_of_the_way_and_never_beyond_its_bounds():
    box, x = Box(0.0, 1.0), torch.tensor([[0.2]])
    assert torch.equal(box.scaled(3.0).project(torch.tensor([[9.0]]), x), torch.tensor([[1.0]]))
    torch.testing.assert_close(box.scaled(0.5).project(torch.tensor([[9.0]]), x), torch.tensor([[0.6]]))
    torch.testing.assert_close(box.scaled(0.5).project(torch.tensor([[-9.0]]), x), torch.tensor([[0.1]]))


def test_bounds_keep_their_double_precision():
    x = torch.tensor([[0.05]], dtype=torch.float64)
    assert Box(0.0, 0.1).project(x + 1, x).item() == 0.1


def test_an_unbounded_box_says_so():
    assert math.isinf(Box(0.0, torch.inf).radius)


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (float("nan"), 1.0), (torch.tensor([0.0, 2.0]), 1.0)])
def test_an_empty_box_is_refused(low, high):
    with pytest.raises(ValueError, match="low must be at most high"):
        Box(low, high)


def test_control_is_seen_from_the_clean_input():
    control = Control(("fixed", "up", "down", "both"))
    x = torch.full((1, 4), 5.0)
    assert control.project(x + 1, x).tolist() == [[5, 6, 5, 6]]
    assert control.project(x - 1, x).tolist() == [[5, 5, 4, 4]]
    assert control.violation(x + 2, x).item() == 2
    # What went up may come down again, as far as the clean value.
    assert control.steepest(-torch.ones(1, 4), x + torch.tensor([0.0, 1, 0, 0]), x).tolist() == [[0, -1, -1, -1]]


def test_control_holds_at_every_step_of_a_sequence():
    x = torch.zeros(2, 3, 2)
    moved = Control(("fixed", "up")).project(torch.ones_like(x), x)
    assert torch.equal(moved[..., 0], torch.zeros(2, 3))
    assert torch.equal(moved[..., 1], torch.ones(2, 3))


def test_an_unknown_direction_is_named():
    with pytest.raises(ValueError, match="direction 1 is 'left'"):
        Control(("up", "left"))  # pyright: ignore[reportArgumentType]


def test_a_mask_covers_images():
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[:, 1:3, 1:3] = True
    x = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    moved = Mask(mask).project(x + 1, x)
    assert int((moved != x).sum()) == 5 * 3 * 4
    assert bool((Mask(mask).steepest(torch.ones_like(x), x, x).sum((1, 2, 3)) == 12).all())


def test_a_mask_is_bool():
    with pytest.raises(ValueError, match="bool"):
        Mask(torch.ones(3))
