# pyright: basic
from __future__ import annotations

import pytest
import torch
from tests.attacks.models import Counting, Fortress, Linear, points, seeded
from torch import Tensor

from sparring.attacks import APGD, DecisionSearch
from sparring.attacks.interview import wrong_decision
from sparring.objectives import margin
from sparring.threats import L1, L2, Integer, Intersection, LInf


@pytest.mark.parametrize("threat", [LInf(0.06, 0, 1), L2(0.3, 0, 1), L1(0.6, 0, 1)])
def test_labels_alone_find_most_of_what_gradients_find(threat) -> None:
    model, x = Linear(20, 4), points(60, 20)
    y = model(x).argmax(1)
    white = APGD(steps=50)(model, (x, y), threat, objective=margin, generator=seeded()).success
    black = DecisionSearch(queries=600)(lambda t: model(t).argmax(1), (x, y), threat, generator=seeded())
    by_chance = DecisionSearch(queries=600, reach=1.0)(model, (x, y), threat, generator=seeded()).success
    assert 0.2 < float(white.double().mean()) < 0.95
    assert int(black.success.sum()) >= 0.75 * int(white.sum())
    assert int(black.success.sum()) > int(by_chance.sum())
    assert torch.equal(black.objective, black.success.float())


@pytest.mark.parametrize("queries", [1, 30, 75, 200])
def test_the_budget_is_exact(queries) -> None:
    x, y = points(5, 4), torch.zeros(5, dtype=torch.long)
    never = Counting(Fortress(3))
    result = DecisionSearch(queries=queries, directions=8)(never, (x, y), LInf(0.1), generator=seeded())
    assert (result.queries.forward == queries).all()
    assert never.rows == 5 * (queries + 2)
    model, x = Linear(20, 4), points(40, 20)
    y = model(x).argmax(1)
    result = DecisionSearch(queries=queries, directions=8)(model, (x, y), LInf(0.02), generator=seeded())
    assert (result.queries.forward[~result.success] == queries).all()
    assert (result.queries.forward <= queries).all()


def test_starts_help_where_random_members_are_never_wrong() -> None:
    model, x = Linear(40, 2), points(60, 40)
    y = model(x).argmax(1)

    def labels(t: Tensor) -> Tensor:
        return model(t).argmax(1)

    others = torch.cat([x[y == 0], x[y == 1]])
    led = DecisionSearch(queries=400, reach=4.0, starts=others)
    result = led(labels, (x, y), LInf(0.04, 0, 1), generator=seeded())
    assert 0 < int(result.success.sum()) < 60


def test_it_keeps_to_types() -> None:
    threat = Intersection(LInf(0.25, 0, 1), Integer((0, 1), unit=0.125))
    model, x = Linear(6, 3), points(30, 6)
    x[:, :2] = (x[:, :2] * 8).round() / 8
    y = model(x).argmax(1)
    result = DecisionSearch(queries=300)(lambda t: model(t).argmax(1), (x, y), threat, generator=seeded())
    assert float(threat.violation(result.x_adv, x).max()) == 0
    assert float(result.success.double().mean()) > 0.3


def test_the_generator_alone_decides() -> None:
    model, x = Linear(20, 4), points(20, 20)
    y = model(x).argmax(1)
    a = DecisionSearch(queries=150)(model, (x, y), LInf(0.05), generator=seeded())
    torch.manual_seed(5)
    b = DecisionSearch(queries=150)(model, (x, y), LInf(0.05), generator=seeded())
    assert torch.equal(a.x_adv, b.x_adv)


def test_labels_logits_and_nonsense() -> None:
    y = torch.tensor([0, 1])
    assert wrong_decision(torch.tensor([1, 1]), y).tolist() == [True, False]
    assert wrong_decision(torch.tensor([0.3, 0.2]), y).tolist() == [True, False]
    with pytest.raises(ValueError, match="reach"):
        DecisionSearch(reach=0.5)
