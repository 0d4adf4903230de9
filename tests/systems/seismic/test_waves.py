# pyright: basic
"""The wave equation: a known solution, gradients, borders, sources between cells."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.systems.seismic.reference import propagate
from tests.systems.seismic.scenes import homogeneous, spread

from sparring.systems.seismic.earth import Earth
from sparring.systems.seismic.survey import Survey, ricker
from sparring.systems.seismic.waves import REFERENCE, Waves, courant_limit, illumination, sampling_interval

ALL = torch.arange(3)


def test_gathers_agree_with_a_propagator_of_the_tests_own() -> None:
    torch.manual_seed(0)
    earth = Earth(2000 + 300 * torch.rand(90, 90), REFERENCE)
    wavelet = ricker(3.0, 0.002, 300)
    source = torch.tensor([[45.5, 45.5]]) * REFERENCE
    receivers = torch.tensor([[[53.5, 45.5], [45.5, 60.5]]]) * REFERENCE
    survey = Survey(source, receivers, wavelet, 0.002, 3.0)
    ours = Waves(earth, survey, fastest=2400, accuracy=2)(earth.velocity, torch.tensor([0]))[0]
    theirs = propagate(earth.velocity, REFERENCE, 0.002, wavelet, (45, 45), [(45, 53), (60, 45)])
    lag = ours - theirs
    assert float(lag.norm() / theirs.norm()) < 0.02


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 1e-3), (torch.float64, 1e-6)])
def test_the_gradient_is_the_derivative_along_any_direction(dtype: torch.dtype, most: float) -> None:
    torch.manual_seed(1)
    base = 2000 + 200 * torch.rand(20, 32, dtype=torch.float64)
    direction = torch.nn.functional.avg_pool2d(torch.randn(1, 22, 34, dtype=torch.float64), 3, 1)[0]
    survey = spread(Earth(base, 40.0))
    waves = Waves(Earth(base, 40.0), survey, fastest=2600)
    target = waves(torch.full_like(base, 2100), ALL)

    def loss(v: torch.Tensor) -> torch.Tensor:
        return (waves(v, ALL) - target.to(v)).square().sum()

    v = base.to(dtype).requires_grad_(True)
    (grad,) = torch.autograd.grad(loss(v), v)
    there = [float(loss(base + k * 0.1 * direction).detach()) for k in (-2, -1, 1, 2)]  # always in double precision
    slope = (there[0] - 8 * there[1] + 8 * there[2] - there[3]) / 1.2
    assert float((grad.double() * direction).sum().detach()) == pytest.approx(slope, rel=most)


def test_the_adjoint_passes_the_dot_product_test_in_the_source() -> None:
    earth, n = homogeneous().with_velocity(torch.full((20, 32), 2000.0, dtype=torch.float64)), 160
    survey = spread(earth)
    torch.manual_seed(2)
    one = torch.randn(n, dtype=torch.float64).requires_grad_(True)
    waves = Waves(earth, survey.with_wavelet(one), fastest=2400)
    data = waves(earth.velocity, ALL)
    other = torch.randn_like(data)
    (back,) = torch.autograd.grad((data * other).sum(), one)
    assert float((data * other).sum().detach()) == pytest.approx(float((one * back).sum().detach()), rel=1e-9)


def test_keeping_every_fourth_field_leaves_the_gradient() -> None:
    earth = homogeneous()
    survey = spread(earth)
    assert sampling_interval(survey) == 4
    grads = []
    for interval in (1, 4):
        v = earth.velocity.clone().requires_grad_(True)
        waves = Waves(earth, survey, fastest=2400, interval=interval)
        grads.append(torch.autograd.grad(waves(v, ALL).square().sum(), v)[0][3:])
    assert float(torch.cosine_similarity(*(g.flatten() for g in grads), dim=0)) > 0.999


def test_the_border_sends_back_less_than_a_hundredth() -> None:
    small, large = homogeneous(shape=(40, 60)), homogeneous(shape=(160, 180))
    survey = Survey(
        torch.tensor([[30.5, 20.5]]) * 40, torch.tensor([[[10.5, 20.5], [30.5, 5.5], [50.5, 30.5]]]) * 40,
        ricker(4.0, 0.004, 300), 0.004, 4.0,
    )  # fmt: skip
    moved = Survey(survey.sources + 60 * 40, survey.receivers + 60 * 40, survey.wavelet, 0.004, 4.0)
    one = torch.tensor([0])
    near = Waves(small, survey, fastest=2000)(small.velocity, one)
    far = Waves(large, moved, fastest=2000)(large.velocity, one)
    decibel = 20 * torch.log10((near - far).norm() / far.norm())
    assert float(decibel) < -40


def test_a_source_between_cells_is_the_mean_of_its_neighbours_for_long_waves() -> None:
    earth = homogeneous(shape=(40, 60))
    spread_ = torch.tensor([[[40.5, 10.5]]]) * 40

    def gather(column: float) -> torch.Tensor:
        survey = Survey(torch.tensor([[column, 20.5]]) * 40, spread_, ricker(2.0, 0.004, 300), 0.004, 2.0)
        return Waves(earth, survey, fastest=2000)(earth.velocity, torch.tensor([0]))

    mean = (gather(20.5) + gather(21.5)) / 2
    assert float((gather(21.0) - mean).norm() / mean.norm()) < 0.05
    edge = Survey(torch.tensor([[30.0, 40.0]]), spread_, ricker(2.0, 0.004, 300), 0.004, 2.0)
    assert bool(torch.isfinite(Waves(earth, edge, fastest=2000)(earth.velocity, torch.tensor([0]))).all())


def test_a_free_surface_sends_back_what_a_border_swallows() -> None:
    earth = homogeneous()
    open_, shut = spread(earth), spread(earth)
    shut = Survey(shut.sources, shut.receivers, shut.wavelet, shut.dt, shut.peak, free_surface=True)
    both = [Waves(earth, s, fastest=2400)(earth.velocity, ALL) for s in (open_, shut)]
    assert float((both[0] - both[1]).norm() / both[0].norm()) > 0.3


def test_solves_are_counted_and_small_batches_change_nothing() -> None:
    earth = homogeneous()
    survey = spread(earth)
    v = earth.velocity.clone().requires_grad_(True)
    whole, parts = Waves(earth, survey, fastest=2400), Waves(earth, survey, fastest=2400, together=1)
    a, b = whole(v, ALL), parts(v, ALL)
    torch.testing.assert_close(a, b)
    a.sum().backward()
    assert (whole.solves.forward, whole.solves.adjoint, parts.solves.total) == (3, 3, 3)


def test_any_number_of_samples_goes_with_any_interval() -> None:
    earth = homogeneous()
    survey = spread(earth)
    cut = replace(survey, wavelet=survey.wavelet[: len(survey.wavelet) // 4 * 4 - 3])
    v = (earth.velocity + 50 * torch.rand(earth.velocity.shape)).requires_grad_(True)
    kept, thinned = (Waves(earth, cut, fastest=2400, interval=k)(v, ALL) for k in (1, 4))
    assert kept.shape == thinned.shape == cut.shape
    torch.testing.assert_close(kept, thinned)
    thinned.square().sum().backward()
    assert v.grad is not None
    assert bool(torch.isfinite(v.grad).all())


def test_illumination_is_strongest_near_the_spread() -> None:
    earth = homogeneous()
    light = illumination(Waves(earth, spread(earth), fastest=2400), earth.velocity)
    assert float(light.max()) == 1
    assert float(light[:5].mean()) > float(light[-5:].mean())


def test_the_courant_limit_is_the_textbook_one() -> None:
    assert courant_limit(40.0, 6000.0) == pytest.approx(0.004)
