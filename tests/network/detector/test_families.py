"""Names of alerts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from sparring.network.detector.families import Families, fit_families


@pytest.mark.parametrize("count", [1, 2, 4])
def test_names_are_those_of_scikit_learn(count):
    rng = np.random.default_rng(0)
    family = np.array([f"family {i}" for i in rng.integers(count, size=300)])
    x = rng.normal(size=(300, 5)) + 3 * rng.normal(size=(count, 5))[[int(f[-1]) for f in family]]
    found = fit_families(torch.from_numpy(x), family)
    if count == 1:
        assert found.name(torch.from_numpy(x)) == ["family 0"] * 300
    else:
        library = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=1e-3).fit(x, family)
        assert found.name(torch.from_numpy(x)) == library.predict(x).tolist()
        assert (np.array(found.name(torch.from_numpy(x))) == family).mean() > 0.9


def test_constant_and_dependent_columns_do_no_harm():
    x = torch.eye(3, dtype=torch.float64).repeat(20, 1)
    x = torch.cat([x, torch.ones(60, 1, dtype=torch.float64)], dim=1)
    family = np.array(["a", "b", "c"] * 20)
    assert fit_families(x, family).name(x) == family.tolist()


def test_needs_rows():
    with pytest.raises(ValueError, match="attack rows"):
        fit_families(torch.zeros(0, 3), np.array([], dtype=str))
    assert Families(["a"], 3).name(torch.zeros(0, 3)) == []
