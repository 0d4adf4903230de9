# pyright: basic
"""Each misfit: zero where it should be, right where a value is known, a true gradient, flat or not against shifts."""

import math

import pytest
import torch
from torch import Tensor

from sparring.systems.seismic.filters import envelope, highpass, integrated, lowpass, refined
from sparring.systems.seismic.misfits import MISFITS, W1, W2
from sparring.systems.seismic.survey import ricker

DT = 0.004


def gathers(seed: int = 0) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    wavelet = ricker(5.0, DT, 200).double()
    late = torch.randint(0, 40, (2, 3), generator=draws)
    rows = torch.stack([torch.stack([wavelet.roll(int(k)) for k in row]) for row in late])
    return rows, 0.9 * rows.roll(7, -1) + 0.01 * torch.randn(rows.shape, generator=draws, dtype=torch.float64)


@pytest.mark.parametrize("name", MISFITS)
def test_a_misfit_is_one_number_a_shot_positive_and_zero_for_equal_gathers(name: str) -> None:
    predicted, observed = gathers()
    found = MISFITS[name](predicted, observed)
    assert found.shape == (2,)
    assert bool((found > 0).all())
    assert float(MISFITS[name](observed, observed).abs().max()) < 1e-5


@pytest.mark.parametrize("name", MISFITS)
def test_the_adjoint_source_is_the_misfits_derivative(name: str) -> None:
    predicted, observed = gathers()
    x = predicted.clone().requires_grad_(True)
    (grad,) = torch.autograd.grad(MISFITS[name](x, observed).sum(), x)
    draws = torch.Generator().manual_seed(1)
    direction = lowpass(torch.randn(x.shape, generator=draws, dtype=torch.float64), 10.0, DT)
    step = 1e-6
    if name == "w1":  # its shift is a constant of the gathers, so the most negative sample stays where it is
        direction[predicted == predicted.amin((-2, -1), keepdim=True)] = 0
    ahead, behind = (MISFITS[name](predicted + k * step * direction, observed).sum() for k in (1, -1))
    assert float((grad * direction).sum()) == pytest.approx(float((ahead - behind) / (2 * step)), rel=1e-3)


def test_w1_and_w2_of_a_shifted_trace_are_the_shift() -> None:
    observed = torch.zeros(1, 1, 400, dtype=torch.float64)
    observed[..., 100:110] = 1
    for lag in (5, 20, 50):
        predicted = observed.roll(lag, -1)
        assert float(W1()(predicted, observed)) == pytest.approx(lag / 400, rel=1e-3)
    far = [float(W2(beta=20.0)(50 * observed.roll(lag, -1), 50 * observed)) for lag in (20, 40)]
    assert far[1] == pytest.approx(4 * far[0], rel=0.05)


def test_where_l2_skips_a_cycle_the_integrated_distances_still_fall() -> None:
    wavelet = ricker(5.0, DT, 400).double()[None, None]
    lags = (60, 40, 20)  # one and a half periods and less
    l2 = [float(MISFITS["l2"](wavelet.roll(k, -1), wavelet)) for k in lags]
    w1 = [float(MISFITS["w1"](wavelet.roll(k, -1), wavelet)) for k in lags]
    assert l2[2] > 0.9 * l2[0]
    assert w1[2] < 0.9 * w1[0]


def test_amplitude_blind_misfits_are_blind_and_the_others_are_not() -> None:
    _, observed = gathers()
    for name, found in MISFITS.items():
        value = float(found(2 * observed, observed).sum())
        assert (value < 1e-5) == (name in ("trace", "correlation")), name


def test_robust_misfits_forgive_a_spike() -> None:
    predicted, observed = gathers()
    spiked = observed.clone()
    spiked[:, 0, 50] += 30
    grown = {n: float(MISFITS[n](predicted, spiked).sum() / MISFITS[n](predicted, observed).sum()) for n in MISFITS}
    assert max(grown["huber"], grown["student"], grown["l1"]) < 0.2 * grown["l2"]


@pytest.mark.parametrize("name", MISFITS)
def test_a_dead_trace_on_both_sides_makes_nothing_infinite(name: str) -> None:
    predicted, observed = gathers()
    predicted[:, 1], observed[:, 1] = 0, 0
    x = predicted.clone().requires_grad_(True)
    loss = MISFITS[name](x, observed).sum()
    loss.backward()
    assert bool(torch.isfinite(loss))
    assert x.grad is not None
    assert bool(torch.isfinite(x.grad).all())


def test_a_cut_is_causal_and_has_butterworths_amplitude() -> None:
    source = ricker(5.0, DT, 1000, delay=1.0).double()
    out = highpass(source, 3.0, DT)
    assert float(out[:150].abs().max()) < 1e-6  # the source is silent until 0.6 s
    f = torch.fft.rfftfreq(1000, DT)
    spectrum = torch.fft.rfft(out).abs() / torch.fft.rfft(source).abs()
    for hertz in (2.0, 3.0, 6.0):
        at = int((f - hertz).abs().argmin())
        assert float(spectrum[at]) == pytest.approx(1 / math.sqrt(1 + (3 / hertz) ** 12), rel=0.01)


def test_filters_keep_and_take_what_they_say() -> None:
    t = torch.arange(1000, dtype=torch.float64) * DT
    slow, fast = torch.sin(2 * torch.pi * 2 * t), torch.sin(2 * torch.pi * 12 * t)
    inner = slice(200, 800)
    assert torch.allclose(lowpass(slow + fast, 5.0, DT)[inner], slow[inner], atol=0.02)
    high = highpass(slow + fast, 5.0, DT)[inner]
    assert float(high.abs().max()) == pytest.approx(1, abs=0.02)  # what passes is turned in phase, not in size
    assert float((high[:-1] * high[1:]).mean() / high.square().mean()) == pytest.approx(
        math.cos(24 * math.pi * DT), abs=0.01
    )
    assert torch.allclose(envelope(fast)[inner], torch.ones(600, dtype=torch.float64), atol=0.02)
    assert float(integrated(torch.ones(250), DT)[-1]) == pytest.approx(1)
    fine = refined(ricker(4.0, DT, 300), 2)
    assert torch.allclose(fine[::2], ricker(4.0, DT, 300), atol=1e-4)
    assert torch.allclose(fine, ricker(4.0, DT / 2, 600), atol=2e-3)
