# pyright: basic
"""The ego in another simulator's body; each peer's tests are skipped where it is not installed."""

import importlib.util
import math

import numpy as np
import pytest
import torch
from tests.systems.driving.worlds import nobody, straight

from sparring.errors import BadInput
from sparring.systems.driving.attacks import Pursuit
from sparring.systems.driving.elsewhere import BODIES, Elsewhere, body, play_elsewhere
from sparring.systems.driving.episodes import play
from sparring.systems.driving.facade import DrivingEnv
from sparring.systems.driving.planner import Planner
from sparring.systems.driving.simulator import Simulator, bicycle

PEERS = [
    pytest.param(
        name,
        marks=[
            pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"{package} is not installed"),
            pytest.mark.filterwarnings("ignore::DeprecationWarning"),
            pytest.mark.filterwarnings("ignore::ResourceWarning"),
        ],
    )
    for name, (module, package) in BODIES.items()
]


class Ours:
    """The bicycle, dressed as another simulator's vehicle."""

    def place(self, pose):
        self.pose = torch.tensor([pose])

    def step(self, accel, curvature):
        self.pose = bicycle(self.pose, torch.tensor([accel]), torch.tensor([curvature]))
        return tuple(self.pose[0].tolist())


@pytest.mark.parametrize("attack", [None, Pursuit()])
def test_our_own_bicycle_as_a_foreign_body_changes_nothing(attack):
    scenes = straight(torch.tensor([[18.0, 3.5, 0.0, 8.0], [60.0, 0.0, 0.0, 6.0]]))
    rows = torch.tensor([0, 0])
    own = play(Planner(), scenes, rows, attack=attack)
    foreign = play_elsewhere(Planner(), scenes, rows, Ours(), attack=attack)
    for name, value in own.tensors().items():
        torch.testing.assert_close(foreign.tensors()[name], value, msg=name)


def test_one_body_drives_one_episode():
    with pytest.raises(ValueError, match="one episode at a time, not 2"):
        Elsewhere(Ours())(torch.zeros(2, 4), torch.zeros(2), torch.zeros(2))


def test_a_simulator_nobody_knows_is_bad_input():
    with pytest.raises(BadInput, match="choose highway-env or metadrive"), body("carla"):
        pass


def test_a_simulator_that_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="pip install metadrive-simulator"), body("metadrive"):
        pass


@pytest.mark.parametrize("name", PEERS)
def test_a_foreign_vehicle_does_what_it_is_asked_within_its_own_physics(name):
    def driven(vehicle, accel, curvature):
        vehicle.place((100.0, 50.0, 0.5, 10.0))
        for _ in range(8):
            x, y, heading, speed = vehicle.step(accel, curvature)
        along = (x - 100) * math.cos(0.5) + (y - 50) * math.sin(0.5)
        aside = (y - 50) * math.cos(0.5) - (x - 100) * math.sin(0.5)
        return along, aside, heading - 0.5, speed

    with body(name) as vehicle:
        along, aside, turned, speed = driven(vehicle, 0.0, 0.0)
        assert (along, aside, turned, speed) == pytest.approx((8.0, 0.0, 0.0, 10.0), abs=0.4)
        assert driven(vehicle, 2.0, 0.0)[3] == pytest.approx(11.6, abs=0.3)
        assert driven(vehicle, -4.0, 0.0)[3] == pytest.approx(6.8, abs=0.6)
        _, left, turned, _ = driven(vehicle, 0.0, 0.02)
        assert left > 0.4
        assert turned == pytest.approx(0.16, abs=0.04)
        assert driven(vehicle, 0.0, -0.02)[1] == pytest.approx(-left, abs=0.05)
        stopped = [driven(vehicle, -7.0, 0.0)[3], *(vehicle.step(-7.0, 0.0)[3] for _ in range(25))]
        assert stopped[-1] == pytest.approx(0.0, abs=0.2)


@pytest.mark.parametrize("name", PEERS)
def test_an_attack_is_the_same_there_and_the_planner_sees_it(name):
    scenes = straight(torch.tensor([[30.0, 0.0, 0.0, 2.0]]))
    rows = torch.tensor([0])
    with body(name) as vehicle:
        sim = Simulator(scenes, rows, dynamics=Elsewhere(vehicle))
        for _ in range(20):
            sim.step(torch.zeros(1), torch.zeros(1))
        torch.testing.assert_close(sim.others[0, 0, 0], torch.tensor(34.0), rtol=0, atol=0.05)
        passed = play_elsewhere(Planner(), scenes, rows, vehicle)
        free = play_elsewhere(Planner(), straight(nobody()), rows, vehicle)
    assert not bool(passed.failed)
    assert 2.0 < float(passed.gap) < 12.0
    assert float(passed.ret) < float(free.ret)
    assert float(free.completion) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("name", PEERS)
def test_the_gymnasium_facade_drives_in_it(name):
    with body(name) as vehicle:
        env = DrivingEnv(straight(nobody()), attacked=0.0, body=vehicle)
        total, over = 0.0, False
        env.reset(seed=0)
        while not over:
            _, reward, over, _, told = env.step(np.zeros(2, np.float32))
            total += reward
    assert told["is_success"]
    assert total > 18
