"""The wrappers: adversarial weight perturbation and averaged weights."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.strategies import AWP, EMA, MART, PGDAT, TRADES, Standard, defender_of

Make = Callable[..., Any]


@pytest.mark.parametrize("inner", [Standard(), PGDAT(), TRADES(), MART()])
def test_awp_without_radius_is_the_inner_strategy(duel: Make, inner: Any) -> None:
    a, b, c = duel(), duel(), duel()
    for _ in range(3):
        AWP(inner=inner, gamma=0.0).step(a.game, a.batch, a.state)
        inner.step(b.game, b.batch, b.state)
        AWP(inner=inner, warmup=99).step(c.game, c.batch, c.state)
    assert all(torch.equal(v, b.weights()[n]) for n, v in a.weights().items())
    assert all(torch.equal(v, b.weights()[n]) for n, v in c.weights().items())


def test_awp_leaves_the_weights_exactly_where_they_were(duel: Make) -> None:
    d = duel(lr=0.0)
    before = {n: p.detach().clone() for n, p in d.model.named_parameters()}
    for _ in range(4):
        AWP(inner=PGDAT(), gamma=0.5).step(d.game, d.batch, d.state)
    assert all(torch.equal(p, before[n]) for n, p in d.model.named_parameters())
    assert all(isinstance(p, nn.Parameter) and p.is_leaf for p in d.model.parameters())
    assert int(d.model[1].num_batches_tracked) == 4  # the ascent's pass does not count


def test_awp_by_hand(duel: Make) -> None:
    d = duel()
    x, y = d.batch
    twin = copy.deepcopy(d.model)
    weights = [p for p in twin.parameters() if p.ndim > 1]
    grads = torch.autograd.grad(F.cross_entropy(twin(x), y), weights)
    deltas = [0.05 * w.detach().norm() * g / g.norm() for w, g in zip(weights, grads, strict=True)]
    with torch.no_grad():
        for w, delta in zip(weights, deltas, strict=True):
            w += delta
    loss = F.cross_entropy(twin(x), y)
    loss.backward()
    with torch.no_grad():
        for w, delta in zip(weights, deltas, strict=True):
            w -= delta
        for p in twin.parameters():
            p -= 0.1 * p.grad
    result = AWP(inner=Standard(), gamma=0.05).step(d.game, d.batch, d.state)
    torch.testing.assert_close(result.loss, loss.detach())
    torch.testing.assert_close(dict(d.model.named_parameters()), dict(twin.named_parameters()))


def test_awp_raises_the_loss_it_descends(duel: Make) -> None:
    losses = []
    for gamma in (0.0, 0.02, 0.1):
        d = duel()
        losses.append(float(AWP(inner=Standard(), gamma=gamma).step(d.game, d.batch, d.state).loss))
    assert losses == sorted(losses)
    assert losses[2] > losses[0] + 0.01


def test_awp_moves_tied_weights_together(duel: Make) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(5, 5), nn.Linear(5, 5)
            self.b.weight = self.a.weight
            self.head = nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.b(torch.tanh(self.a(x))))

    torch.manual_seed(0)
    d = duel(model=Tied())
    x, y = d.batch
    delta = AWP(inner=Standard(), gamma=0.1).perturbation(d.game, d.batch, x, d.state)
    twin = copy.deepcopy(d.model)
    with torch.no_grad():
        twin.a.weight += delta[id(d.model.a.weight)]
        twin.head.weight += delta[id(d.model.head.weight)]
    assert twin.b.weight is twin.a.weight
    expected = F.cross_entropy(twin(x), y).detach()
    torch.testing.assert_close(AWP(inner=Standard(), gamma=0.1).step(d.game, d.batch, d.state).loss, expected)
    assert d.model.b.weight is d.model.a.weight


def test_ema_closed_form(duel: Make) -> None:
    d, decay = duel(), 0.7
    strategy = EMA(inner=Standard(), decay=decay, warmup=False)
    seen = []
    for d.state.step in range(6):
        strategy.step(d.game, d.batch, d.state)
        seen.append(d.weights())
    averaged = strategy.defender(d.game, d.state)
    assert averaged is not d.model
    for name, value in averaged.state_dict().items():
        if not value.is_floating_point():
            assert torch.equal(value, seen[-1][name])
            continue
        expected = decay**5 * seen[0][name]
        for t in range(1, 6):
            expected = expected + (1 - decay) * decay ** (5 - t) * seen[t][name]
        torch.testing.assert_close(value, expected)


def test_ema_warms_up_and_does_not_touch_training(duel: Make) -> None:
    a, b = duel(), duel()
    strategy = EMA(inner=PGDAT(), decay=0.999)
    before = strategy.defender(a.game, a.state).state_dict()
    assert all(torch.equal(v, a.weights()[n]) for n, v in before.items())
    for step in range(4):
        a.state.step = b.state.step = step
        strategy.step(a.game, a.batch, a.state)
        PGDAT().step(b.game, b.batch, b.state)
    assert all(torch.equal(v, b.weights()[n]) for n, v in a.weights().items())
    # At step 3 the decay is 4/13, far from .999: the average follows closely.
    gap = (strategy.defender(a.game, a.state).state_dict()["0.weight"] - a.weights()["0.weight"]).norm()
    moved = (before["0.weight"] - a.weights()["0.weight"]).norm()
    assert float(gap) < 0.5 * float(moved)
    with pytest.raises(ValueError, match="decay"):
        EMA(inner=Standard(), decay=1.0)


def test_the_innermost_offer_is_found(duel: Make) -> None:
    d = duel()
    assert defender_of(Standard(), d.game, d.state) is d.model
    assert defender_of(AWP(inner=PGDAT()), d.game, d.state) is d.model
    assert defender_of(EMA(inner=AWP(inner=PGDAT())), d.game, d.state) is not d.model
