from __future__ import annotations

import pytest
import torch
from tests.attacks.models import Counting, Fortress, Linear, points, seeded

from sparring.attacks import APGD, StandardEnsemble
from sparring.attacks.standard import standard_members
from sparring.objectives import cross_entropy
from sparring.threats import L1, L2, Box, LInf


@pytest.mark.parametrize(
    ("threat", "classes", "passes"),
    [
        (LInf(0.1, 0, 1), 10, (101 + (1 + 9 * 101) + (1 + 9 * 200) + 5000, 101 + 9 * 101 + 9 * 100)),
        (L2(0.1, 0, 1), 3, (101 + (1 + 2 * 101) + (1 + 2 * 200) + 5000, 101 + 2 * 101 + 2 * 100)),
        (L1(0.1, 0, 1), 10, (5 * 103 + (1 + 5 * 103) + (1 + 9 * 200) + 5000, 5 * 103 + 5 * 103 + 9 * 100)),
    ],
)
def test_a_robust_sample_costs_the_published_passes(threat, classes, passes) -> None:
    x, y = points(1, 1, 3, 3), torch.zeros(1, dtype=torch.long)
    model = Counting(Fortress(classes))
    result = StandardEnsemble()(model, (x, y), threat, generator=seeded())
    assert not result.success.any()
    assert (int(result.queries.forward), int(result.queries.backward)) == passes
    # the call's own: the clean input, the verdict, and a look at the survivors after each of four members
    assert model.rows == passes[0] + 6


def test_the_cascade_attacks_survivors_alone_and_names_them() -> None:
    model, x = Linear(20, 5), points(30, 20)
    y = model(x).argmax(1)
    y[:3] = (y[:3] + 1) % 5
    threat = LInf(0.04, 0, 1)
    result = StandardEnsemble()(model, (x, y), threat, generator=seeded())
    standing = [result.trace[f"standing: {name}"][0] for name in ("APGD-CE", "APGD-T", "FAB-T", "Square")]
    assert standing == sorted(standing, reverse=True)
    assert standing[-1] == int((~result.success).sum())
    assert 3 < int(result.success.sum()) < 30
    assert result.success[:3].all()
    assert result.queries.forward[:3].sum() == 0
    assert bool((result.queries.forward[result.success] < 3000).all())
    first = APGD(steps=100)(model, (x, y), threat, objective=cross_entropy, generator=seeded())
    assert (first.success & ~result.success).sum() == 0


def test_one_logit_and_two_classes_use_the_documented_fall_backs() -> None:
    x = points(6, 4)
    for classes in (1, 2):
        model = Linear(4, classes)
        y = (model(x).squeeze(1) > 0).long() if classes == 1 else model(x).argmax(1)
        result = StandardEnsemble()(model, (x, y), LInf(0.9, 0, 1), generator=seeded())
        assert result.success.all() or result.trace["targeted_dlr_is_gap"]


def test_members_carry_the_published_budgets_and_other_threats_are_refused() -> None:
    budgets = {name: attack for name, attack, _ in standard_members(LInf(0.1))}
    assert (budgets["APGD-CE"].steps, budgets["APGD-CE"].restarts) == (100, 1)
    assert (budgets["APGD-T"].steps, budgets["APGD-T"].targets) == (100, 9)
    assert (budgets["FAB-T"].steps, budgets["FAB-T"].targets, budgets["FAB-T"].restarts) == (100, 9, 1)
    assert budgets["Square"].queries == 5000
    with pytest.raises(TypeError, match="not for Box"):
        StandardEnsemble()(Fortress(3), (points(1, 4), torch.zeros(1)), Box(0.0, 1.0), generator=seeded())
