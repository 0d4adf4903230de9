# pyright: basic
"""Thresholds from few benign rows: how many may lie above one that keeps its rate with a stated confidence."""

import pytest
import torch

from sparring.network.detector.layered import exceedances, threshold


def test_a_threshold_with_confidence_allows_as_many_as_the_binomial_law_does():
    stats = pytest.importorskip("scipy.stats")
    for n, rate, confidence in ((149, 0.02, 0.95), (250, 0.02, 0.95), (1_250, 0.02, 0.95), (5_000, 0.001, 0.99)):
        allowed = exceedances(n, rate, confidence)
        assert stats.binom.cdf(allowed, n, rate) <= 1 - confidence < stats.binom.cdf(allowed + 1, n, rate)


def test_too_few_rows_for_a_confidence_are_told_how_many_it_takes():
    with pytest.raises(ValueError, match=r"148 benign rows .* give 149"):
        exceedances(148, 0.02, 0.95)
    with pytest.raises(ValueError, match="give 149"):
        threshold(torch.arange(10.0), 0.02, 0.95)


def test_a_threshold_with_confidence_keeps_its_rate_in_the_traffic_and_not_only_in_the_sample():
    generator = torch.Generator().manual_seed(0)
    kept = {None: 0, 0.95: 0}
    for _ in range(200):
        sample = torch.rand(250, generator=generator, dtype=torch.float64)
        for confidence in kept:
            kept[confidence] += 1 - threshold(sample, 0.02, confidence) <= 0.02
    assert kept[None] / 200 < 0.7
    assert kept[0.95] / 200 >= 0.93
