"""Intervals for measured figures: proportions, means over seeds, differences on the same samples.

Every interval is two-sided at 95 % unless told otherwise, and a plain `(low, high)` pair.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A figure, its interval, the number of samples it rests on and the way the interval was made."""

    value: float
    interval: Interval
    n: int
    method: str


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Score interval of a proportion (Wilson 1927); (0, 1) for n = 0. Sound near 0 and 1, unlike p ± 2 s.e."""
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    p, shrink = successes / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / shrink
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / shrink
    return min(p, max(0.0, centre - half)), max(p, min(1.0, centre + half))


def proportion(outcomes: ArrayLike, level: float = 0.95) -> Estimate:
    """The share of True among `outcomes` `(n,)` with its Wilson interval; 0 with (0, 1) for n = 0."""
    values = np.asarray(outcomes, dtype=bool).reshape(-1)
    k, n = int(values.sum()), values.size
    return Estimate(k / n if n else 0.0, wilson(k, n, level), n, "Wilson")


def clopper_pearson(successes: int, n: int, alpha: float) -> Interval:
    """Exact interval of a proportion: each one-sided bound fails with probability at most `alpha` / 2.

    Clopper & Pearson 1934, by the quantiles of the beta law. For one lower bound at confidence 1 - a
    (Cohen et al. 2019) take the first entry at alpha = 2a.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n}")
    k = successes
    low = 0.0 if k == 0 else _root(lambda p: beta_cdf(p, k, n - k + 1) - alpha / 2)
    high = 1.0 if k == n else _root(lambda p: beta_cdf(p, k + 1, n - k) - (1 - alpha / 2))
    return low, high


def seed_mean(figures: Sequence[float], level: float = 0.95) -> Estimate:
    """Mean of one figure per seed with Student's t interval, k - 1 degrees of freedom.

    It speaks of the seeds alone: what another seed would give on the same test samples. It needs two seeds.
    """
    values = np.asarray(figures, dtype=float)
    if values.size < 2:
        raise ValueError(f"an interval over seeds needs two of them, got {values.size}")
    half = student_quantile((1 + level) / 2, values.size - 1) * values.std(ddof=1) / math.sqrt(values.size)
    mean = float(values.mean())
    return Estimate(mean, (mean - float(half), mean + float(half)), values.size, "t over seeds")


def seeds_and_samples(outcomes: ArrayLike, level: float = 0.95) -> Estimate:
    """Mean of 0/1 outcomes `(seeds, samples)`, all seeds on the same samples.

    Seeds and samples are two crossed sources of chance: their variances s²/k and s²/n are added, and Student's
    t is taken with Satterthwaite's degrees of freedom. What both share is counted twice, so the interval
    errs on the wide side. It is never narrower than the t-free Wilson interval of the mean at n samples.
    """
    values = np.asarray(outcomes, dtype=float)
    if values.ndim != 2 or values.shape[0] < 2 or values.shape[1] < 2:
        raise ValueError(f"outcomes (seeds, samples) with two of each, got shape {values.shape}")
    k, n = values.shape
    mean = float(values.mean())
    parts = (values.mean(1).var(ddof=1) / k, values.mean(0).var(ddof=1) / n)
    total = sum(parts)
    half = 0.0
    if total > 0:
        freedom = total**2 / (parts[0] ** 2 / (k - 1) + parts[1] ** 2 / (n - 1))
        half = student_quantile((1 + level) / 2, freedom) * math.sqrt(total)
    low, high = wilson(round(mean * n), n, level)
    interval = (max(0.0, min(mean - half, low, mean)), min(1.0, max(mean + half, high, mean)))
    return Estimate(mean, interval, n, "t over seeds and samples")


def bootstrap(
    values: ArrayLike,
    *,
    generator: np.random.Generator,
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]] = lambda rows: rows.mean(-1),
    draws: int = 2000,
    level: float = 0.95,
) -> Estimate:
    """Percentile bootstrap over samples `(n,)`; `statistic` maps resamples `(draws, n)` to `(draws,)`."""
    sample = np.asarray(values, dtype=float).reshape(-1)
    if sample.size == 0:
        raise ValueError("no samples")
    point = float(statistic(sample[None])[0])
    # In blocks, so that 2,000 draws of 100,000 samples need no gigabytes.
    block = max(1, 2_000_000 // sample.size)
    found = [
        statistic(sample[generator.integers(0, sample.size, (min(block, draws - start), sample.size))])
        for start in range(0, draws, block)
    ]
    low, high = np.quantile(np.concatenate(found), [(1 - level) / 2, (1 + level) / 2])
    return Estimate(point, (min(float(low), point), max(float(high), point)), sample.size, "bootstrap")


def paired_difference(
    first: ArrayLike, second: ArrayLike, *, generator: np.random.Generator, draws: int = 2000, level: float = 0.95
) -> Estimate:
    """Mean of `second - first`, per-sample figures of two models on the *same* samples: paired bootstrap.

    Pairing takes the samples' own difficulty out of the comparison. Where all differences are equal the
    bootstrap has no width; the half width 3 / n ("rule of three") is then given.
    """
    a, b = np.asarray(first, dtype=float).reshape(-1), np.asarray(second, dtype=float).reshape(-1)
    if a.size != b.size:
        raise ValueError(f"paired figures need the same samples, got {a.size} and {b.size}")
    found = bootstrap(b - a, generator=generator, draws=draws, level=level)
    low, high = found.interval
    if low == high:
        low, high = found.value - 3 / a.size, found.value + 3 / a.size
    return Estimate(found.value, (low, high), a.size, "paired bootstrap")


def unpaired_difference(first: Estimate, second: Estimate) -> Estimate:
    """`second - first` of two independent figures, from their intervals alone.

    Newcombe's hybrid score method (1998, method 10) for proportions; it serves any pair of intervals.
    """
    (l1, u1), (l2, u2) = first.interval, second.interval
    d = second.value - first.value
    down = math.hypot(second.value - l2, u1 - first.value)
    up = math.hypot(u2 - second.value, first.value - l1)
    return Estimate(d, (d - down, d + up), min(first.n, second.n), "Newcombe")


def sign_test(wins: int, losses: int) -> float:
    """One-sided exact p-value that wins are not more likely than losses, ties left out; 1 without any."""
    n = wins + losses
    if wins == 0:
        return 1.0
    return beta_cdf(0.5, wins, n - wins + 1)


def student_quantile(p: float, freedom: float) -> float:
    """The t with P(T <= t) = p for Student's law with `freedom` > 0 degrees."""
    if p < 0.5:
        return -student_quantile(1 - p, freedom)
    # With x = freedom / (freedom + t²): P(T > t) = I_x(freedom / 2, 1 / 2) / 2.
    x = _root(lambda x: beta_cdf(x, freedom / 2, 0.5) - 2 * (1 - p))
    return math.inf if x == 0 else math.sqrt(freedom * (1 - x) / x)


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22)."""
    if not 0 < x < 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)
    log_front = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    tiny = 1e-300
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1), tiny)
    value = d
    for m in range(1, 10_000):
        before = value
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1 / _away(1 + step * d, tiny)
            c = _away(1 + step / c, tiny)
            value *= c * d
        if abs(value - before) <= 1e-15 * abs(value):
            break
    return math.exp(log_front) * value / a


def _away(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny


def _root(rising: Callable[[float], float]) -> float:
    """The zero in [0, 1] of an increasing function, by bisection to the last bit."""
    low, high = 0.0, 1.0
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
