# pyright: basic
"""The decision-only minimum-norm attack on models whose nearest boundary is known, and beside foolbox."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.attacks.models import Counting, seeded
from tests.attacks.test_minimum_norm import FAR, Planes, nearest
from torch import Tensor, nn

from sparring.attacks import HopSkipJump
from sparring.attacks.hyperplane import length
from sparring.threats import L1, L2, Box, ThreatModel


@pytest.mark.parametrize(("norm", "close"), [("l2", 1.05), ("linf", 1.25)])
def test_it_comes_close_to_the_distance_to_a_plane(norm: str, close: float) -> None:
    model, x = Planes(), torch.randn(12, 12, generator=seeded())
    y = model(x).argmax(1)
    attack = HopSkipJump(queries=3000, directions=60, active_set=False)
    result = attack(lambda t: model(t).argmax(1), (x, y), FAR[norm], generator=seeded())
    assert bool(result.success.all())
    ratio = length(result.x_adv - x, "l2" if norm == "l2" else "linf") / nearest(model, x, y, norm)
    assert bool((ratio >= 1 - 1e-4).all())
    assert float(ratio.median()) < close
    assert bool((result.objective == 1).all())


def test_more_queries_never_end_further_away() -> None:
    model, x = Planes(), torch.randn(8, 12, generator=seeded())
    y = model(x).argmax(1)
    sizes = []
    for queries in (150, 600, 2400):
        attack = HopSkipJump(queries=queries, directions=40, active_set=False)
        sizes.append(length(attack(model, (x, y), FAR["l2"], generator=seeded()).x_adv - x, "l2"))
    assert bool((sizes[1] <= sizes[0]).all() and (sizes[2] <= sizes[1]).all())
    assert float(sizes[2].mean()) < float(sizes[0].mean())


def test_the_budget_is_kept_and_the_fallen_leave() -> None:
    model, x = Planes(), torch.randn(20, 12, generator=seeded())
    y = model(x).argmax(1)
    radius = float(nearest(model, x, y, "l2").median()) * 1.5
    counted = Counting(model)
    result = HopSkipJump(queries=800, directions=40)(counted, (x, y), L2(radius), generator=seeded())
    asked = result.queries.forward
    assert 8 <= int(result.success.sum()) < 20
    assert bool((asked <= 800).all())
    assert float(asked[result.success].float().mean()) < float(asked[~result.success].float().mean())
    assert counted.rows == int(asked.sum()) + 2 * 20
    assert torch.equal(result.x_adv[~result.success], x[~result.success])
    assert bool((length(result.x_adv - x, "l2") <= radius * (1 + 1e-5)).all())


def test_starts_serve_where_noise_never_errs() -> None:
    class Rare(nn.Module):
        """Class 1 only in a far corner that uniform noise does not meet."""

        def forward(self, x: Tensor) -> Tensor:
            score = x.mean(1) - 0.9
            return torch.stack([torch.zeros_like(score), score], 1)

    x, y = torch.full((3, 40), 0.5), torch.zeros(3, dtype=torch.long)
    threat = L2(10.0, 0, 1)
    without = HopSkipJump(queries=400, directions=20)(Rare(), (x, y), threat, generator=seeded())
    assert not bool(without.success.any())
    starts = torch.ones(2, 40)
    found = HopSkipJump(queries=400, directions=20, starts=starts)(Rare(), (x, y), threat, generator=seeded())
    assert bool(found.success.all())


def test_labels_alone_are_enough_and_the_same_seed_gives_the_same_points() -> None:
    model, x = Planes(), torch.randn(6, 12, generator=seeded())
    y = model(x).argmax(1)
    attack = HopSkipJump(queries=500, directions=30, active_set=False)
    by_labels = attack(lambda t: model(t).argmax(1), (x, y), FAR["linf"], generator=seeded())
    by_scores = attack(model, (x, y), FAR["linf"], generator=seeded())
    assert torch.equal(by_labels.x_adv, by_scores.x_adv)
    assert int(by_labels.queries.backward.sum()) == 0


@pytest.mark.parametrize(("options", "match"), [({"queries": 0}, "queries"), ({"directions": 1}, "directions")])
def test_budgets_that_make_no_sense_are_refused(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        HopSkipJump(**options)


@pytest.mark.parametrize(("threat", "match"), [(L1(1.0), "L1"), (Box(-9.0, 9.0), "HopSkipJump is defined")])
def test_other_threats_are_refused(threat: ThreatModel, match: str) -> None:
    x = torch.rand(2, 12)
    with pytest.raises(TypeError, match=match):
        HopSkipJump()(Planes(), (x, Planes()(x).argmax(1)), threat, generator=seeded())


def test_it_ends_no_further_than_foolbox_s_at_the_same_number_of_questions() -> None:
    foolbox: Any = pytest.importorskip("foolbox")
    model, x = Planes(), torch.rand(10, 12, generator=seeded())
    y = model(x).argmax(1)
    counted = Counting(model)
    peer = foolbox.attacks.HopSkipJumpAttack(steps=12, initial_gradient_eval_steps=40, constraint="l2")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = peer(foolbox.PyTorchModel(counted.eval(), bounds=(0, 1), device="cpu"), x, y, epsilons=None)[1]
    budget = counted.rows // len(x)
    attack = HopSkipJump(queries=budget, directions=40, active_set=False)
    ours = attack(model, (x, y), L2(10.0, 0, 1), generator=seeded())
    wrong = ours.success & (model(found).argmax(1) != y)
    assert int(wrong.sum()) >= 5
    size = (ours.x_adv - x).norm(dim=1)[wrong]
    assert float(size.median()) <= 1.05 * float((found - x).norm(dim=1)[wrong].median())
