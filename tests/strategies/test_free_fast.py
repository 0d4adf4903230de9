"""Free and fast adversarial training."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.attacks.pgd import PGD
from sparring.strategies import CatastrophicOverfitting, Fast, Free

Make = Callable[..., Any]


def test_free_by_hand(duel: Make) -> None:
    d = duel(eps=0.1)
    x, y = d.batch
    twin = copy.deepcopy(d.model)
    optimizer, delta = torch.optim.SGD(twin.parameters(), 0.1), torch.zeros_like(x)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        x_adv = (x + delta).clamp(0, 1).requires_grad_(True)
        loss = F.cross_entropy(twin(x_adv), y)
        loss.backward()
        optimizer.step()
        assert x_adv.grad is not None
        delta = ((x_adv.detach() + 0.1 * x_adv.grad.sign()).clamp(0, 1) - x).clamp(-0.1, 0.1)
        losses.append(float(loss.detach()))
    result = Free(m=3).step(d.game, d.batch, d.state)
    assert float(result.loss) == pytest.approx(sum(losses) / 3)
    assert d.state.descents == ["defender"] * 3
    torch.testing.assert_close(d.weights(), twin.state_dict())
    torch.testing.assert_close(d.state.memory["free.delta"], delta)


def test_free_carries_the_perturbation_by_place(duel: Make) -> None:
    d, strategy = duel(eps=0.1), Free(m=1)
    strategy.step(d.game, d.batch, d.state)
    first = d.state.memory["free.delta"].clone()
    short = (d.batch[0][:5], d.batch[1][:5])
    strategy.step(d.game, short, d.state)
    assert d.state.memory["free.delta"].shape == first.shape
    assert torch.equal(d.state.memory["free.delta"][5:], first[5:])
    assert float(d.state.memory["free.delta"].abs().max()) <= 0.1 + 1e-6


def test_free_needs_an_input_gradient(duel: Make) -> None:
    class Blind(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x.detach())

    d = duel(model=Blind())
    with pytest.raises(TypeError, match="passes no gradient to its input"):
        Free().step(d.game, d.batch, d.state)
    with pytest.raises(ValueError, match="at least 1"):
        Free(m=0)


def test_fast_takes_one_step_from_a_random_start(duel: Make) -> None:
    d = duel(PGD(steps=50), eps=0.1)
    x_adv = Fast().perturb(d.game, d.batch, d.state)
    moved = (x_adv - d.batch[0]).abs()
    assert bool((d.game.threat.violation(x_adv, d.batch[0]) == 0).all())
    # A step of 1.25 eps from a uniform start overshoots, and is cut, with probability 5/8.
    inside = (d.batch[0] > 0.1) & (d.batch[0] < 0.9)
    share = float((moved[inside] > 0.0999).float().mean())
    assert 0.5 < share < 0.75


class Sawtooth(nn.Module):
    """A crafted collapse: once `hidden` is set, the slope at every point leads away from where the class changes."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.hidden = False

    def forward(self, x: Tensor) -> Tensor:
        value = x[:, 0] - 0.5
        if not self.hidden:
            return self.scale * torch.stack([torch.ones_like(value), torch.zeros_like(value)], 1) * 5 + 0 * x[:, :2]
        # Wins against one step of any size, loses to many small ones that find the pit between the ridges.
        pit = torch.cos(value * 90) * 3
        return self.scale * torch.stack([pit + 2, torch.zeros_like(value)], 1)


def test_fast_says_when_robustness_collapses(duel: Make) -> None:
    model = Sawtooth()
    d = duel(PGD(steps=20, step_size=0.1, restarts=3), eps=0.2, model=model, lr=0.0)
    x = torch.full((24, 5), 0.5)
    batch = (x, torch.zeros(24, dtype=torch.int64))
    strategy = Fast(check_every=1)
    first = strategy.step(d.game, batch, d.state)
    assert first.metrics["check_accuracy"] == 1.0
    model.hidden = True
    d.state.step = 1
    with pytest.warns(CatastrophicOverfitting, match=r"step 1: accuracy under attack fell to 0\.\d\d from 1\.00"):
        strategy.step(d.game, batch, d.state)
    with pytest.raises(CatastrophicOverfitting, match="lower the step size"):
        Fast(check_every=1, on_overfit="stop").step(d.game, batch, d.state)


def test_fast_checks_only_when_due(duel: Make) -> None:
    d = duel()
    strategy = Fast(check_every=3, drop=1.1)
    seen = []
    for d.state.step in range(6):
        seen.append("check_accuracy" in strategy.step(d.game, d.batch, d.state).metrics)
    assert seen == [False, False, True, False, False, True]
    assert "step_accuracy" not in Fast(check_every=0).step(d.game, d.batch, d.state).metrics
