"""What a representation still tells about the domain: fresh classifiers on frozen features.

The adversary's own accuracy proves nothing: it may be weak, or late. A probe starts from nothing, on clips that the
encoder never saw, and is judged on sentences that it never saw.
"""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Indices = NDArray[np.integer]


def probe(
    features: Floats,
    domain: Indices,
    group: Indices,
    *,
    kind: Literal["linear", "mlp"] = "linear",
    folds: int = 3,
    seed: int = 0,
) -> NDArray[np.bool_]:
    """Which clips `(n,)` a fresh probe places in the right domain, by cross-validation over groups (sentences).

    `linear` is a logistic regression, `mlp` a perceptron with 64 hidden units; both by scikit-learn.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    right = np.zeros(len(domain), bool)
    for train, test in GroupKFold(folds, shuffle=True, random_state=seed).split(features, domain, group):
        if kind == "linear":
            classifier = LogisticRegression(max_iter=300, tol=1e-3)
        else:
            classifier = MLPClassifier((64,), max_iter=100, random_state=seed)
        model = make_pipeline(StandardScaler(), classifier)
        with warnings.catch_warnings():  # a hundred passes are the probe's budget, whether or not it has converged
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features[train], domain[train])
        right[test] = model.predict(features[test]) == domain[test]
    return right


def balanced(right: NDArray[np.bool_], domain: Indices) -> float:
    """Accuracy averaged over domains; chance is one over their number."""
    return float(np.mean([right[domain == k].mean() for k in np.unique(domain)]))


def within_bins(right: NDArray[np.bool_], domain: Indices, score: Floats, *, bins: int = 5) -> float:
    """Balanced accuracy within score bins, averaged: domain that is read through quality does not count."""
    edges = np.quantile(score, np.linspace(0, 1, bins + 1)[1:-1])
    place = np.searchsorted(edges, score, side="right")
    return float(np.mean([balanced(right[place == b], domain[place == b]) for b in np.unique(place)]))
