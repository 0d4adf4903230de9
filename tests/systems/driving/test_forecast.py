# pyright: basic
import pytest
import torch
from tests.systems.driving.worlds import straight

from sparring.errors import BadInput
from sparring.systems.driving.forecast import with_forecast
from sparring.systems.driving.response import against_all, prior
from sparring.systems.driving.scenes import DT, STEPS, Scenes

SCENES = Scenes.joined(
    [straight(torch.tensor([[18.0 + i, 0.0, 0.0, 8.0], [18.0 + i, 3.5, 0.0, 8.0]])) for i in range(2)]
)


class Braking:
    """Three modes: as it drives, braking, and a swerve into the car beside it."""

    def __call__(self, scenes):
        t = torch.arange(STEPS + 1) * DT
        first = scenes.log[:, 0, 0]
        modes = []
        for accel, aside in ((0.0, 0.0), (-3.0, 0.0), (0.0, 3.5)):
            speed = (first[:, 3:] + accel * t).clamp_min(0)
            way = torch.cat([torch.zeros(len(first), 1), (0.5 * (speed[:, 1:] + speed[:, :-1]) * DT).cumsum(1)], dim=1)
            y = first[:, 1:2] + aside * (t / 2).clamp_max(1)
            modes.append(torch.stack([first[:, :1] + way, y, torch.zeros_like(way), speed], dim=2))
        return torch.stack(modes, dim=1), torch.tensor([0.0, -1.0, -1.0]).expand(len(first), -1)


class Blind:
    def act(self, sim):
        return torch.zeros(sim.batch, 2)


def test_the_modes_are_the_candidates_and_their_probabilities_the_prior():
    found = with_forecast(SCENES, Braking(), log=0.25)
    assert found.candidates == 4
    assert torch.equal(found.moves[:, 0], SCENES.log[:, 0])
    p = found.log_prior.exp()
    assert torch.allclose(p.sum(1), torch.ones(2), atol=1e-5)
    assert torch.allclose(p[:, 0], torch.full((2,), 0.25))
    assert float(p[0, 1] / p[0, 2]) == pytest.approx(2.71828, rel=1e-4)


def test_what_it_may_not_do_is_not_in_the_prior():
    found = with_forecast(SCENES, Braking())
    assert found.feasible[0].tolist() == [True, True, True, False]
    assert float(prior(found).exp()[0, 3]) == 0.0


def test_the_game_is_played_on_it():
    ret = against_all(Blind(), with_forecast(SCENES, Braking())).ret
    assert bool((ret[:, 2] < ret[:, 0]).all())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda p, s: (p[:, :, :-1], s), "paths are"),
        (lambda p, s: (p, s[:, :2]), "log_prob is"),
        (lambda p, s: (p * torch.nan, s), "not finite"),
        (lambda p, s: (p + 5.0, s), "7.1 m"),
    ],
)
def test_a_forecast_that_does_not_fit_is_refused(change, told):
    class Wrong(Braking):
        def __call__(self, scenes):
            return change(*super().__call__(scenes))

    with pytest.raises(BadInput, match=told):
        with_forecast(SCENES, Wrong())


def test_the_logs_probability_is_checked():
    with pytest.raises(ValueError, match="probability"):
        with_forecast(SCENES, Braking(), log=1.0)
