"""The detector as scikit-learn knows classifiers."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from sparring.network import nslkdd_schema
from sparring.systems.intrusion.defence import defence
from sparring.systems.intrusion.detect import detect
from sparring.systems.intrusion.estimator import IntrusionDetector
from sparring.systems.intrusion.store import load

from .conftest import SMALL
from .small import AUTOENCODER, NAMES, rows_of

PLAIN = IntrusionDetector(hardened=False, size=SMALL, random_state=0)

TOO_FEW = "a table of 10 to 30 rows leaves no benign rows to calibrate on"
EXPECTED = {
    "check_fit_score_takes_y": TOO_FEW,
    "check_n_features_in_after_fitting": TOO_FEW,
    "check_supervised_y_2d": TOO_FEW,
    "check_fit2d_1feature": TOO_FEW,
}


@parametrize_with_checks(
    [IntrusionDetector(schema=None, hardened=False, size=SMALL, random_state=0)],
    expected_failed_checks=lambda _: EXPECTED,
)
def test_scikit_learn_checks(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks provoke warnings on purpose
        check(estimator)


@pytest.fixture(scope="module")
def frame(nsl_file):
    """The flows as a data frame with a label column beside the features, and the labels."""
    rows = rows_of(nsl_file)
    from sparring.network import nslkdd_file

    data = pd.DataFrame(nslkdd_file().schema.labels(rows.table))
    return data.assign(difficulty=7), np.where(rows.attack, "attack", "normal")


def test_it_learns_from_a_data_frame_and_keeps_its_false_alarms(frame):
    x, y = frame
    model = clone(PLAIN).fit(x[:2000], y[:2000])
    assert model.classes_.tolist() == ["attack", "normal"]
    assert model.benign_ == "normal"
    found = model.predict(x[2000:])
    benign = y[2000:] == "normal"
    assert (found[benign] == "attack").mean() < 0.06
    assert (found[~benign] == "attack").mean() > 0.95
    assert model.score(x[2000:], y[2000:]) > 0.95
    score = model.decision_function(x)
    assert ((score > 0) == (model.predict(x) == "normal")).all()
    chance = model.predict_proba(x)
    np.testing.assert_allclose(chance.sum(1), 1)
    assert ((chance[:, 1] > 0.5) == (score > 0)).all()


def test_arrays_of_text_and_of_codes_are_the_same_rows(frame):
    x, y = frame
    x = x[list(NAMES)][:600]
    model = clone(PLAIN).fit(x, y[:600])
    expected = model.decision_function(x)
    bare = clone(PLAIN).fit(x.to_numpy(dtype=object), y[:600])
    np.testing.assert_array_equal(bare.decision_function(x.to_numpy(dtype=object)), expected)
    codes = np.column_stack([*model.schema_.table(x).values()]).astype(float)
    np.testing.assert_array_equal(bare.decision_function(codes), expected)


def test_labels_of_any_kind(frame):
    x, y = frame
    x, y = x[:600], y[:600]
    expected = clone(PLAIN).fit(x, y).predict(x) == "attack"
    for labels in (y == "attack", (y == "attack").astype(int)):
        model = clone(PLAIN).fit(x, labels)
        assert model.classes_.tolist() == [0, 1]
        np.testing.assert_array_equal(model.predict(x).astype(bool), expected)
    named = clone(PLAIN).set_params(benign="z").fit(x, np.where(y == "attack", "a", "z"))
    np.testing.assert_array_equal(named.predict(x) == "a", expected)


def test_parameters_pipelines_and_cross_validation(frame):
    x, y = frame
    assert IntrusionDetector(schema="unsw-nb15", rounds=2).get_params()["rounds"] == 2
    assert clone(IntrusionDetector(false_alarms=0.01)).false_alarms == 0.01
    steps = make_pipeline(FunctionTransformer(lambda data: data[list(NAMES)]), clone(PLAIN))
    assert cross_val_score(steps, x[:900], y[:900], cv=3, scoring="roc_auc").min() > 0.98


def test_hardened_it_has_the_plans_layers_and_repeats(frame):
    x, y = frame
    model = IntrusionDetector(rounds=1, attacked=40, queries=20, size=SMALL, autoencoder=AUTOENCODER, random_state=3)
    one, two = (clone(model).fit(x[:700], y[:700]) for _ in range(2))
    assert one.detector_.names == tuple(defence(nslkdd_schema()))
    np.testing.assert_array_equal(one.decision_function(x), two.decision_function(x))


def test_what_it_learnt_serves_the_command_line(frame, nsl_file, tmp_path):
    x, y = frame
    model = clone(PLAIN).set_params(false_alarms=0.02).fit(x, y)
    model.save(tmp_path)
    assert load(tmp_path).false_alarms == 0.02
    lines = [alert.line for alert in detect(load(tmp_path), nsl_file, top=0)]
    assert lines == (1 + np.flatnonzero(model.predict(x) == "attack")).tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": None}, "hardened=False"),
        ({"schema": "kdd"}, "nsl-kdd"),
        ({"false_alarms": 0.0}, "false_alarms"),
        ({"calibration": 1.0}, "calibration"),
        ({"benign": "good"}, "no class of y"),
    ],
)
def test_bad_parameters(frame, change, words):
    x, y = frame
    with pytest.raises(ValueError, match=words):
        IntrusionDetector(**change).fit(x[:50], y[:50])


def test_bad_rows(frame):
    x, y = frame
    x, y = x[:200], y[:200]
    with pytest.raises(ValueError, match="'src_bytes' is missing"):
        clone(PLAIN).fit(x.drop(columns="src_bytes"), y)
    with pytest.raises(ValueError, match="NaN"):
        clone(PLAIN).fit(x.assign(src_bytes=np.nan), y)
    with pytest.raises(ValueError, match="numbers"):
        clone(PLAIN).fit(x.assign(src_bytes="many"), y)
    with pytest.raises(ValueError, match="41 columns"):
        clone(PLAIN).fit(np.zeros((200, 5)), y)
    with pytest.raises(ValueError, match="one label a row"):
        clone(PLAIN).fit(x, y[:-1])
    with pytest.raises(ValueError, match="one class"):
        clone(PLAIN).fit(x, np.zeros(200))
    with pytest.raises(ValueError, match="binary"):
        clone(PLAIN).fit(x, np.arange(200) % 3)
