import math

import pytest
import torch
from torch import nn

from sparring.game import Game
from sparring.objectives import squared_error
from sparring.opponents import HINGE, LEAST_SQUARES, NON_SATURATING, WASSERSTEIN, held, players

REAL, FAKE = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0, 1.0])


def sp(x: float) -> float:
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("loss", "critic", "generator"),
    [
        (HINGE, (0 + 0.5) / 2 + (0 + 1 + 2) / 3, [3.0, 0.0, -1.0]),
        (NON_SATURATING, (sp(-2) + sp(-0.5)) / 2 + (sp(-3) + sp(0) + sp(1)) / 3, [sp(3), sp(0), sp(-1)]),
        (WASSERSTEIN, -1.25 - 2 / 3, [3.0, 0.0, -1.0]),
        (LEAST_SQUARES, (1 + 0.25) / 2 + (9 + 0 + 1) / 3, [16.0, 1.0, 0.0]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_losses_by_hand(loss, critic, generator):
    assert float(loss.critic(REAL, FAKE)) == pytest.approx(critic)
    assert loss.generator(FAKE).tolist() == pytest.approx(generator)


@pytest.mark.parametrize("loss", [HINGE, NON_SATURATING, WASSERSTEIN], ids=lambda loss: loss.name)
def test_the_critic_raises_real_and_lowers_fake_scores_and_the_generator_wants_higher_ones(loss):
    real, fake = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    on_real, on_fake = torch.autograd.grad(loss.critic(real, fake), (real, fake))
    assert bool((on_real < 0).all())
    assert bool((on_fake > 0).all())
    (wanted,) = torch.autograd.grad(loss.generator(fake).sum(), fake)
    assert bool((wanted < 0).all())


def test_hinge_stops_where_the_margin_is_met_and_the_logistic_generator_keeps_its_gradient_when_losing():
    sure = torch.tensor([5.0], requires_grad=True)
    assert float(torch.autograd.grad(HINGE.real(sure).sum(), sure)[0]) == 0
    losing = torch.tensor([-30.0], requires_grad=True)
    assert float(torch.autograd.grad(NON_SATURATING.generator(losing).sum(), losing)[0]) == pytest.approx(-1.0)


def test_held_lets_gradients_through_to_the_input_alone_and_restores():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    net[1].bias.requires_grad_(False)
    x = torch.ones(4, 2, requires_grad=True)
    with held(net):
        loss = net(x).sum()
    loss.backward()
    assert x.grad is not None
    assert all(p.grad is None for p in net.parameters())
    assert [p.requires_grad for p in net.parameters()] == [True, True, True, False]


def test_players_gives_each_side_its_own_rate():
    game = Game(nn.Linear(2, 2), nn.Linear(2, 1), squared_error)
    made = players(lambda p: torch.optim.Adam(p, 1e-4), lambda p: torch.optim.SGD(p, 4e-4))(game)
    assert made["defender"].param_groups[0]["lr"] == 1e-4
    assert made["opponent"].param_groups[0]["lr"] == 4e-4
    assert {id(p) for p in made["opponent"].param_groups[0]["params"]} == {id(p) for p in game.adversary.parameters()}
