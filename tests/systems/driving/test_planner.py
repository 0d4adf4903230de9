# pyright: basic
from dataclasses import replace

import pytest
import torch
from tests.systems.driving.worlds import nobody, straight

from sparring.game import Game
from sparring.systems.driving.episodes import play, record
from sparring.systems.driving.planner import NUMBERS, Planner
from sparring.systems.driving.scenes import STEPS, Scenes
from sparring.systems.driving.simulator import Simulator
from sparring.systems.driving.tuning import Tune

ONE = torch.zeros(1, dtype=torch.long)


def test_alone_it_keeps_its_pace_and_its_lane():
    out = play(Planner(), straight(nobody()), ONE)
    assert not bool(out.failed)
    assert float(out.way) > 75
    assert float(out.completion) == 1.0


@pytest.mark.parametrize("other", [[40.0, 0.0, 0.0, 0.0], [15.0, 0.0, 0.0, 5.0], [45.0, -35.0, 1.5708, 9.0]])
def test_it_hits_nobody_that_it_can_see(other):
    assert not bool(play(Planner(), straight(torch.tensor([other])), ONE).failed)


def test_its_numbers_are_within_their_ranges_and_start_at_their_defaults():
    numbers = Planner().numbers()
    for name, (default, least, most) in NUMBERS.items():
        assert numbers[name] == pytest.approx(default, rel=1e-5)
        assert least <= default <= most


def test_a_larger_gap_along_keeps_more_distance():
    scene = straight(torch.tensor([[22.0, 0.0, 0.0, 8.0]]))
    scene = replace(scene, left=torch.tensor([0.5]), right=torch.tensor([0.5]))  # no room to overtake
    gaps = []
    for share in (0.0, 1.0):
        planner = Planner()
        planner.place[list(NUMBERS).index("gap along")] = share
        ego, others = record(planner, Simulator(scene, ONE))
        gaps.append(float(others[0, 0, -1, 0] - ego[0, -1, 0]))
    assert gaps[1] > gaps[0] + 1


def test_tuning_never_loses_what_it_has_and_stays_in_range(plain_state):
    scenes = Scenes.joined([straight(torch.tensor([[18.0 + i, 0.0, 0.0, 6.0]])) for i in range(4)])
    planner = Planner()
    before = planner.place.clone()
    game = Game(planner, None, lambda out, target: -out)
    state = plain_state(game, lambda g: {})
    rule = Tune(scenes=scenes, population=4, elite=2)
    rows = torch.arange(4)
    results = [rule.step(game, (rows, torch.zeros_like(rows)), state) for _ in range(2)]
    for result in results:
        assert result.metrics["best"] >= result.metrics["return"]
    assert not torch.equal(planner.place, before)
    assert float(planner.place.min()) >= 0.0
    assert float(planner.place.max()) <= 1.0


def test_an_outcome_tells_what_happened():
    scenes = Scenes.joined([straight(nobody()), straight(torch.tensor([[9.0, 0.0, 0.0, 0.0]]))])

    class Blind:
        def act(self, sim):
            return torch.zeros(sim.batch, 2)

    out = play(Blind(), scenes, torch.arange(2))
    assert out.crashed.tolist() == [False, True]
    assert out.ended_at[0] == STEPS
    assert int(out.ended_at[1]) < 10
    assert float(out.speed[0]) == pytest.approx(10.0, abs=0.01)
    assert float(out.gap[1]) < 4.7
    assert float(out.ret[1]) < -7
