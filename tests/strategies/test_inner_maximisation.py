"""Standard, PGD-AT, TRADES and MART: the losses by hand, the inner problem they pose, modes and buffers."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sparring.attacks.base import frozen
from sparring.attacks.pgd import PGD
from sparring.objectives import cross_entropy, kl_divergence
from sparring.strategies import MART, PGDAT, TRADES, Standard
from sparring.strategies.mart import boosted_cross_entropy

Make = Callable[..., Any]


def test_standard_is_plain_training(duel: Make) -> None:
    d = duel()
    twin = copy.deepcopy(d.model)
    loss = F.cross_entropy(twin(d.batch[0]), d.batch[1])
    loss.backward()
    result = Standard().step(d.game, d.batch, d.state)
    torch.testing.assert_close(result.loss, loss.detach())
    for p, q in zip(d.model.parameters(), twin.parameters(), strict=True):
        assert q.grad is not None
        torch.testing.assert_close(p, q - 0.1 * q.grad)


def test_pgd_at_descends_on_what_the_attack_finds(duel: Make) -> None:
    d = duel()
    strategy = PGDAT()
    x_adv = strategy.perturb(d.game, d.batch, d.state)
    assert not torch.equal(x_adv, d.batch[0])
    assert bool((d.game.threat.violation(x_adv, d.batch[0]) == 0).all())
    terms = strategy.loss(d.game, d.batch, x_adv)
    torch.testing.assert_close(terms["adversarial"], F.cross_entropy(d.model(x_adv), d.batch[1]))
    mixed = PGDAT(clean=0.25).loss(d.game, d.batch, x_adv)
    torch.testing.assert_close(mixed["adversarial"], 0.75 * terms["adversarial"])
    torch.testing.assert_close(mixed["clean"], 0.25 * F.cross_entropy(d.model(d.batch[0]), d.batch[1]))


def test_the_attack_leaves_modes_and_statistics_and_the_descent_trains_in_training_mode(duel: Make) -> None:
    d = duel()
    before = d.weights()
    PGDAT().perturb(d.game, d.batch, d.state)
    assert d.model.training
    assert all(torch.equal(v, before[n]) for n, v in d.weights().items())
    PGDAT().step(d.game, d.batch, d.state)
    assert int(d.model[1].num_batches_tracked) == 1
    TRADES().step(d.game, d.batch, d.state)  # clean and attacked inputs are two forwards
    assert int(d.model[1].num_batches_tracked) == 3


def test_without_radius_pgd_at_is_standard_training(duel: Make) -> None:
    a, b = duel(eps=0.0), duel(eps=0.0)
    PGDAT().step(a.game, a.batch, a.state)
    Standard().step(b.game, b.batch, b.state)
    assert all(torch.equal(v, b.weights()[n]) for n, v in a.weights().items())


@pytest.mark.parametrize("strategy", [PGDAT(), TRADES(), MART()])
def test_the_two_missing_choices_are_named(duel: Make, strategy: Any) -> None:
    d = duel()
    with pytest.raises(TypeError, match="needs a threat model"):
        strategy.step(replace(d.game, threat=None), d.batch, d.state)
    with pytest.raises(TypeError, match="needs an attack as the adversary, not Linear"):
        strategy.step(replace(d.game, adversary=nn.Linear(1, 1)), d.batch, d.state)


# --- TRADES -----------------------------------------------------------------------------------------------------


def linear(weight: list[list[float]]) -> nn.Module:
    model = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(weight))
    return model


def test_trades_loss_by_hand(duel: Make) -> None:
    # Logits (x0, 0) at x = ln 3 and ln 1: p = (3/4, 1/4) and q = (1/2, 1/2).
    d = duel(model=linear([[1.0, 0.0], [0.0, 0.0]]))
    x, x_adv = torch.tensor([[math_log(3), 0.0]]), torch.tensor([[0.0, 0.0]])
    terms = TRADES(beta=6).loss(d.game, (x, torch.tensor([0])), x_adv)
    assert float(terms["natural"].detach()) == pytest.approx(0.28768207)  # -ln 3/4
    assert float(terms["robust"].detach()) == pytest.approx(6 * 0.13081204)  # 3/4 ln 3/2 + 1/4 ln 1/2


def math_log(value: float) -> float:
    return float(torch.tensor(value, dtype=torch.float64).log())


def test_trades_inner_problem_is_the_kl_one(duel: Make) -> None:
    d = duel(PGD(steps=10))
    x, y = d.batch
    with frozen(d.model), torch.no_grad():
        clean = d.model(x)

        def gain(x_adv: torch.Tensor) -> float:
            return float(kl_divergence(d.model(x_adv), clean).mean())

        kl = TRADES().perturb(d.game, d.batch, d.state)
        ce = PGDAT().perturb(d.game, d.batch, d.state)
        assert gain(kl) > gain(ce)
        # Labels play no part: with other ones, and the same noise, it is the same point.
        again = TRADES().perturb(d.game, (x, 2 - y), replace_streams(d.state))
        other = TRADES().perturb(d.game, (x, y), replace_streams(d.state))
        assert torch.equal(again, other)


def replace_streams(state: Any) -> Any:
    state.generators.clear()
    return state


def test_trades_starts_close_to_the_input(duel: Make) -> None:
    d = duel(PGD(steps=1, step_size=0.0, random_start=False))
    moved = TRADES(noise=0.001).perturb(d.game, d.batch, d.state) - d.batch[0]
    assert 0.0005 < float(moved.std()) < 0.0015


def test_trades_gradient_reaches_both_sides(duel: Make) -> None:
    # Equation 5 does not stop the gradient at the clean prediction.
    d = duel(model=linear([[1.0, 0.0], [0.0, 0.0]]))
    terms = TRADES().loss(d.game, (torch.tensor([[1.0, 0.0]]), torch.tensor([0])), torch.tensor([[0.0, 0.0]]))
    grad = torch.autograd.grad(terms["robust"], d.model.weight)[
        0
    ]  # the attacked input is 0: only the clean side counts
    assert float(grad.abs().sum()) > 0


# --- MART -------------------------------------------------------------------------------------------------------


def test_mart_loss_by_hand(duel: Make) -> None:
    d = duel(model=linear([[1.0, 0.0], [0.0, 0.0]]))
    x, x_adv = torch.tensor([[math_log(3), 0.0]]), torch.tensor([[0.0, 0.0]])
    terms = MART(beta=5).loss(d.game, (x, torch.tensor([0])), x_adv)
    assert float(terms["boosted"].detach()) == pytest.approx(2 * 0.69314718)  # -ln 1/2 - ln(1 - 1/2)
    assert float(terms["robust"].detach()) == pytest.approx(5 * 0.13081204 * 0.25)  # KL * (1 - 3/4)


def test_boosted_cross_entropy_by_hand_and_at_the_extremes() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]], dtype=torch.float64).log()
    value = boosted_cross_entropy(logits, torch.tensor([0, 0]))
    expected = -torch.tensor([0.5 * 0.7, 0.1 * 0.4], dtype=torch.float64).log()
    torch.testing.assert_close(value, expected)
    huge = torch.tensor([[-1e3, 1e3, 0.0]], requires_grad=True)
    loss = boosted_cross_entropy(huge, torch.tensor([0]))
    loss.sum().backward()
    assert huge.grad is not None
    assert bool(torch.isfinite(loss).all())
    assert bool(torch.isfinite(huge.grad).all())


def test_for_two_classes_the_boost_doubles_the_cross_entropy() -> None:
    logit, target = torch.tensor([1.5, -0.3]), torch.tensor([1, 1])
    torch.testing.assert_close(boosted_cross_entropy(logit, target), 2 * cross_entropy(logit, target))


@pytest.mark.parametrize("strategy", [PGDAT(), TRADES(), MART(), Standard()])
def test_one_logit_works(duel: Make, strategy: Any) -> None:
    d = duel(classes=1)
    assert bool(torch.isfinite(strategy.step(d.game, d.batch, d.state).loss))
