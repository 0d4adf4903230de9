from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sparring.evaluation import statistics as s


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 10), (10, 10), (98, 100), (500, 1000)])
def test_wilson_agrees_with_scipy(k: int, n: int) -> None:
    peer = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert s.wilson(k, n) == pytest.approx((peer.low, peer.high), abs=1e-9)


def test_wilson_of_nothing_says_nothing_and_refuses_nonsense() -> None:
    assert s.wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="5 successes of 4"):
        s.wilson(5, 4)


@pytest.mark.parametrize(("k", "n", "alpha"), [(0, 10, 0.05), (7, 10, 0.05), (99_500, 100_000, 0.002), (50, 50, 0.1)])
def test_clopper_pearson_agrees_with_scipy(k: int, n: int, alpha: float) -> None:
    peer = stats.binomtest(k, n).proportion_ci(1 - alpha, method="exact")
    assert s.clopper_pearson(k, n, alpha) == pytest.approx((peer.low, peer.high), rel=1e-8)


@pytest.mark.parametrize("freedom", [1, 2, 4.5, 30, 1000])
@pytest.mark.parametrize("p", [0.025, 0.5, 0.975, 0.995])
def test_student_quantile_agrees_with_scipy(p: float, freedom: float) -> None:
    assert s.student_quantile(p, freedom) == pytest.approx(stats.t.ppf(p, freedom), rel=1e-7, abs=1e-7)


def test_beta_cdf_agrees_with_scipy_far_out() -> None:
    for x, a, b in [(1e-6, 2, 5), (0.5, 100, 100), (0.999, 1e5, 10), (0.3, 0.5, 0.5)]:
        assert s.beta_cdf(x, a, b) == pytest.approx(stats.beta.cdf(x, a, b), rel=1e-8, abs=1e-290)


def test_sign_test_agrees_with_scipy() -> None:
    assert s.sign_test(9, 1) == pytest.approx(stats.binomtest(9, 10, alternative="greater").pvalue)
    assert s.sign_test(0, 0) == s.sign_test(0, 7) == 1.0


def test_seed_mean_is_the_textbook_t_interval() -> None:
    found = s.seed_mean([0.8, 0.9, 1.0])
    half = stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
    assert found.value == pytest.approx(0.9)
    assert found.interval == pytest.approx((0.9 - half, 0.9 + half))
    with pytest.raises(ValueError, match="two"):
        s.seed_mean([0.9])


def test_seeds_and_samples_covers_its_truth() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        seed_effect, sample_effect = rng.normal(0, 0.08, (5, 1)), rng.normal(0, 0.2, (1, 200))
        outcomes = rng.random((5, 200)) < 0.6 + seed_effect + sample_effect
        low, high = s.seeds_and_samples(outcomes).interval
        hits += low <= 0.6 <= high
    assert hits >= 184  # 95 % nominal, less three standard errors


def test_seeds_and_samples_keeps_a_width_when_all_agree() -> None:
    found = s.seeds_and_samples(np.ones((3, 100)))
    assert found.value == 1.0
    assert found.interval == pytest.approx(s.wilson(100, 100))


def test_paired_difference_is_narrower_than_unpaired() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(400) < 0.5
    second = first | (rng.random(400) < 0.1)
    paired = s.paired_difference(first, second, generator=np.random.default_rng(1))
    unpaired = s.unpaired_difference(s.proportion(first), s.proportion(second))
    assert paired.value == pytest.approx(unpaired.value)
    assert paired.interval[0] > 0 > unpaired.interval[0]
    with pytest.raises(ValueError, match="same samples"):
        s.paired_difference([1, 0], [1], generator=np.random.default_rng(1))


def test_equal_models_still_have_an_interval() -> None:
    found = s.paired_difference([1, 0, 1, 1], [1, 0, 1, 1], generator=np.random.default_rng(0))
    assert found.value == 0
    assert found.interval == (-0.75, 0.75)


def test_newcombe_published_example() -> None:
    # Newcombe 1998, table II, method 10, row (a): 56/70 - 48/80 -> 0.0524 to 0.3339.
    found = s.unpaired_difference(s.proportion([1] * 48 + [0] * 32), s.proportion([1] * 56 + [0] * 14))
    assert found.interval == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_bootstrap_repeats_under_a_seed_and_matches_the_normal_law() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    one, two = (s.bootstrap(values, generator=np.random.default_rng(3)) for _ in range(2))
    assert one == two
    half = 1.96 * values.std() / math.sqrt(1000)
    assert one.interval == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)
