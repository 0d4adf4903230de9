from __future__ import annotations

import pytest
import torch
from tests.attacks.models import Fortress, Linear, points, seeded

from sparring.attacks import APGD, PGD, APGDTargeted
from sparring.attacks.ascent import Ascent, Momentum
from sparring.attacks.region import Region
from sparring.objectives import cross_entropy, dlr, margin
from sparring.threats import L1, L2, Intersection, LInf, Mask
from sparring.threats.base import flat

BALLS = [(LInf(0.1), 1), (L2(0.1), 2), (L1(0.1), torch.inf)]


@pytest.mark.parametrize(("threat", "dual"), BALLS)
def test_it_reaches_the_optimum_of_a_linear_model(threat, dual) -> None:
    model, x = Linear(30, 2), points(20, 30)
    y = model(x).argmax(1)
    best = margin(model(x), y) + threat.eps * torch.linalg.vector_norm(model.weight[0] - model.weight[1], dual)
    result = APGD(steps=100, active_set=False)(model, (x, y), threat, objective=margin, generator=seeded())
    assert torch.allclose(result.objective, best, atol=1e-4)


@pytest.mark.parametrize("threat", [LInf(0.05, 0, 1), L2(0.3, 0, 1), L1(0.6, 0, 1)])
def test_the_targeted_form_finds_what_any_class_allows(threat) -> None:
    model, x = Linear(30, 6), points(60, 30)
    y = model(x).argmax(1)
    plain = APGD(steps=50)(model, (x, y), threat, objective=dlr, generator=seeded())
    aimed = APGDTargeted(steps=50)(model, (x, y), threat, generator=seeded())
    assert 0.1 < float(plain.success.double().mean()) < 0.95
    assert (plain.success & ~aimed.success).sum() == 0


def test_published_passes() -> None:
    x, y = points(2, 5), torch.zeros(2, dtype=torch.long)
    cases = [
        (APGD(steps=100), (101, 101)),
        (APGD(steps=100, restarts=5), (505, 505)),
        (APGD(steps=100, wide_start=True), (103, 103)),
        (APGDTargeted(steps=100), (1 + 9 * 101, 9 * 101)),
        (APGDTargeted(steps=10, targets=3), (1 + 3 * 11, 3 * 11)),
    ]
    for attack, passes in cases:
        queries = attack(Fortress(12), (x, y), LInf(0.1), generator=seeded()).queries
        assert queries.forward.tolist() == [passes[0]] * 2
        assert queries.backward.tolist() == [passes[1]] * 2


def test_with_few_classes_the_fall_backs_are_used_and_noted() -> None:
    x = points(6, 5)
    for classes in (1, 2, 3, 4):
        model = Linear(5, classes)
        y = (model(x).squeeze(1) > 0).long() if classes == 1 else model(x).argmax(1)
        aimed = APGDTargeted(steps=10)(model, (x, y), LInf(0.5), generator=seeded())
        assert ("targeted_dlr_is_gap" in aimed.trace) == (classes < 4)
        assert aimed.queries.backward.max() <= 11 * max(classes - 1, 1)
        plain = APGD(steps=10)(model, (x, y), LInf(0.5), objective=dlr, generator=seeded())
        assert ("dlr_is_margin" in plain.trace) == (classes < 3)
        assert torch.equal(plain.success, aimed.success)


def test_logit_scale_blinds_cross_entropy_and_not_dlr() -> None:
    """The false robustness that every library reports: see docs on honest evaluation."""
    model, x = Linear(30, 5).float(), points(80, 30).float()
    y = model(x).argmax(1)

    def loud(t: torch.Tensor) -> torch.Tensor:
        return model(t) * 1e4

    blind = APGD(steps=30)(loud, (x, y), LInf(0.05, 0, 1), objective=cross_entropy, generator=seeded())
    sees = APGD(steps=30)(loud, (x, y), LInf(0.05, 0, 1), objective=dlr, generator=seeded())
    assert float(sees.success.float().mean()) > float(blind.success.float().mean()) + 0.2


def test_the_sparse_schedule_beats_plain_ascent_in_l1_and_stays_sparse() -> None:
    model, x = Linear(200, 5), points(60, 200)
    y = model(x).argmax(1)
    threat = L1(1.0, 0, 1)
    sparse = APGD(steps=40, active_set=False)(model, (x, y), threat, objective=margin, generator=seeded())
    plain = PGD(steps=40, active_set=False)(model, (x, y), threat, objective=margin, generator=seeded())
    assert float(sparse.objective.mean()) >= float(plain.objective.mean())
    moved = (flat(sparse.x_adv) - x).abs() > 1e-9
    assert float(moved.double().mean()) < 0.1


def test_it_runs_on_any_threat() -> None:
    model, x = Linear(10, 3), points(8, 10)
    y = model(x).argmax(1)
    threat = Intersection(LInf(0.2, 0, 1), Mask(torch.arange(10) < 5))
    result = APGD(steps=20)(model, (x, y), threat, generator=seeded())
    assert torch.equal(result.x_adv[:, 5:], x[:, 5:])
    assert float((result.x_adv - x).abs().max()) > 0.1


def test_checkpoints_and_halvings_are_the_papers() -> None:
    n = 2
    x, one = torch.zeros(n, 1), torch.zeros(n)
    a = Ascent(Region(LInf(0.5), x), torch.arange(n), one, x, x, x, one, x + 5, x, one)
    schedule = Momentum(a, LInf(0.5), 100, 0.75)
    checkpoints, halved = [], []
    rising = torch.tensor([True, False])
    for step in range(1, 101):
        before = schedule.step.clone()
        a.best_value = a.best_value + rising
        schedule.review(a, rising)
        if schedule.since == 0:
            checkpoints.append(step)
        if not torch.equal(schedule.step, before):
            halved.append(step)
    # p_1 = 0.22 and intervals that shrink by 0.03 down to 0.06 (section 3.1)
    assert checkpoints == [22, 41, 57, 70, 80, 87, 93, 99]
    assert halved == checkpoints
    assert schedule.step.tolist() == pytest.approx([1.0, 2.0**-8])
    assert a.x_adv.squeeze(1).tolist() == [0.0, 5.0]  # only the stuck one went back to its best point


def test_restarts_keep_the_best_and_the_generator_decides() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 40), torch.nn.Tanh(), torch.nn.Linear(40, 3)).double()
    x = points(30, 6)
    y = model(x).argmax(1)
    many, one = APGD(steps=5, restarts=6, active_set=False), APGD(steps=5, active_set=False)
    threat = LInf(0.3)
    a = many(model, (x, y), threat, objective=margin, generator=seeded())
    b = one(model, (x, y), threat, objective=margin, generator=seeded())
    assert bool((a.objective >= b.objective).all())
    again = many(model, (x, y), threat, objective=margin, generator=seeded())
    assert torch.equal(a.x_adv, again.x_adv)
    short = APGD(steps=1, active_set=False)  # before every start has reached the same corner
    first = short.perturb(model, (x, y), threat, objective=margin, generator=seeded())
    assert not torch.equal(first, short.perturb(model, (x, y), threat, objective=margin, generator=seeded(1)))
