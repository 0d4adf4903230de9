# pyright: basic

import math

import pytest
import torch
from tests.systems.driving.worlds import nobody, straight

from sparring.systems.driving.observe import EACH, OWN, WIDTH, observe
from sparring.systems.driving.policy import Policy, control, log_prob, residual
from sparring.systems.driving.scenes import STEPS, Scenes
from sparring.systems.driving.simulator import Simulator

ONE = torch.zeros(1, dtype=torch.long)


def policy(seed=0):
    return Policy(generator=torch.Generator().manual_seed(seed)).requires_grad_(False)


def test_the_tracker_goes_where_the_action_says_and_stays_there():
    sim = Simulator(straight(nobody()), ONE)
    for _ in range(50):
        sim.step(*control(sim, torch.tensor([[0.0, 0.5]])))
    assert float(sim.aside[0]) == pytest.approx(1.9, abs=0.1)
    assert abs(float(sim.ego[0, 2])) < 0.02


def test_no_action_leaves_the_road():
    sim = Simulator(straight(nobody()), ONE)
    for t in range(STEPS):
        sim.step(*control(sim, torch.tensor([[1.0, 3.0 if t % 40 < 20 else -3.0]])))
    assert int(sim.ending[0]) == 0


def test_an_untrained_policy_keeps_its_pace_and_stops_behind_a_standing_car():
    free, queue = straight(nobody()), straight(torch.tensor([[45.0, 0.0, 0.0, 0.0]]))
    sim = Simulator(Scenes.joined([free, queue]), torch.tensor([0, 1]))
    driver = policy()
    while sim.t < STEPS:
        sim.step(*control(sim, driver.act(sim)))
    assert sim.ending.tolist() == [0, 0]
    assert float(sim.way[0]) > 75
    assert float(sim.ego[1, 3]) < 1.0
    assert float(sim.ego[1, 0]) < 45 - 4.6


def test_a_braking_action_brakes_more_than_following_does():
    sim = Simulator(straight(nobody()), ONE)
    assert float(residual(sim, torch.tensor([[-1.0, 0.0]]))[0, 0]) <= -0.9
    assert abs(float(residual(sim, torch.zeros(1, 2))[0, 0])) < 0.1


def test_the_log_density_is_torchs():
    mean, std, action = torch.randn(5, 2), torch.tensor([-0.5, 0.2]), torch.randn(5, 2)
    known = torch.distributions.Normal(mean, std.exp()).log_prob(action).sum(1)
    assert torch.allclose(log_prob(mean, std, action), known, atol=1e-5)


def test_the_observation_holds_nothing_that_names_the_attacker():
    """Swapping the attacker with another vehicle changes nothing that the policy sees."""
    poses = torch.tensor([[20.0, 3.0, 0.1, 8.0], [35.0, -3.0, 0.0, 9.0]])
    a = Simulator(straight(poses), ONE)
    b = Simulator(straight(poses.flip(0)), ONE)
    for sim in (a, b):
        sim.step(torch.zeros(1), torch.zeros(1))
    assert torch.allclose(observe(a), observe(b), atol=1e-4)
    assert observe(a).shape == (1, WIDTH)


def test_what_is_far_is_not_seen_and_the_pressing_come_first():
    sim = Simulator(straight(torch.tensor([[500.0, 0.0, 0.0, 8.0], [50.0, 0.0, 0.0, 8.0], [12.0, 0.0, 0.0, 2.0]])), ONE)
    others = observe(sim)[0, OWN:].reshape(-1, EACH)
    seen = others[:, EACH - 1]
    assert seen.tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert float(others[0, 0]) * 20 == pytest.approx(12.0, abs=0.1)
    assert math.isclose(float(others[2:].abs().sum()), 0.0)


def test_the_seed_makes_the_weights():
    a, b, c = policy(1), policy(1), policy(2)
    same = [torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)]
    assert all(same)
    assert not torch.equal(a.state_dict()["trunk.0.weight"], c.state_dict()["trunk.0.weight"])
