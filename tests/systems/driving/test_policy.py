# pyright: basic

import math

import pytest
import torch
from tests.systems.driving.worlds import nobody, straight

from sparring.systems.driving.observe import AHEAD, COMING, EACH, OWN, PROPOSALS, WIDTH, coming, observe
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
    others = observe(sim)[0, OWN : -len(PROPOSALS)].reshape(-1, EACH)
    seen = others[:, EACH - 1]
    assert seen.tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert float(others[0, 0]) * 20 == pytest.approx(12.0, abs=0.1)
    assert math.isclose(float(others[2:].abs().sum()), 0.0)


def consequences(poses, steps=2):
    sim = Simulator(straight(torch.tensor(poses)), ONE)
    for _ in range(steps):
        sim.step(torch.zeros(1), torch.zeros(1))
    return dict(zip(PROPOSALS, observe(sim)[0, -len(PROPOSALS) :].tolist(), strict=True))


def test_the_consequences_tell_which_manoeuvre_runs_into_somebody():
    """A standing car ahead: going on is deep in its space, braking less, evading to either side hardly."""
    found = consequences([[18.0, 0.0, 0.0, 0.0]])
    assert found[0.0, 0.0] > 0.2
    assert found[2.0, 0.0] > 0.2
    assert found[-7.5, 0.0] < 0.05
    assert found[-3.0, 3.5] < 0.2 * found[0.0, 0.0]


def test_evading_to_the_side_where_somebody_drives_costs():
    found = consequences([[2.0, 3.2, 0.0, 10.0]])
    assert found[0.0, 1.7] > found[0.0, 0.0]
    assert found[0.0, 1.7] > found[0.0, -1.7] + 0.1
    assert not any(consequences([[500.0, 0.0, 0.0, 10.0]]).values())


def test_only_the_critic_is_told_what_is_coming():
    scenes = straight(torch.tensor([[40.0, 0.0, math.pi, 8.0]]))
    sim = Simulator(scenes, ONE)
    told = coming(sim)
    assert told.shape == (1, COMING)
    known = float(scenes.log[0, 0, AHEAD[0], 0])
    assert math.atanh(float(told[0, 1]) / 2) * 10 == pytest.approx(known - AHEAD[0] * 0.1 * 10.0, abs=0.1)
    seen, driver = torch.cat([observe(sim), told], dim=1), policy(3)
    other = torch.cat([observe(sim), told + 1.0], dim=1)
    torch.nn.init.ones_(driver.actor.get_parameter("2.weight"))
    torch.nn.init.ones_(driver.critic.get_parameter("2.weight"))
    assert torch.equal(driver(seen)[0], driver(other)[0])
    assert not torch.equal(driver(seen)[1], driver(other)[1])


def test_of_a_steered_attacker_the_critic_knows_where_it_is_and_no_more():
    class Straight:
        def controls(self, sim):
            return torch.zeros(1), torch.zeros(1)

    sim = Simulator(straight(torch.tensor([[30.0, 0.0, 0.0, 5.0]])), ONE, attack=Straight())
    assert torch.equal(sim.ahead(20), sim.others[:, 0])
    assert float(coming(sim)[0, 0]) == 1.0


def test_the_seed_makes_the_weights():
    a, b, c = policy(1), policy(1), policy(2)
    same = [torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)]
    assert all(same)
    assert not torch.equal(a.state_dict()["trunk.0.weight"], c.state_dict()["trunk.0.weight"])
