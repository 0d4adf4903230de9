"""How well predicted scores agree with rated ones: over clips, within domains, over systems."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray


def ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Ranks `(n,)` from 0, ties sharing their mean rank."""
    array = np.asarray(values, dtype=float)
    _, inverse, count = np.unique(array, return_inverse=True, return_counts=True)
    last = np.cumsum(count) - 1
    return (last - (count - 1) / 2)[inverse]


def pearson(a: ArrayLike, b: ArrayLike) -> float:
    """Linear correlation; 0 where one side does not vary."""
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt(np.square(x).sum() * np.square(y).sum()))
    return float((x * y).sum()) / scale if scale > 0 else 0.0


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Rank correlation (SRCC)."""
    return pearson(ranks(a), ranks(b))


def kendall(a: ArrayLike, b: ArrayLike) -> float:
    """Kendall's tau-b (KTAU)."""
    x, y = (np.sign(np.subtract.outer(v, v)) for v in (np.asarray(a, dtype=float), np.asarray(b, dtype=float)))
    scale = float(np.sqrt(np.abs(x).sum() * np.abs(y).sum()))
    return float((x * y).sum()) / scale if scale > 0 else 0.0


def within_domains(predicted: ArrayLike, rated: ArrayLike, domain: ArrayLike, *, least: int = 5) -> float:
    """Mean SRCC within domains of at least `least` clips, weighted by their clips: blind to differences between."""
    p, y, d = np.asarray(predicted, dtype=float), np.asarray(rated, dtype=float), np.asarray(domain)
    groups = [d == k for k in np.unique(d) if (d == k).sum() >= least]
    sizes = [int(g.sum()) for g in groups]
    return float(np.average([spearman(p[g], y[g]) for g in groups], weights=sizes)) if groups else 0.0


def residuals(predicted: ArrayLike, rated: ArrayLike, domain: ArrayLike) -> dict[int, float]:
    """Mean of predicted minus rated in each domain."""
    p, y, d = np.asarray(predicted, dtype=float), np.asarray(rated, dtype=float), np.asarray(domain)
    return {int(k): float((p - y)[d == k].mean()) for k in np.unique(d)}


def bias(predicted: ArrayLike, rated: ArrayLike, domain: ArrayLike) -> float:
    """Standard deviation over domains of the mean residual: what a scorer grants a domain beyond its quality."""
    return float(np.std(list(residuals(predicted, rated, domain).values())))


def system_means(predicted: ArrayLike, rated: ArrayLike, system: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    """Predicted and rated means per system."""
    p, y, s = np.asarray(predicted, dtype=float), np.asarray(rated, dtype=float), np.asarray(system)
    names = np.unique(s)
    return np.array([p[s == k].mean() for k in names]), np.array([y[s == k].mean() for k in names])


def agreement(predicted: ArrayLike, rated: ArrayLike, domain: ArrayLike) -> Mapping[str, float]:
    """The field's measures on one set of clips, with the per-domain bias."""
    p, y = np.asarray(predicted, dtype=float), np.asarray(rated, dtype=float)
    by_system = system_means(p, y, domain)
    return {
        "SRCC": spearman(p, y),
        "LCC": pearson(p, y),
        "KTAU": kendall(p, y),
        "MSE": float(np.square(p - y).mean()),
        "SRCC within domains": within_domains(p, y, domain),
        "SRCC of domains": spearman(*by_system),
        "bias": bias(p, y, domain),
    }


def explained(score: ArrayLike, domain: ArrayLike) -> float:
    """η²: the share of the scores' variance that the domain explains."""
    y, d = np.asarray(score, dtype=float), np.asarray(domain)
    means = {k: y[d == k].mean() for k in np.unique(d)}
    between = np.array([means[k] for k in d])
    return float(between.var() / max(y.var(), 1e-12))


def weighted_spearman(a: ArrayLike, b: ArrayLike, weights: ArrayLike) -> float:
    """Correlation of the ranks of two sides, clips counting by their weights."""
    x, y, w = ranks(a), ranks(b), np.asarray(weights, dtype=float)
    x, y = x - np.average(x, weights=w), y - np.average(y, weights=w)
    scale = float(np.sqrt((w * x * x).sum() * (w * y * y).sum()))
    return float((w * x * y).sum()) / scale if scale > 0 else 0.0
