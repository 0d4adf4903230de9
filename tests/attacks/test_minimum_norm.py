# pyright: basic
"""Minimum-norm attacks on models whose nearest boundary is known."""

from __future__ import annotations

import pytest
import torch
from tests.attacks.models import Linear, points, seeded
from torch import nn

from sparring.attacks import DDN, FAB, FMN
from sparring.attacks.hyperplane import length
from sparring.attacks.minimum_norm import _onto_ball
from sparring.threats import L1, L2, LInf

FAR = {"linf": LInf(50.0), "l2": L2(200.0), "l1": L1(1000.0)}


def nearest(model: nn.Module, x: torch.Tensor, y: torch.Tensor, norm: str) -> torch.Tensor:
    """The distance to the nearest hyperplane between two classes, in closed form."""
    weight, z = next(model.parameters()), model(x)
    gap = z.gather(1, y[:, None]) - z
    apart = weight.unsqueeze(0) - weight[y].unsqueeze(1)
    dual = {"linf": apart.abs().sum(2), "l2": apart.norm(dim=2), "l1": apart.abs().amax(2)}[norm]
    return (gap / dual.clamp_min(1e-12)).scatter(1, y[:, None], torch.inf).amin(1).detach()


class Planes(nn.Module):
    """Three classes with plane boundaries, without bounds."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 12, generator=seeded()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight.T


@pytest.mark.parametrize(("attack", "norm"), [(FMN, "linf"), (FMN, "l2"), (FMN, "l1"), (DDN, "l2")])
def test_it_finds_the_distance_to_a_plane(attack, norm) -> None:
    model, x = Planes(), torch.randn(30, 12, generator=seeded())
    y = model(x).argmax(1)
    result = attack(steps=300, active_set=False)(model, (x, y), FAR[norm], generator=seeded())
    won = result.success
    assert int(won.sum()) >= (29 if norm == "l1" else 30)
    found, least = length(result.x_adv - x, norm)[won], nearest(model, x, y, norm)[won]
    assert bool((found >= least * (1 - 1e-3)).all())
    assert float((found / least).median()) < 1.01


def test_passes_are_counted_and_the_fallen_leave() -> None:
    model, x = Planes(), torch.randn(30, 12, generator=seeded())
    y = model(x).argmax(1)
    radius = float(nearest(model, x, y, "l2").median()) * 1.1
    for attack in (FMN(steps=40), DDN(steps=40, init=0.2)):
        result = attack(model, (x, y), L2(radius), generator=seeded())
        assert 8 <= int(result.success.sum()) <= 25
        assert torch.equal(result.queries.forward, result.queries.backward)
        assert bool((result.queries.forward[~result.success] == 40).all())
        assert bool((result.queries.forward[result.success] < 40).any())
        assert torch.equal(result.x_adv[~result.success], x[~result.success])


def test_it_agrees_with_fab() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 3))
    x = torch.randn(40, 12, generator=seeded())
    y = model(x).argmax(1)
    other = FAB(steps=60, restarts=2, active_set=False)(model, (x, y), L2(30.0), generator=seeded())
    mine = FMN(steps=300, active_set=False)(model, (x, y), L2(30.0), generator=seeded())
    both = other.success & mine.success
    assert int(both.sum()) > 25
    ratio = length(mine.x_adv - x, "l2")[both] / length(other.x_adv - x, "l2")[both]
    assert float(ratio.median()) < 1.1


def test_ddn_is_for_l2_alone() -> None:
    model, x = Linear(6, 3), points(4, 6)
    with pytest.raises(TypeError, match="DDN is defined for L2"):
        DDN()(model, (x, model(x).argmax(1)), LInf(0.1), generator=seeded())


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_changes_are_cut_to_the_ball(norm) -> None:
    delta = torch.randn(20, 9, generator=seeded(), dtype=torch.float64)
    eps = torch.rand(20, generator=seeded(), dtype=torch.float64) * 4
    cut = _onto_ball(delta, eps, norm)
    assert bool((length(cut, norm) <= eps * (1 + 1e-9)).all())
    inside = length(delta, norm) <= eps
    assert torch.equal(cut[inside], delta[inside])
    threat = {"linf": LInf, "l2": L2, "l1": L1}[norm]
    for i in range(20):
        zero = torch.zeros(1, 9, dtype=torch.float64)
        torch.testing.assert_close(cut[i : i + 1], threat(float(eps[i])).project(delta[i : i + 1], zero))


class Bent(nn.Module):
    """Ten classes of a random ReLU net: boundaries with corners, behind which the linear estimate circles."""

    def __init__(self) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(3)
        self.first = nn.Parameter(torch.randn(32, 64, generator=g) / 8)
        self.last = nn.Parameter(torch.randn(10, 32, generator=g) / 32**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x @ self.first.T).relu() @ self.last.T


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_boundary_with_corners_is_reached_from_every_sample(norm: str) -> None:
    model, x = Bent(), torch.rand(40, 64, generator=seeded())
    y = model(x).argmax(1)
    result = FMN(steps=100, active_set=False)(model, (x, y), FAR[norm], generator=seeded())
    assert float(result.success.double().mean()) == 1.0
