# pyright: basic

import torch
from tests.systems.driving.worlds import straight

from sparring.game import Game
from sparring.systems.driving import stepwise
from sparring.systems.driving.adversary import LatticeAdversary, Learning
from sparring.systems.driving.attacks import BUDGETS, Pursuit, Search, attacker_tracks, controlled, pursue, search
from sparring.systems.driving.context import passes
from sparring.systems.driving.policy import Policy
from sparring.systems.driving.ppo import PPO
from sparring.systems.driving.scenes import DT, STEPS, Scenes
from sparring.systems.driving.simulator import ATTACKER, Simulator
from sparring.systems.driving.stepwise import (
    BRAKES,
    SPEEDS_UP,
    STEPWISE,
    TURNS,
    Steering,
    StepwiseAdversary,
    episodes_of,
    learn,
    navigation,
)

ONE = torch.zeros(1, dtype=torch.long)


class Blind:
    def act(self, sim):
        return torch.zeros(sim.batch, 2)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def crossing():
    """An attacker that crosses well behind the ego if it goes straight on."""
    return straight(torch.tensor([[45.0, -45.0, 1.5708, 9.0]]))


def closest(attack, scene):
    sim = Simulator(scene, ONE, attack=attack)
    least = torch.inf
    while sim.t < STEPS and not bool(sim.ended):
        sim.step(torch.zeros(1), torch.zeros(1))
        least = min(least, float((sim.dx[0, 0].square() + sim.dy[0, 0].square()).sqrt()))
    return least, int(sim.ending[0])


class Homing:
    def controls(self, sim):
        return navigation(sim, torch.full((1,), 4.0), torch.full((1,), 6.0))


def test_navigation_turns_a_miss_into_a_hit():
    scene = straight(torch.tensor([[40.0, -12.0, 0.6, 9.0]]))
    assert closest(None, scene)[1] != ATTACKER
    assert closest(Homing(), scene)[1] == ATTACKER


def test_navigation_asks_for_nothing_beyond_a_cars_limits():
    sim = Simulator(crossing(), ONE, attack=Homing())
    for _ in range(STEPS):
        gain, turn = navigation(sim, torch.full((1,), 5.0), torch.full((1,), 7.0))
        assert -BRAKES <= float(gain) <= SPEEDS_UP
        assert abs(float(turn)) <= TURNS
        sim.step(torch.zeros(1), torch.zeros(1))


def test_an_untrained_attacker_without_chance_is_half_strength_navigation_and_repeats():
    policy = StepwiseAdversary(generator=seeded())
    found = [closest(Steering(policy, None, torch.tensor([10.0])), crossing()) for _ in range(2)]
    assert found[0] == found[1]


def test_pursuit_meets_the_ego():
    assert pursue(Blind(), straight(torch.tensor([[20.0, 3.5, 0.0, 10.0]]))).crashed.tolist() == [True]


def test_steered_and_planned_attackers_share_a_batch():
    scene = Scenes.joined([crossing(), crossing()])
    policy = StepwiseAdversary(generator=seeded())

    class Holder:
        stepwise = policy

    env = episodes_of(scene, (torch.tensor([0, 1]), torch.tensor([STEPWISE, 0])), Holder())
    assert env.sim.steered.tolist() == [True, False]
    assert env.attacked is not None
    assert env.attacked.tolist() == [True, False]
    for _ in range(20):
        env.step(torch.zeros(2, 2))
    alone = episodes_of(scene, (torch.tensor([1]), torch.tensor([0])), None)
    for _ in range(20):
        alone.step(torch.zeros(1, 2))
    assert torch.allclose(env.sim.others[1], alone.sim.others[0])


def iteration(plain_state, moves):
    """One iteration of the defender against an adversary whose attacks are `moves`; the adversary, what was learnt."""
    scenes = Scenes.joined([crossing()] * 4)
    egos = passes(Blind(), scenes, torch.arange(4))
    adversary = LatticeAdversary(scenes, egos, Learning(), generator=seeded())
    adversary.stepwise, adversary.stepwise_share = StepwiseAdversary(generator=seeded()), 1.0
    policy = Policy(generator=seeded())
    game = Game(policy, adversary, lambda out, target: -out)
    state = plain_state(
        game,
        lambda g: {
            "defender": torch.optim.Adam(g.defender.parameters(), 1e-3),
            "stepwise": torch.optim.Adam(g.adversary.stepwise.parameters(), 1e-3),
        },
    )
    before = adversary.stepwise.mean.weight.clone()
    rule = PPO(begin=lambda batch, adversary: episodes_of(scenes, batch, adversary), learn=learn)
    figures = rule.step(game, (torch.arange(4).repeat(8), moves), state).metrics
    return adversary, figures, not torch.equal(before, adversary.stepwise.mean.weight)


def test_the_attacker_learns_from_the_defenders_episodes(plain_state):
    _, figures, learnt = iteration(plain_state, torch.full((32,), STEPWISE))
    assert "stepwise_return" in figures
    assert learnt


def test_a_steering_attacker_that_wins_anyway_learns_no_more(plain_state, monkeypatch):
    monkeypatch.setattr(stepwise, "LEAST", 100.0)
    _, figures, learnt = iteration(plain_state, torch.full((32,), STEPWISE))
    assert figures["stepwise_return"] < 100
    assert not learnt


def test_scenes_deserve_more_practice_for_what_candidates_cost_alone(plain_state):
    steered, _, _ = iteration(plain_state, torch.full((32,), STEPWISE))
    assert float(steered.loss.abs().max()) == 0.0
    chosen, figures, _ = iteration(plain_state, torch.full((32,), 1))
    assert "stepwise_return" not in figures
    assert float(chosen.loss.max()) > 0


def test_no_control_added_is_the_log():
    scene = crossing()
    path = controlled(attacker_tracks(scene), ONE, torch.zeros(1, 2, 5))
    assert torch.allclose(path[0, :, :2], scene.log[0, 0, :, :2], atol=0.05)


def test_search_stays_within_its_budget_and_never_forgets_what_a_smaller_one_found():
    scenes = Scenes.joined([straight(torch.tensor([[18.0, 0.0, 0.0, 9.0]])), crossing()])
    found = search(Blind(), scenes, Search(6, 2, 2), seeded())
    assert bool((found.ret[1:] <= found.ret[:-1]).all())
    assert bool((found.crashed[1:] >= found.crashed[:-1]).all())
    for (accel, _), path in zip(BUDGETS, found.path, strict=True):
        gain = (path[..., 1:, 3] - path[..., :-1, 3]) / DT
        assert float(gain.abs().max()) < accel + 0.3
    assert bool(found.crashed[-1, 0])


def test_pursuit_goes_straight_on_at_first():
    sim = Simulator(crossing(), ONE)
    gain, turn = Pursuit().controls(sim)
    assert float(gain.abs() + turn.abs()) == 0.0
