"""Forests equal their libraries, and refuse arrays that are not trees."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier

from sparring.errors import BadInput
from sparring.network.detector.forest import Forest


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.random((600, 7)).round(2).astype(np.float32)
    x[:, 3] = x[:, 3] > 0.5
    y = ((x[:, 0] * x[:, 1] > 0.2) ^ (x[:, 3] > 0)).astype(int)
    return x, y


@pytest.fixture(scope="module")
def booster(data):
    x, y = data
    parameters = {"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
    return lightgbm.train(parameters, lightgbm.Dataset(x, y), 30)


def test_equals_lightgbm_raw_scores(data, booster):
    x, _ = data
    ours = Forest.from_lightgbm(booster)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ours, booster.predict(x, raw_score=True), atol=1e-9)


def test_equals_extra_trees_probability(data):
    x, y = data
    library = ExtraTreesClassifier(20, random_state=0, n_jobs=1).fit(x, y)
    ours = Forest.from_sklearn(library)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ours, library.predict_proba(x)[:, 1], atol=1e-9)


def test_values_on_a_threshold_go_left_as_in_the_library(booster):
    forest = Forest.from_lightgbm(booster)
    dump = booster.dump_model()["tree_info"][0]["tree_structure"]
    x = np.full((3, 7), 0.5, dtype=np.float32)
    edge = np.float32(dump["threshold"])
    x[:, dump["split_feature"]] = [edge, np.nextafter(edge, np.float32(-9)), np.nextafter(edge, np.float32(9))]
    np.testing.assert_allclose(forest(torch.from_numpy(x)).numpy(), booster.predict(x, raw_score=True), atol=1e-9)


def test_float64_input_is_read_as_float32_like_scikit_learn(data, booster):
    x, _ = data
    forest = Forest.from_lightgbm(booster)
    single = torch.from_numpy(x)
    assert torch.equal(forest(single), forest(single.double()))
    assert forest(single[:0]).shape == (0,)


def test_survives_saving_and_keeps_no_gradient(data, booster):
    x, _ = data
    forest = Forest.from_lightgbm(booster)
    copy = Forest(7, len(forest.feature), len(forest.root))
    copy.load_state_dict(forest.state_dict())
    rows = torch.from_numpy(x).requires_grad_(True)
    assert torch.equal(copy(rows), forest(rows))
    assert not copy(rows).requires_grad


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("feature", 7),
        ("feature", -1),
        ("child", 0),
        ("child", 10**8),
        ("child", -3),
        ("root", 10**8),
        ("value", float("nan")),
        ("threshold", float("inf")),
    ],
)
def test_refuses_arrays_that_are_not_trees(booster, name, bad):
    forest = Forest.from_lightgbm(booster)
    state = {k: v.clone() for k, v in forest.state_dict().items()}
    state[name].reshape(-1)[2] = bad  # for `child`: node 1's left child, so 0 would be a way back
    forest.load_state_dict(state)
    with pytest.raises(BadInput, match=name):
        forest(torch.zeros(1, 7))


def test_refuses_other_widths_and_several_outputs(data, booster):
    with pytest.raises(ValueError, match=r"\(n, 7\)"):
        Forest.from_lightgbm(booster)(torch.zeros(2, 6))
    x, _ = data
    parameters = {"objective": "multiclass", "num_class": 3, "verbose": -1, "num_threads": 1}
    several = lightgbm.train(parameters, lightgbm.Dataset(x, np.arange(600) % 3), 2)
    with pytest.raises(ValueError, match="one output"):
        Forest.from_lightgbm(several)
