# pyright: basic

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.systems.driving.geometry import (
    beside,
    boxes_overlap,
    from_curvature,
    from_points,
    project,
    unwrap,
    wrap,
)

SIZE = torch.tensor([4.0, 2.0])


def corners(pose, size, steps=41):
    """A dense grid of points in the box."""
    u, v = torch.meshgrid(torch.linspace(-0.5, 0.5, steps), torch.linspace(-0.5, 0.5, steps), indexing="ij")
    x, y = u.flatten() * size[0], v.flatten() * size[1]
    c, s = math.cos(pose[2]), math.sin(pose[2])
    return torch.stack([pose[0] + x * c - y * s, pose[1] + x * s + y * c], dim=1)


def inside(points, pose, size):
    dx, dy = points[:, 0] - pose[0], points[:, 1] - pose[1]
    c, s = math.cos(pose[2]), math.sin(pose[2])
    return ((dx * c + dy * s).abs() <= size[0] / 2) & ((dy * c - dx * s).abs() <= size[1] / 2)


@settings(max_examples=60, deadline=None)
@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(-4, 4), st.floats(-4, 4))
def test_overlap_agrees_with_points_in_boxes(x, y, turn, own):
    a, b = torch.tensor([0.3, -0.2, own]), torch.tensor([x, y, turn])
    claimed = bool(boxes_overlap(a, b, SIZE, SIZE))
    shared = bool(inside(corners(a, SIZE), b, SIZE).any() | inside(corners(b, SIZE), a, SIZE).any())
    if shared:
        assert claimed
    grown = SIZE + 0.25  # the grid of points misses slivers thinner than its mesh
    if claimed:
        assert bool(inside(corners(a, grown), b, grown).any() | inside(corners(b, grown), a, grown).any())


def test_a_cross_of_two_boxes_overlaps_though_no_corner_lies_inside():
    long = torch.tensor([10.0, 1.0])
    a, b = torch.zeros(3), torch.tensor([0.0, 0.0, math.pi / 2])
    assert bool(boxes_overlap(a, b, long, long))


def test_boxes_side_by_side_do_not_touch():
    a, b = torch.zeros(3), torch.tensor([0.0, 2.01, 0.0])
    assert not bool(boxes_overlap(a, b, SIZE, SIZE))
    assert bool(boxes_overlap(a, torch.tensor([0.0, 1.99, 0.0]), SIZE, SIZE))


def test_a_constant_curvature_is_a_circle():
    radius = 20.0
    path = from_curvature(torch.zeros(1, 3), torch.full((1, 120), 1 / radius))
    distance = (path[0, :, :2] - torch.tensor([0.0, radius])).square().sum(1).sqrt()
    assert float((distance - radius).abs().max()) < 0.05
    assert path[0, -1, 2] == pytest.approx(119 / radius, abs=1e-4)


def test_beside_goes_straight_on_past_the_end():
    path = from_curvature(torch.zeros(1, 3), torch.zeros(1, 10))
    pose = beside(path, torch.tensor([[-3.0, 4.0, 20.0]]), torch.tensor([[0.0, 1.5, -1.0]]))
    assert torch.allclose(pose[0, :, 0], torch.tensor([-3.0, 4.0, 20.0]), atol=1e-2)
    assert torch.allclose(pose[0, :, 1], torch.tensor([0.0, 1.5, -1.0]), atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.floats(15, 90), st.floats(-3, 3), st.floats(-0.02, 0.02))
def test_project_inverts_beside(along, aside, curvature):
    path = from_curvature(torch.tensor([[2.0, -1.0, 0.4]]), torch.full((1, 120), curvature))
    pose = beside(path, torch.tensor([[along]]), torch.tensor([[aside]]))[0]
    _, found, off, _ = project(path, pose[:, :2], torch.tensor([int(along)]))
    assert float(found[0]) == pytest.approx(along, abs=0.1)
    assert float(off[0]) == pytest.approx(aside, abs=0.05)


def test_from_points_keeps_places_and_refuses_a_single_one():
    corner = torch.tensor([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]])
    path = from_points(corner, 30)
    assert torch.allclose(path[15, :2], torch.tensor([10.0, 5.0]), atol=1e-4)
    assert path[25, 1] == pytest.approx(15.0, abs=1e-3)
    with pytest.raises(ValueError, match="two places"):
        from_points(torch.zeros(3, 2), 30)


def test_angles_wrap_and_unwrap():
    turning = torch.arange(0, 20, 0.5)
    assert torch.allclose(unwrap(wrap(turning).unsqueeze(0))[0], turning, atol=1e-4)
    assert wrap(torch.tensor(3 * math.pi + 0.1)) == pytest.approx(-math.pi + 0.1, abs=1e-5)
