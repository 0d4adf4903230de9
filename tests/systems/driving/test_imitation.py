# pyright: basic
"""Behaviour cloning of the planner."""

import pytest
import torch
from tests.systems.driving.worlds import nobody, straight

from sparring.systems.driving import imitation
from sparring.systems.driving.episodes import play
from sparring.systems.driving.imitation import imitate, own, shown
from sparring.systems.driving.observe import COMING, WIDTH
from sparring.systems.driving.planner import Planner
from sparring.systems.driving.policy import Policy, residual
from sparring.systems.driving.scenes import Scenes
from sparring.systems.driving.simulator import Simulator

SCENES = Scenes.joined(
    [straight(torch.tensor([[25.0 + 5 * i, 0.0, 0.0, 1.0 * i]])) for i in range(4)] + [straight(nobody())]
)


def test_the_networks_action_is_the_one_that_drives_as_the_planner_does():
    sim = Simulator(SCENES, torch.tensor([4]))
    for wanted in (torch.tensor([[-0.4, 0.3]]), torch.tensor([[0.2, 0.0]])):
        torch.testing.assert_close(residual(sim, own(sim, wanted)), wanted, rtol=0, atol=1e-5)


def test_what_cannot_be_asked_for_is_asked_for_as_far_as_it_goes():
    sim = Simulator(SCENES, torch.arange(5))
    assert float(own(sim, torch.full((5, 2), -3.0)).min()) == -1.0


def test_the_lessons_end_where_an_episode_does():
    seen, wanted = shown(SCENES, torch.arange(5))
    assert seen.shape[1] == WIDTH + COMING
    assert len(seen) == len(wanted) <= 5 * 40


def test_a_pupil_comes_nearer_to_its_teacher(monkeypatch):
    policy = Policy(generator=torch.Generator().manual_seed(0))
    seen, wanted = shown(SCENES, torch.arange(5))
    before = float((policy(seen)[0] - wanted).square().mean().detach())
    monkeypatch.setattr(imitation, "PASSES", 60)
    after = imitate(policy, SCENES, torch.Generator().manual_seed(1))
    assert after < 0.3 * before
    taught, teacher = (play(d, SCENES, torch.tensor([4])) for d in (policy, Planner()))
    assert float(taught.way) == pytest.approx(float(teacher.way), rel=0.1)


def test_the_same_seed_teaches_the_same():
    pupils = [Policy(generator=torch.Generator().manual_seed(0)) for _ in range(2)]
    for pupil in pupils:
        imitate(pupil, SCENES, torch.Generator().manual_seed(1))
    first, second = (p.state_dict() for p in pupils)
    assert all(torch.equal(first[k], second[k]) for k in first)
