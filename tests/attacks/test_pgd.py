from __future__ import annotations

import pytest
import torch
from tests.attacks.models import Linear, points, seeded

from sparring.attacks import FGSM, PGD
from sparring.objectives import cross_entropy, margin
from sparring.threats import L1, L2, LInf

BALLS = [(LInf(0.1), 1), (L2(0.1), 2), (L1(0.1), torch.inf)]


@pytest.mark.parametrize(("threat", "dual"), BALLS)
def test_fgsm_and_pgd_reach_the_optimum_of_a_linear_model(threat, dual) -> None:
    model, x = Linear(30, 2), points(20, 30)
    y = model(x).argmax(1)
    clean = margin(model(x), y)
    if isinstance(threat, L1):
        threat = L1(0.1, share=1 / 30)  # the steepest step of the exact geometry: one entry
    best = clean + threat.eps * torch.linalg.vector_norm(model.weight[0] - model.weight[1], dual)
    for attack, near in ((FGSM(active_set=False), 1e-6), (PGD(steps=40, active_set=False), 2e-2)):
        result = attack(model, (x, y), threat, objective=margin, generator=seeded())
        assert torch.allclose(result.objective, best, atol=near)
        assert torch.equal(result.success, best > 0)


def test_published_passes_on_a_sample_that_stands() -> None:
    model, x = Linear(4, 3), points(3, 4)
    y = model(x).argmax(1)
    for attack, passes in ((FGSM(), (1, 1)), (PGD(steps=7), (7, 7)), (PGD(steps=7, restarts=2), (15, 14))):
        queries = attack(model, (x, y), LInf(1e-9), generator=seeded()).queries
        assert (int(queries.forward[0]), int(queries.backward[0])) == passes


def test_fallen_samples_leave_the_batch_and_the_verdict_stays() -> None:
    model, x = Linear(30, 5), points(200, 30)
    y = model(x).argmax(1)
    threat = LInf(0.03, 0, 1)
    active, full = PGD(steps=20), PGD(steps=20, active_set=False)
    a = active(model, (x, y), threat, objective=margin, generator=seeded())
    b = full(model, (x, y), threat, objective=margin, generator=seeded())
    assert 0.1 < float(a.success.double().mean()) < 0.9
    assert (a.success & ~b.success).sum() <= 2  # a random start may win where the last iterate does not
    assert (b.success & ~a.success).sum() == 0
    assert a.queries.backward.sum() < 0.8 * b.queries.backward.sum()


def test_without_random_start_and_with_zero_budget() -> None:
    model, x = Linear(6, 3), points(5, 6)
    y = model(x).argmax(1)
    one = PGD(steps=1, step_size=1.0, random_start=False)(model, (x, y), LInf(0.1), generator=seeded())
    fgsm = FGSM()(model, (x, y), LInf(0.1), generator=seeded(9))
    assert torch.equal(one.x_adv, fgsm.x_adv)
    nothing = PGD()(model, (x, y), LInf(0.0), generator=seeded())
    assert torch.equal(nothing.x_adv, x)
    assert not nothing.success.any()


def test_zero_gradients_are_traced() -> None:
    x = points(10, 4)
    scaled = Linear(4, 3)
    y = scaled(x).argmax(1)

    def saturated(t: torch.Tensor) -> torch.Tensor:
        return scaled(t) * 1e6

    trace = PGD(steps=3)(saturated, (x, y), LInf(1e-3), objective=cross_entropy, generator=seeded()).trace
    assert len(trace["zero_gradients"]) == 3
    assert min(trace["zero_gradients"]) > 0.9


def test_steps_in_place_spare_an_input_that_is_its_own_start() -> None:
    """Where a threat hands out the input itself, as a projection or as a random member."""

    class Lazy(LInf):
        def project(self, x_adv, x):
            return x_adv if bool(((x_adv - x).abs() <= self.eps).all()) else super().project(x_adv, x)

        def sample(self, x, *, generator):
            return x

    model, x = Linear(6, 3), points(8, 6)
    before, y = x.clone(), model(x).argmax(1)
    for start in (True, False):
        for active in (True, False):
            attack = PGD(steps=3, random_start=start, active_set=active)
            found = attack.perturb(model, (x, y), Lazy(0.2), generator=seeded())
            assert torch.equal(x, before)
            assert not torch.equal(found, x)
