# pyright: basic

import torch
from tests.systems.driving.worlds import straight

from sparring.systems.driving.families import Track
from sparring.systems.driving.geometry import boxes_overlap, from_curvature
from sparring.systems.driving.lattice import CANDIDATES, Naturalness, _cost, drive, feasible, lattice
from sparring.systems.driving.scenes import DT, FAR, POINTS, STEPS


def track(n=3, speed=10.0):
    path = from_curvature(torch.zeros(n, 3), torch.zeros(n, POINTS))
    held = torch.full((n, STEPS + 1), speed)
    return Track(path, torch.full((n,), 20.0), held, torch.zeros(n, STEPS + 1), torch.ones(n, dtype=torch.bool))


def moves(n=3, room=(4.0, 4.0), towards=1.0, seed=0):
    return lattice(
        track(n), torch.tensor([room]).expand(n, 2), torch.full((n,), towards), Naturalness(),
        torch.Generator().manual_seed(seed),
    )  # fmt: skip


def test_a_vehicle_drives_its_speed_along_its_path():
    poses = drive(track())
    assert torch.allclose(poses[0, :, 0], 20 + 10 * DT * torch.arange(STEPS + 1), atol=1e-4)
    assert torch.allclose(poses[..., 3], torch.full_like(poses[..., 3], 10.0))


def test_an_absent_vehicle_is_far_away():
    here = track()
    gone = Track(here.path, here.along, here.speed, here.aside, torch.zeros(3, dtype=torch.bool))
    assert bool((drive(gone)[..., 0] == FAR).all())


def test_candidate_zero_is_the_log_and_the_most_natural():
    found = moves()
    assert found.path.shape == (3, CANDIDATES, STEPS + 1, 4)
    assert torch.equal(found.path[:, 0], drive(track()))
    assert torch.allclose(found.log_prior.exp().sum(1), torch.ones(3))
    assert bool((found.log_prior.argmax(1) == 0).all())


def test_candidates_stay_within_their_room_and_within_a_cars_limits():
    found = moves(40, room=(2.0, 0.5)).path
    assert float(found[..., 1].max()) <= 2.2  # one that brakes on its way back may not get all of it
    assert float(found[..., 1].min()) >= -0.7
    gain = (found[..., 1:, 3] - found[..., :-1, 3]) / DT
    assert float(gain.min()) > -12.0
    assert float(found[..., 3].min()) >= 0.0
    step = (found[..., 1:, :2] - found[..., :-1, :2]).square().sum(-1).sqrt() / DT
    assert float((step - found[..., :-1, 3]).abs().amax()) < 2.5


def test_the_density_prices_harshness_as_it_says():
    t = torch.arange(STEPS + 1) * DT
    faster = torch.stack([-2.2 * t, -4.4 * t, 0 * t])
    cost = _cost(faster, torch.zeros(3, STEPS + 1), Naturalness())
    assert torch.allclose(cost, torch.tensor([1.5, 3.0, 0.0]), atol=1e-2)


def test_towards_means_towards_the_ego():
    right, left = (moves(30, towards=side).path[:, 1::4, :, 1].mean() for side in (-1.0, 1.0))
    assert float(left) > 0.5
    assert float(right) < -0.5


def test_what_hits_a_third_vehicle_is_not_feasible_and_the_log_always_is():
    scene = straight(torch.tensor([[20.0, 0.0, 0.0, 10.0], [20.0, 3.5, 0.0, 10.0]]))
    path = moves(1, room=(4.0, 4.0)).path
    good = feasible(path, scene.log[:, 1:], scene.size[:, 1:])
    hit = boxes_overlap(path[:, :, ::2], scene.log[:, 1:2, ::2], scene.size[:, None, 1:2], scene.size[:, None, 2:3])
    assert torch.equal(good[0, 1:], ~hit.any(2)[0, 1:])
    assert bool(good[0, 0])
    assert not bool(good.all())
