# pyright: basic

import math

import pytest
import torch
from tests.systems.driving.worlds import nobody, straight

from sparring.systems.driving.scenes import DT, STEPS, Scenes
from sparring.systems.driving.simulator import (
    ATTACKER,
    CRASH,
    FRICTION,
    NONE,
    REAR,
    ROAD,
    THIRD,
    Simulator,
    bicycle,
)

ZERO = torch.zeros(1)


def run(scene, accel=0.0, curvature=0.0, steps=STEPS, **options):
    sim = Simulator(scene, torch.zeros(1, dtype=torch.long), **options)
    total = 0.0
    for _ in range(steps):
        total += float(sim.step(torch.full((1,), accel), torch.full((1,), curvature)))
    return sim, total


def test_bicycle_goes_in_a_circle_of_the_asked_radius():
    pose = torch.tensor([[0.0, 0.0, 0.0, 5.0]])
    places = []
    for _ in range(250):
        pose = bicycle(pose, ZERO, torch.full((1,), 0.1))
        places.append(pose[0, :2])
    places = torch.stack(places)
    spread = places.amax(0) - places.amin(0)
    assert float(spread[0]) == pytest.approx(20.0, rel=0.02)
    assert float(spread[1]) == pytest.approx(20.0, rel=0.02)
    assert float(pose[0, 3]) == 5.0


@pytest.mark.parametrize("speed", [3.0, 10.0, 20.0])
@pytest.mark.parametrize("accel", [-20.0, -7.0, 0.0, 5.0])
def test_no_control_leaves_the_friction_circle(speed, accel):
    before = torch.tensor([[0.0, 0.0, 0.0, speed]])
    after = bicycle(before, torch.tensor([accel]), torch.tensor([5.0]))
    along = float(after[0, 3] - speed) / DT
    across = float(after[0, 2]) / DT * 0.5 * (speed + float(after[0, 3]))
    assert math.hypot(along, across) <= FRICTION * 1.04
    assert abs(float(after[0, 2])) / (DT * 0.5 * (speed + float(after[0, 3]))) <= 0.2 + 1e-4


def test_a_free_drive_earns_the_nominal_way():
    sim, total = run(straight(nobody()))
    assert int(sim.ending[0]) == NONE
    assert float(sim.way[0]) == pytest.approx(80.0, abs=0.1)
    assert total == pytest.approx(20.0, abs=0.1)


def test_hurrying_earns_at_most_a_tenth_more_and_standing_still_nothing():
    assert run(straight(nobody()), accel=1.0)[1] <= 22.0
    _, still = run(straight(nobody()), accel=-7.0)
    assert 0 < still < 2.5


@pytest.mark.parametrize(
    ("poses", "ending"),
    [
        ([[30.0, 0.0, 0.0, 2.0]], ATTACKER),
        ([[1e4, 0.0, 0.0, 0.0], [30.0, 0.0, 0.0, 2.0]], THIRD),
        ([[1e4, 0.0, 0.0, 0.0], [20.0, -20.0, math.pi / 2, 10.0]], THIRD),
    ],
)
def test_crashes_have_their_cause(poses, ending):
    sim, total = run(straight(torch.tensor(poses)))
    assert int(sim.ending[0]) == ending
    assert total < 20 - CRASH


def test_an_attacker_that_drives_into_a_standing_ego_is_the_attacker():
    scene = straight(torch.tensor([[-20.0, 0.0, 0.0, 10.0]]))
    sim, _ = run(scene, accel=-7.0)
    assert int(sim.ending[0]) == ATTACKER


def test_replayed_traffic_brakes_for_a_braking_ego():
    scene = straight(torch.tensor([[1e4, 0.0, 0.0, 0.0], [-20.0, 0.0, 0.0, 10.0]]))
    sim, _ = run(scene, accel=-4.0)
    assert int(sim.ending[0]) == NONE
    assert float(sim.others[0, 1, 3]) < 0.5
    assert float(sim.others[0, 1, 0]) < float(sim.ego[0, 0]) - 4


def test_who_is_hit_from_behind_too_late_to_brake_is_not_the_cause():
    scene = straight(torch.tensor([[1e4, 0.0, 0.0, 0.0], [-6.0, 0.0, 0.0, 18.0]]))
    sim, _ = run(scene, accel=-7.0)
    assert int(sim.ending[0]) == REAR


def test_untouched_traffic_replays_its_log_exactly():
    scene = straight(torch.tensor([[1e4, 0.0, 0.0, 0.0], [60.0, 4.0, 0.3, 7.0]]))
    sim, _ = run(scene, steps=40)
    assert torch.allclose(sim.others[0, 1], scene.log[0, 1, 40], atol=1e-3)


def test_leaving_the_road_ends_the_episode():
    sim, _ = run(straight(nobody()), curvature=0.05)
    assert int(sim.ending[0]) == ROAD


def test_after_the_end_nothing_moves_and_nothing_is_paid():
    scene = straight(torch.tensor([[15.0, 0.0, 0.0, 0.0]]))
    sim, _ = run(scene, steps=30)
    place, at = sim.ego.clone(), int(sim.ended_at[0])
    assert float(sim.step(torch.ones(1), ZERO)) == 0.0
    assert torch.equal(sim.ego, place)
    assert int(sim.ended_at[0]) == at == 11


def test_a_batch_gives_what_each_scene_gives_alone():
    scenes = Scenes.joined([straight(torch.tensor([[12.0 + 6 * i, 0.0, 0.0, 3.0]])) for i in range(6)])
    together = Simulator(scenes, torch.arange(6))
    alone = [Simulator(scenes, torch.tensor([i])) for i in range(6)]
    for _ in range(STEPS):
        both = together.step(torch.full((6,), -1.0), torch.full((6,), 0.01))
        single = torch.cat([sim.step(torch.full((1,), -1.0), torch.full((1,), 0.01)) for sim in alone])
        assert torch.allclose(both, single, atol=1e-5)
    assert torch.equal(together.ending, torch.cat([sim.ending for sim in alone]))
