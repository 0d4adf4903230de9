from __future__ import annotations

import pytest
import torch
from tests.attacks.models import Fortress, Linear, points, seeded

from sparring.attacks import APGDTargeted
from sparring.attacks.fab import FAB, FABTargeted
from sparring.attacks.hyperplane import dual_length, length
from sparring.objectives import margin
from sparring.threats import L1, L2, Box, LInf

FAR = 1e3
NORMS = [(LInf, "linf"), (L2, "l2"), (L1, "l1")]


@pytest.mark.parametrize(("ball", "norm"), NORMS)
@pytest.mark.parametrize("attack", [FAB(steps=20, active_set=False), FABTargeted(steps=20, active_set=False)])
@pytest.mark.parametrize("classes", [1, 2])
def test_on_a_linear_model_the_distance_is_the_margin_over_the_dual_norm(attack, ball, norm, classes) -> None:
    model, x = Linear(20, classes), points(30, 20)
    out = model(x).detach()
    y = (out.squeeze(1) > 0).long() if classes == 1 else out.argmax(1)
    w = model.weight[0] if classes == 1 else model.weight[1] - model.weight[0]
    exact = margin(out, y).abs() / dual_length(w.detach(), norm)
    result = attack(model, (x, y), ball(FAR), generator=seeded())
    assert bool(result.success.all())
    found = length(result.x_adv - x, norm)
    assert bool((found >= exact * (1 - 1e-9)).all())
    assert torch.allclose(found, exact, rtol=0.01)


@pytest.mark.parametrize(("ball", "norm"), NORMS)
def test_with_many_classes_it_finds_the_nearest_of_all_boundaries(ball, norm) -> None:
    model, x = Linear(12, 5), points(30, 12)
    out = model(x).detach()
    y = out.argmax(1)
    gaps = model.weight.detach()[None] - model.weight.detach()[y][:, None]
    distance = (out.gather(1, y[:, None]) - out) / dual_length(gaps, norm).clamp_min(1e-12)
    exact = distance.scatter(1, y[:, None], torch.inf).amin(1)
    for attack in (FAB(steps=30, active_set=False), FABTargeted(steps=30, active_set=False)):
        found = length(attack(model, (x, y), ball(FAR), generator=seeded()).x_adv - x, norm)
        assert torch.allclose(found, exact, rtol=0.02)


def test_it_reports_points_within_eps_and_agrees_with_targeted_apgd() -> None:
    model, x = Linear(30, 6), points(80, 30)
    y = model(x).argmax(1)
    for threat in (LInf(0.05, 0, 1), L2(0.3, 0, 1), L1(0.6, 0, 1)):
        aimed = APGDTargeted(steps=50)(model, (x, y), threat, generator=seeded()).success
        for attack in (FAB(steps=50), FABTargeted(steps=50), FABTargeted(steps=50, restarts=2)):
            result = attack(model, (x, y), threat, generator=seeded())
            assert 0.1 < float(result.success.double().mean()) < 0.95
            assert int((aimed != result.success).sum()) <= 1
            assert torch.equal(result.x_adv[~result.success], x[~result.success])


def test_published_passes_and_other_threats() -> None:
    x, y = points(2, 5), torch.zeros(2, dtype=torch.long)
    aimed = FABTargeted(steps=100)(Fortress(12), (x, y), LInf(0.1), generator=seeded()).queries
    assert (int(aimed.forward[0]), int(aimed.backward[0])) == (1 + 9 * 200, 9 * 100)
    plain = FAB(steps=10, restarts=2)(Fortress(4), (x, y), LInf(0.1), generator=seeded()).queries
    assert (int(plain.forward[0]), int(plain.backward[0])) == (2 * 20, 2 * 10 * 3)
    with pytest.raises(TypeError, match="not for Box"):
        FAB()(Fortress(4), (x, y), Box(0.0, 1.0), generator=seeded())
