# pyright: basic
"""Thresholds of flow layers: parts that are left out together, a confidence, further benign rows."""

import pytest
import torch

from sparring.network.detector import StackSize, threshold
from sparring.systems.ddos.fit import Fitted, _folds, columns, fit_flows

TINY = StackSize(rounds=8, leaves=7, booster_depth=4, trees=6, tree_depth=6, hidden=(8,), epochs=1, folds=2)


@pytest.fixture(scope="module")
def fitted(lesson) -> Fitted:
    rows = lesson.rows
    groups = torch.arange(len(rows.y)) // 40
    g = torch.Generator().manual_seed(0)
    return fit_flows(lesson.schema, rows.x, rows.y, None, size=TINY, folds=3, groups=groups, generator=g)


def test_rows_of_a_group_are_left_out_together():
    y = torch.tensor([0, 1] * 60)
    groups = torch.arange(120) // 10
    fold = _folds(y, groups, 4, torch.Generator().manual_seed(0))
    assert len(fold) == 60
    assert set(fold.tolist()) == {0, 1, 2, 3}
    for group in range(12):
        assert len(set(fold[groups[y == 0] == group].tolist())) == 1


def test_without_groups_the_parts_are_equal():
    fold = _folds(torch.zeros(100, dtype=torch.int64), None, 5, torch.Generator().manual_seed(0))
    assert torch.bincount(fold).tolist() == [20] * 5


def test_the_scores_are_of_benign_rows_and_the_budget_is_kept_on_them(fitted, lesson):
    (score,) = fitted.scores
    assert len(score) == int((lesson.rows.y == 0).sum())
    detector = fitted.joined(0.02)
    edge = threshold(score, 0.02)
    with torch.no_grad():
        raw = fitted.layers["flows"](lesson.rows.x)
        assert torch.equal(detector(lesson.rows.x) > 0, raw > edge)


def test_more_confidence_and_a_smaller_budget_flag_less(fitted, lesson):
    x = lesson.rows.x
    made = (fitted.joined(0.05), fitted.joined(0.02), fitted.joined(0.02, 0.95), fitted.joined(0.02, 0.999))
    with torch.no_grad():
        share = [float((d(x) > 0).double().mean()) for d in made]
    assert share == sorted(share, reverse=True)
    assert share[0] > share[-1]


def test_further_benign_rows_move_the_threshold(fitted, lesson):
    """Rows that look like attacks but are benign elsewhere: at most the budget of all of them may alarm."""
    odd = lesson.rows.x[lesson.rows.y == 1]
    detector = fitted.joined(0.02, more=odd)
    with torch.no_grad():
        alarms = float((detector(odd) > 0).double().sum())
    assert alarms <= 0.02 * (len(odd) + len(fitted.scores[0]))


def test_what_is_hidden_is_seen_by_no_layer(lesson):
    port = lesson.schema.indices(["Destination Port"])
    assert not set(port) & set(columns(lesson.schema, "flows").tolist())
    assert set(columns(lesson.schema, "core").tolist()) < set(columns(lesson.schema, "flows").tolist())
