"""Training: the stack learns, folds keep groups together, everything follows the generator."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from sparring.network.detector.fit import _folds, _regression, fit_autoencoder, fit_stack, split

from .conftest import FIXED, SMALL, SMALL_AUTOENCODER


def test_stack_separates_and_repeats_bit_for_bit(flows):
    x, y = flows
    one, two = (fit_stack(x, y, torch.arange(7), SMALL, generator=torch.Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(one(x), two(x))
    assert ((one(x) > 0) == y).double().mean() > 0.99
    assert (one.weight >= 0).all()


def test_autoencoder_finds_the_broken_dependence(flows):
    x, y = flows
    model = fit_autoencoder(x[~y], FIXED, SMALL_AUTOENCODER, generator=torch.Generator().manual_seed(0))
    score = model(x).detach()
    assert score[y].median() > score[~y].quantile(0.9)


def test_folds_keep_a_group_together():
    groups = torch.tensor([0, 1, 2, 3, 0, 1, 9, 9, 2])
    fold = _folds(groups, 3, torch.Generator().manual_seed(1))
    for name in groups.unique():
        assert len(fold[groups == name].unique()) == 1
    assert set(fold.tolist()) == {0, 1, 2}


def test_regression_equals_scikit_learn_where_no_weight_is_bounded():
    rng = np.random.default_rng(0)
    scores, w = rng.normal(size=(400, 3)), rng.random(400)
    y = (scores @ [1.0, 2.0, 0.5] + rng.normal(size=400) > 0.3).astype(float)
    library = LogisticRegression(C=1 / (1e-3 * w.sum()), tol=1e-10).fit(scores, y, sample_weight=w)
    weight, bias = _regression(scores, y, w)
    np.testing.assert_allclose(weight, library.coef_[0], atol=2e-3)
    assert bias == pytest.approx(library.intercept_[0], abs=2e-3)


def test_a_member_that_misleads_gets_no_weight():
    rng = np.random.default_rng(1)
    y = (rng.random(300) < 0.5).astype(float)
    scores = np.stack([y + rng.normal(size=300), -3 * y + rng.normal(size=300), rng.normal(size=300)], axis=1)
    weight, _ = _regression(scores, y, np.ones(300))
    assert weight[0] > 0
    assert weight[1] == 0


def test_split_is_disjoint_and_of_the_size_asked_for():
    parts = split(101, (0.5, 0.2, 0.3), generator=torch.Generator().manual_seed(0))
    assert sorted(torch.cat(parts).tolist()) == list(range(101))
    assert [len(p) for p in parts] == [50, 21, 30]
