"""The detector: calibrated, certified, explained, stored as tensors and data."""

from __future__ import annotations

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparring.errors import BadInput
from sparring.network.detector.fit import fit_autoencoder, fit_stack
from sparring.network.detector.layered import Detector, Tail

from .conftest import FIXED, SMALL, SMALL_AUTOENCODER


@pytest.fixture(scope="module")
def detector(flows):
    x, y = flows
    g = torch.Generator().manual_seed(0)
    layers = {
        "stack": fit_stack(x[:500], y[:500], torch.arange(7), SMALL, generator=g),
        "blind": fit_autoencoder(x[:500][~y[:500]], FIXED, SMALL_AUTOENCODER, generator=g),
    }
    benign = x[500:][~y[500:]]
    with torch.no_grad():
        tails = [Tail.fit(layer(benign)) for layer in layers.values()]
    return Detector(layers, tails, (0.02, 0.05), benign.median(0).values).eval().requires_grad_(False)


@settings(deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=30, max_size=300), st.booleans())
def test_tail_never_calls_a_score_rarer_than_it_was(values, coarse):
    benign = torch.tensor(values, dtype=torch.float64)
    benign = benign.round() if coarse else benign.mul(1e3).round() / 1e3
    if len(benign.unique()) < 2:
        return
    tail = Tail.fit(benign)
    for budget in (0.5, 0.3, 5 / len(benign) + 1e-6):
        alarms = (tail(benign) + math.log(budget) > 0).double().mean()
        assert alarms <= budget * 1.05
    grid = torch.linspace(-80, 80, 500, dtype=torch.float64)
    assert (tail(grid).diff() > 0).all()
    tail.check()


def test_a_common_value_just_behind_a_rare_one_is_not_taken_for_rare():
    benign = torch.tensor([-1.0, *[0.0] * 88, 1.0])
    assert float(Tail.fit(benign)(torch.zeros(1)).exp()) == pytest.approx(90 / 89)


def test_tail_refuses_one_value_and_knots_that_fall():
    with pytest.raises(ValueError, match="different scores"):
        Tail.fit(torch.ones(9))
    tail = Tail(3)
    tail.surprise[1] = 7
    with pytest.raises(BadInput, match="surprise"):
        tail.check()


def test_false_alarms_stay_in_the_sum_of_the_budgets(detector, flows):
    x, y = flows
    benign = x[500:][~y[500:]]
    assert (detector(benign) > 0).double().mean() <= 0.07
    assert (detector(x[500:][y[500:]]) > 0).double().mean() > 0.9


def test_logit_is_the_best_layer_and_budgets_shift_it(detector, flows):
    x, _ = flows
    torch.testing.assert_close(detector(x), detector.layer_logits(x).amax(1))
    doubled = detector.spend(0.04, 0.10)
    torch.testing.assert_close(doubled(x), detector(x) + math.log(2))
    torch.testing.assert_close(detector.only("blind")(x), detector.layer_logits(x)[:, 1])
    assert detector.names == ("stack", "blind")
    assert detector(x[:0]).shape == (0,)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_certificate_holds_under_any_move_of_the_other_columns(detector, flows, seed):
    x, y = flows
    g = torch.Generator().manual_seed(seed)
    moved = x.clone()
    moved[:, 4:] = torch.randn(len(x), 3, generator=g, dtype=torch.float64) * 10.0 ** float(seed % 5)
    bound = detector.certified(x, FIXED)
    assert torch.equal(bound, detector.certified(moved, FIXED))
    assert (detector(moved) >= bound).all()
    assert (bound[y] > 0).double().mean() > (bound[~y] > 0).double().mean()


@pytest.mark.parametrize("rate", [0.0, 0.03, 0.2, 0.5])
def test_matched_alarms_at_the_rate(detector, flows, rate):
    x, y = flows
    benign = x[500:][~y[500:]]
    matched = detector.matched(benign, rate)
    alarms = float((matched(benign) > 0).double().mean())
    assert rate - 1.5 / len(benign) <= alarms <= rate
    torch.testing.assert_close(matched(x) + matched.offset, detector(x))
    torch.testing.assert_close(matched.matched(benign, 0.05)(x), detector.matched(benign, 0.05)(x))


def test_a_ceiling_changes_no_verdict_and_ranks_below_the_certified_layer(detector, flows):
    x, _ = flows
    views, tails = dict(detector.layers.items()), list(detector.tails)
    capped = Detector(views, tails, (0.02, 0.05), detector.reference, (0.1, math.inf)).eval()
    free, low = detector.layer_logits(x), capped.layer_logits(x)
    assert torch.equal(free > 0, low > 0)
    assert torch.equal(free[:, 1], low[:, 1])
    assert low[:, 0].max() < 0.1
    order = free[:, 0].argsort()
    rising = free[order, 0].diff() > 1e-9
    assert (low[order, 0].diff()[rising] > 0).all()


def test_rows_that_share_the_threshold_do_not_alarm(detector, flows):
    x, y = flows
    rows = x[500:][~y[500:]][:10].repeat(30, 1)
    assert float((detector.matched(rows, 0.25)(rows) > 0).double().mean()) <= 0.25


def test_no_blind_layer_means_no_certificate(detector, flows):
    x, _ = flows
    assert torch.isneginf(detector.only("stack").certified(x, FIXED)).all()
    assert torch.isneginf(detector.certified(x, torch.arange(3))).all()


def test_gradient_reaches_the_input_where_a_layer_has_one(detector, flows):
    x = flows[0][:20].clone().requires_grad_(True)
    detector.only("blind")(x).sum().backward()
    assert (x.grad[:, :4] != 0).any()
    assert (x.grad[:, 4:] == 0).all()


def test_explanation_names_the_layer_and_the_feature_that_gave_it_away(detector, flows):
    x, y = flows
    groups = {f"f{i}": [i] for i in range(7)}
    told = detector.only("stack").explain(x[y][:5], groups)
    assert [e.layer for e in told] == ["stack"] * 5
    assert all(e.features[0][0] == "f5" for e in told)
    assert told[0].logit == pytest.approx(float(detector.only("stack")(x[y][:1])))


def test_stored_as_tensors_and_data_it_answers_the_same(detector, flows):
    meta = json.loads(json.dumps(detector.describe()))
    again = Detector.build(meta, {k: v.clone() for k, v in detector.state_dict().items()})
    assert torch.equal(again(flows[0]), detector(flows[0]))


@pytest.mark.parametrize(
    ("name", "value"),
    [("layers.stack.columns", 99), ("layers.blind.columns", -1), ("budget", -1), ("layers.stack.trees.feature", 99)],
)
def test_crafted_tensors_are_refused(detector, name, value):
    tensors = {k: v.clone() for k, v in detector.state_dict().items()}
    tensors[name].reshape(-1)[0] = value
    with pytest.raises(BadInput):
        Detector.build(detector.describe(), tensors)


@pytest.mark.parametrize("change", [{"width": "x"}, {"layers": {"a": {"kind": "b", "columns": 2}}}, {"knots": [1]}])
def test_crafted_descriptions_are_refused(detector, change):
    with pytest.raises(BadInput, match="not a stored"):
        Detector.build({**detector.describe(), **change}, detector.state_dict())
