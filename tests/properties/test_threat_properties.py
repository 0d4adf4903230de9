"""What every threat model promises, over shapes, sizes and dtypes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.properties.cases import DTYPES, PROFILE, SHAPES, THREATS, inputs
from torch import Tensor

from sparring.threats import L1, L2, LInf, ThreatModel
from sparring.threats.base import flat, per_sample

EPS = (0.0, 0.05, 0.3, 2.0)
MANY = settings(PROFILE, max_examples=40)

settings_of_a_case = {
    "shape": st.sampled_from(SHAPES),
    "n": st.sampled_from((0, 1, 3)),
    "dtype": st.sampled_from(DTYPES),
    "eps": st.sampled_from(EPS),
    "scale": st.sampled_from((0.01, 0.3, 3.0, 100.0)),
    "seed": st.integers(0, 1000),
}


def case(name: str, shape: tuple[int, ...], eps: float) -> ThreatModel:
    threat = THREATS[name](shape, eps)
    assume(threat is not None)
    assert threat is not None
    return threat


def moved(x: Tensor, scale: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed + 1)
    return x + (torch.randn(x.shape, generator=generator) * scale).to(x.dtype)


def rounding(x: Tensor, a: Tensor) -> float:
    """A few units in the last place of the values that took part."""
    largest = max(1.0, float(x.abs().max()) if x.numel() else 0.0)
    return 16 * torch.finfo(x.dtype).eps * largest


@pytest.mark.parametrize("name", THREATS)
@MANY
@given(**settings_of_a_case)
def test_projecting_gives_members_that_stay(name, shape, n, dtype, eps, scale, seed):
    threat, x = case(name, shape, eps), inputs(shape, n, dtype, seed)
    a = moved(x, scale, seed)
    a_before, x_before = a.clone(), x.clone()
    z = threat.project(a, x)
    assert z.shape == x.shape
    assert z.dtype == dtype
    violation = threat.violation(z, x)
    assert violation.shape == (n,)
    assert violation.dtype == torch.float32
    assert bool((violation == 0).all())
    again = threat.project(z, x)
    assert bool((threat.violation(again, x) == 0).all())
    torch.testing.assert_close(again, z, rtol=0, atol=rounding(x, a))
    assert torch.equal(a, a_before)
    assert torch.equal(x, x_before)


@pytest.mark.parametrize("name", THREATS)
@MANY
@given(**settings_of_a_case)
def test_the_input_is_a_member_and_members_are_fixed(name, shape, n, dtype, eps, scale, seed):
    threat, x = case(name, shape, eps), inputs(shape, n, dtype, seed)
    assert bool((threat.violation(x, x) == 0).all())
    assert torch.equal(threat.project(x, x), x)
    near = threat.project(moved(x, scale, seed), x)
    torch.testing.assert_close(threat.project(near, x), near, rtol=0, atol=rounding(x, near))


@pytest.mark.parametrize("name", THREATS)
@MANY
@given(**settings_of_a_case)
def test_samples_are_members(name, shape, n, dtype, eps, scale, seed):
    threat, x = case(name, shape, eps), inputs(shape, n, dtype, seed)
    generator = torch.Generator().manual_seed(seed)
    state = torch.random.get_rng_state()
    drawn = threat.sample(x, generator=generator)
    assert drawn.shape == x.shape
    assert drawn.dtype == dtype
    assert bool((threat.violation(drawn, x) == 0).all())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(threat.sample(x, generator=torch.Generator().manual_seed(seed)), drawn)


@pytest.mark.parametrize("name", THREATS)
@MANY
@given(**settings_of_a_case)
def test_zero_radius_leaves_the_input_alone(name, shape, n, dtype, eps, scale, seed):
    threat, x = case(name, shape, eps), inputs(shape, n, dtype, seed)
    if math.isinf(threat.radius):
        assert threat.scaled(0.0) is threat or math.isinf(threat.scaled(0.0).radius)
        return
    none = threat.scaled(0.0)
    assert none.radius == 0
    a = moved(x, scale, seed)
    assert torch.equal(none.project(a, x), x)
    assert torch.equal(none.sample(x, generator=torch.Generator().manual_seed(seed)), x)
    changed = (flat(a) != flat(x)).any(1)
    assert bool(((none.violation(a, x) > 0) == changed).all())


@pytest.mark.parametrize("name", THREATS)
@MANY
@given(**settings_of_a_case)
def test_a_smaller_radius_is_a_subset(name, shape, n, dtype, eps, scale, seed):
    threat, x = case(name, shape, eps), inputs(shape, n, dtype, seed)
    half = threat.scaled(0.5)
    assert half.radius == pytest.approx(0.5 * threat.radius)
    z = half.project(moved(x, scale, seed), x)
    assert bool((threat.violation(z, x) == 0).all())


@pytest.mark.parametrize("name", THREATS)
@MANY
@given(**settings_of_a_case)
def test_steps_are_finite_and_climb(name, shape, n, dtype, eps, scale, seed):
    threat, x = case(name, shape, eps), inputs(shape, n, dtype, seed)
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
    at = threat.sample(x, generator=torch.Generator().manual_seed(seed))
    step = threat.steepest(grad, at, x)
    assert step.shape == x.shape
    assert step.dtype == dtype
    assert bool(torch.isfinite(step).all())
    assert bool(((flat(step).double() * flat(grad).double()).sum(1) >= 0).all())
    assert bool((threat.steepest(torch.zeros_like(grad), at, x) == 0).all())


@pytest.mark.parametrize("name", THREATS)
@PROFILE
@given(**{k: v for k, v in settings_of_a_case.items() if k not in ("n", "dtype")})
def test_samples_do_not_know_each_other(name, shape, eps, scale, seed):
    threat, x = case(name, shape, eps), inputs(shape, 3, torch.float64, seed)
    a = moved(x, scale, seed)
    together = threat.project(a, x)
    alone = torch.cat([threat.project(a[i : i + 1], x[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", THREATS)
def test_a_point_that_is_no_number_is_outside(name):
    shape = (7,) if THREATS[name]((7,), 0.3) is not None else (1, 4, 5)
    threat = THREATS[name](shape, 0.3)
    assert threat is not None
    x = inputs(shape, 3, torch.float32, 0)
    a = x.clone()
    a[1] = torch.nan
    assert bool((threat.violation(a, x) == torch.tensor([0.0, torch.inf, 0.0])).all())


@pytest.mark.parametrize(("threat", "order"), [(LInf(0.3), math.inf), (L2(0.3), 2), (L1(0.3, share=0.0), 1)])
@MANY
@given(shape=st.sampled_from(SHAPES), seed=st.integers(0, 1000), size=st.sampled_from((1e-30, 1e-6, 1.0, 1e20)))
def test_the_steepest_direction_beats_every_other_of_its_length(threat, order, shape, seed, size):
    x = inputs(shape, 4, torch.float32, seed)
    generator = torch.Generator().manual_seed(seed)
    grad = torch.randn(x.shape, generator=generator) * size
    step = threat.steepest(grad, x, x)
    length = torch.linalg.vector_norm(flat(step), order, dim=1)
    torch.testing.assert_close(length, torch.ones(4), rtol=1e-5, atol=1e-5)
    best = (flat(step).double() * flat(grad).double()).sum(1)
    for _ in range(20):
        other = torch.randn(x.shape, generator=generator)
        other = other / per_sample(torch.linalg.vector_norm(flat(other), order, dim=1), other)
        assert bool((best >= (flat(other).double() * flat(grad).double()).sum(1) * (1 - 1e-5)).all())
