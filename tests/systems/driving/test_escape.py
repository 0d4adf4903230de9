# pyright: basic

from dataclasses import replace

import torch
from tests.systems.driving.worlds import straight

from sparring.systems.driving.escape import REACTION, Escaping, calm_actions, escapes, plans, seen_at, survivable
from sparring.systems.driving.scenes import DT, STEPS
from sparring.systems.driving.simulator import ATTACKER, Simulator

LANE = 3.5


def with_moves(scene, *paths):
    """The scene with these ways of the attacker as candidates after the log."""
    moves = torch.stack([scene.log[0, 0], *paths])[None]
    k = moves.shape[1]
    return replace(
        scene,
        moves=moves,
        log_prior=torch.zeros(1, k).log_softmax(1),
        feasible=torch.ones(1, k, dtype=torch.bool),
        avoidable=torch.ones(1, k, dtype=torch.bool),
    )


def stop(path, at, accel=-7.0):
    """The same way, braking from step `at` on."""
    t = (torch.arange(STEPS + 1) * DT - at * DT).clamp_min(0)
    speed = (path[:, 3] + accel * t).clamp_min(0)
    x = path[0, 0] + torch.cat([torch.zeros(1), (0.5 * (speed[1:] + speed[:-1]) * DT).cumsum(0)])
    return torch.stack([x, path[:, 1], path[:, 2], speed], dim=1)


def jump(path, at, to):
    """A swerve over `to` metres within half a second from step `at` on: nothing could react to it beside it."""
    share = ((torch.arange(STEPS + 1) - at) / 5).clamp(0, 1)
    return torch.stack([path[:, 0], path[:, 1] + share * to, path[:, 2], path[:, 3]], dim=1)


def test_braking_ahead_is_escaped_and_a_swerve_from_beside_is_not():
    ahead = straight(torch.tensor([[25.0, 0.0, 0.0, 10.0]]))
    braking = with_moves(ahead, stop(ahead.log[0, 0], 20))
    assert escapes(braking)[0].tolist() == [True, True]
    beside = straight(torch.tensor([[0.0, LANE, 0.0, 10.0]]))
    narrow = replace(beside, left=torch.tensor([2.0]), right=torch.tensor([2.0]))
    swerving = with_moves(narrow, jump(narrow.log[0, 0], 20, -LANE))
    assert escapes(swerving)[0].tolist() == [True, False]


def test_an_attack_is_seen_when_it_departs_and_not_before():
    scene = straight(torch.tensor([[25.0, 0.0, 0.0, 10.0]]))
    path = scene.log[0, 0]
    seen = seen_at(scene, torch.tensor([0]), torch.stack([path, stop(path, 20), jump(path, 30, 2.0)])[None])[0]
    assert torch.isinf(seen[0])
    assert 2.0 < float(seen[1]) <= 2.3
    assert 3.0 < float(seen[2]) <= 3.3


def test_no_escape_begins_before_it_could():
    """With the whole attack known at once a swerve can be avoided by braking beforehand; the search may not."""
    beside = straight(torch.tensor([[0.0, LANE, 0.0, 10.0]]))
    narrow = replace(beside, left=torch.tensor([2.0]), right=torch.tensor([2.0]))
    path = jump(narrow.log[0, 0], 20, -LANE)
    sim = Simulator(narrow, torch.tensor([0]), path[None])
    early = Escaping(calm_actions(narrow, torch.tensor([0])), torch.tensor([[0.4, -7.5, 0.0]]))
    from sparring.systems.driving.policy import control

    while sim.t < STEPS:
        sim.step(*control(sim, early.act(sim)))
    assert int(sim.ending[0]) != ATTACKER
    assert not bool(survivable(narrow, torch.tensor([0]), path[None])[0])


def test_the_two_searches_agree_on_a_path():
    scene = straight(torch.tensor([[25.0, 0.0, 0.0, 10.0]]))
    path = stop(scene.log[0, 0], 30)
    assert bool(survivable(scene, torch.tensor([0]), path[None])[0]) == bool(escapes(with_moves(scene, path))[0, 1])


def test_plans_start_with_doing_nothing_and_leave_time_to_react():
    plan = plans()
    assert float(plan[0, 0]) > STEPS * DT
    assert float(plan[1:, 0].min()) >= REACTION
    assert float(plan[:, 1].min()) == -7.5
