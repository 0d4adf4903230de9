from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.attacks.models import Linear, Noisy, points, seeded
from torch import Tensor

from sparring.attacks import EOT, FAB, PGD, ConstrainedSearch, Square
from sparring.attacks.eot import AveragedOracle
from sparring.attacks.oracle import Oracle
from sparring.objectives import margin, misclassified
from sparring.threats import LInf


def _linear(inner: Linear):
    """Random weights around `inner`: the mean gradient is that of `inner`."""

    def model(x: Tensor) -> Tensor:
        weight = inner.weight.detach() + 3 * torch.randn_like(inner.weight)
        return (x - 0.5) @ weight.T

    return model


def test_averaging_recovers_the_gradient_of_the_mean_model() -> None:
    inner, x = Linear(10, 2), points(6, 10)
    y = torch.zeros(6, dtype=torch.long)
    plain = Oracle.of(_linear(inner), 6, margin, misclassified, torch.device("cpu"))
    truth = (inner.weight[1] - inner.weight[0]).detach()
    torch.manual_seed(0)
    errors = []
    for draws in (1, 400):
        oracle = AveragedOracle(*(getattr(plain, f) for f in Oracle.__dataclass_fields__), draws)
        errors.append(float((oracle.gradient(x, y, torch.arange(6))[2] - truth).abs().mean()))
    assert errors[1] < 0.1 * errors[0]


def test_it_beats_one_draw_on_a_randomised_linear_model() -> None:
    inner, x = Linear(30, 2), points(60, 30)
    y = inner(x).argmax(1)
    model, threat = _linear(inner), LInf(0.05)
    one = PGD(steps=10, active_set=False)(model, (x, y), threat, objective=margin, generator=seeded()).x_adv
    many = EOT(PGD(steps=10), draws=30, active_set=False)
    mean = many(model, (x, y), threat, objective=margin, generator=seeded()).x_adv
    with torch.no_grad():
        averaged, single = margin(inner(mean), y).mean(), margin(inner(one), y).mean()
    assert float(averaged) > float(single) + 0.1


def test_every_pass_costs_the_draws() -> None:
    inner, x = Linear(8, 3), points(4, 8)
    y = inner(x).argmax(1)
    model, threat = Noisy(inner, 1e-9), LInf(1e-9)
    pgd = EOT(PGD(steps=3), draws=5)(model, (x, y), threat, generator=seeded()).queries
    assert (int(pgd.forward[0]), int(pgd.backward[0])) == (15, 15)
    square = EOT(Square(queries=7), draws=2)(model, (x, y), threat, generator=seeded()).queries
    assert int(square.forward[0]) == 14
    fab = EOT(FAB(steps=2), draws=3)(model, (x, y), threat, generator=seeded()).queries
    assert (int(fab.forward[0]), int(fab.backward[0])) == (12, 12)
    search = EOT(ConstrainedSearch(queries=20, population=4, gradient_steps=2), draws=2)
    assert int(search(model, (x, y), threat, generator=seeded()).queries.forward[0]) == 40


def test_the_majority_decides_and_the_global_state_stays() -> None:
    x, y = points(400, 1), torch.zeros(400, dtype=torch.long)

    def coin(t: Tensor) -> Tensor:
        """Wrong with probability 0.3."""
        wrong = torch.rand(len(t)) < 0.3
        return torch.stack([~wrong, wrong], 1).double() + 0 * t

    state = torch.get_rng_state()
    single = PGD(steps=1)(coin, (x, y), LInf(0.0), generator=seeded())
    voted = EOT(PGD(steps=1), draws=25)(coin, (x, y), LInf(0.0), generator=seeded())
    assert float(single.success.double().mean()) > 0.2
    assert float(voted.success.double().mean()) < 0.1
    again = EOT(PGD(steps=1), draws=25)(coin, (x, y), LInf(0.0), generator=seeded())
    assert torch.equal(voted.success, again.success)
    assert torch.equal(state, torch.get_rng_state())


def test_its_own_active_set_rules_over_the_inner_attack() -> None:
    inner, x = Linear(8, 3), points(20, 8)
    y = inner(x).argmax(1)
    whole = replace(EOT(PGD(steps=3), draws=2), active_set=False)
    queries = whole(inner, (x, y), LInf(0.5), generator=seeded()).queries
    assert (queries.forward == 6).all()
    with pytest.raises(ValueError, match="draws"):
        EOT(PGD(), draws=0)
