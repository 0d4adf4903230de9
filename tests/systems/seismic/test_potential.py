# pyright: basic
"""The critic on the gather's plane: known values, its constraints, and what its distance does that L2's does not."""

from __future__ import annotations

import pytest
import torch

from sparring.errors import BadInput
from sparring.systems.seismic.plan import PotentialPlan
from sparring.systems.seismic.potential import Potential, cosines
from sparring.systems.seismic.survey import ricker

DT, DX = 0.01, 40.0


def made(time: float, length: float = 0.0, *, receivers: int = 8, samples: int = 120, shots: int = 2, **options):
    return Potential((shots, receivers, samples), DT, DX, PotentialPlan(time, length, every=1, **options))


def impulses(lag: int, receivers: int = 8, samples: int = 120) -> torch.Tensor:
    """One arrival too late by `lag` samples, the same in every trace."""
    gathers = torch.zeros(1, receivers, samples)
    gathers[..., 40 + lag], gathers[..., 40] = 1, -1
    return gathers


def test_the_cosine_basis_is_orthonormal_and_knows_the_constant() -> None:
    basis = cosines(9)
    assert torch.allclose(basis @ basis.T, torch.eye(9), atol=1e-6)
    assert torch.allclose((basis @ torch.ones(9))[1:], torch.zeros(8), atol=1e-6)


@pytest.mark.parametrize("lag", [5, 10, 20])
def test_a_late_arrival_costs_its_lateness_until_the_bound(lag: int) -> None:
    for time in (0.1, 0.5):
        cost = float(made(time)(impulses(lag))) * 120  # value() is a mean over the plane
        assert cost == pytest.approx(min(lag * DT / time, 2.0), rel=0.03)


def test_a_critic_that_may_be_steep_is_l1_and_one_that_may_not_sees_the_mean() -> None:
    torch.manual_seed(0)
    noise = torch.randn(2, 8, 120)
    assert float((made(1e-4)(noise) / noise.abs().mean((1, 2)) - 1).abs().max()) < 0.02
    stiff = made(100.0, 1e6)(noise)
    assert torch.allclose(stiff, noise.mean((1, 2)).abs(), atol=0.02)


def test_slopes_and_size_stay_within_what_is_allowed() -> None:
    torch.manual_seed(1)
    potential = made(0.2, 200.0)
    slopes = potential.derivatives(potential.best(torch.randn(2, 8, 120)))
    assert float(slopes.abs().max()) < 1.05


def test_the_distance_lies_above_its_tangents_so_u_is_its_derivative() -> None:
    torch.manual_seed(2)
    potential, x, step = made(0.1, 100.0), torch.randn(1, 8, 120), 0.3 * torch.randn(1, 8, 120)
    here, there = potential.best(x), potential.best(x + step)
    rise = float(potential(x + step) - potential(x))
    slack = 0.02 * float(potential(x))
    assert float(potential.value(here, step)) - slack < rise < float(potential.value(there, step)) + slack
    (grad,) = torch.autograd.grad(potential.value(here, x.requires_grad_(True)).sum(), x)
    assert torch.allclose(grad * 8 * 120, here, atol=1e-5)


def test_where_l2_skips_a_cycle_the_potential_still_leads_back() -> None:
    observed = ricker(2.0, DT, 120)
    late = [observed.roll(k)[None, None].expand(1, 8, -1) - observed for k in (36, 24, 12)]
    distance = made(0.5, 400.0)
    values = [float(distance(r)) for r in late]
    assert values[0] > 1.1 * values[1] > 1.2 * values[2]
    l2 = [float(r.square().mean()) for r in late]
    assert l2[1] > 0.95 * l2[0]


def test_white_noise_weighs_less_than_for_l1() -> None:
    torch.manual_seed(3)
    signal, noise = 0.5 * impulses(20), 0.1 * torch.randn(1, 8, 120)
    ratio = [float(f(noise) / f(signal)) for f in (made(0.3, 300.0), lambda r: r.abs().mean((1, 2)))]
    assert ratio[0] < 0.3 * ratio[1]


def test_sweeps_from_step_to_step_reach_the_best_response_and_keep_shots_apart() -> None:
    torch.manual_seed(4)
    potential = made(0.2, 200.0, sweeps=10)
    r = torch.randn(2, 8, 120)
    best = potential.value(potential.best(r), r)
    first = potential.value(potential.ascend(torch.tensor([1]), r[1:]), r[1:])
    assert not potential.memory[0].any()
    for _ in range(12):
        u = potential.ascend(torch.tensor([1]), r[1:])
    last = potential.value(u, r[1:])
    assert float(first) <= float(last) * 1.05
    assert float(last) == pytest.approx(float(best[1]), rel=0.03)


def test_thinning_keeps_means_and_too_little_is_refused() -> None:
    potential = Potential((1, 8, 121), DT, DX, PotentialPlan(0.1, 100.0, every=3, each=2))
    assert potential.size == (4, 40)
    assert potential.steps == pytest.approx((100 / 80, 0.1 / 0.03))
    assert torch.allclose(potential.thinned(torch.ones(1, 8, 121)), torch.ones(1, 4, 40))
    with pytest.raises(BadInput, match="would live on 1 receivers x 40 samples; thin less"):
        Potential((1, 8, 121), DT, DX, PotentialPlan(every=3, each=5))
