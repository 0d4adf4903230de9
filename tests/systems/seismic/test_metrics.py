# pyright: basic
import math

import pytest
import torch

from sparring.systems.seismic.metrics import score, ssim


def test_scores_of_the_truth_and_of_a_known_error() -> None:
    torch.manual_seed(0)
    truth = 2000 + 1000 * torch.rand(30, 40)
    perfect = score(truth, truth)
    assert (perfect.relative_error, perfect.ssim, perfect.r2, perfect.mae) == (0, 1, 1, 0)
    off = score(1.1 * truth, truth)
    assert off.relative_error == pytest.approx(0.1, rel=1e-5)
    assert off.interior == pytest.approx(0.1, rel=1e-5)
    assert off.snr == pytest.approx(20, abs=1e-3)
    assert score(truth.mean().expand(30, 40), truth).r2 == pytest.approx(0, abs=1e-6)


def test_ssim_agrees_with_its_formula_where_no_window_is_needed() -> None:
    a, b, span = 2.0, 3.0, 10.0
    c1 = (0.01 * span) ** 2
    flat = ssim(torch.full((20, 20), a), torch.full((20, 20), b), span)
    assert flat == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1), rel=1e-9)


def test_a_range_of_255_on_speeds_gives_a_lower_noisier_value() -> None:
    torch.manual_seed(1)
    truth = 2000 + 1500 * torch.rand(30, 40).cumsum(0) / 15
    found = score(truth + 60 * torch.randn(30, 40), truth)
    assert found.ssim_l255 < found.ssim < 1
    assert math.isfinite(found.ssim_l255)
