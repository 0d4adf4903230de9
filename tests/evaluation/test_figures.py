from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sparring.attacks.pgd import PGD
from sparring.evaluation.figures import evaluation_rows, query_curve, radius_curve
from sparring.evaluation.protocol import Adversary, Evaluation, Proof, evaluate
from sparring.evaluation.statistics import wilson
from sparring.objectives import margin
from sparring.threats.lp import LInf

Data = tuple[Tensor, Tensor]
PLAN = [
    Adversary(name="near", attack=PGD(steps=10), threat=LInf(0.1, 0, 1), objective=margin, seen=True),
    Adversary(name="far", attack=PGD(steps=10), threat=LInf(0.2, 0, 1), objective=margin),
]


@pytest.fixture
def found(stripes: nn.Module, ladder: Data, generator: torch.Generator) -> Evaluation:
    proof = Proof("exact", PLAN[0].threat, (ladder[0][:, 0] - 0.5).abs() > 0.12)
    return evaluate(stripes, ladder, PLAN, generator=generator, proofs=[proof])


def test_rows_of_one_seed(found: Evaluation) -> None:
    rows = evaluation_rows(found, model="m", seeds=[0])
    assert [r.adversary for r in rows] == [None, "near", "far", "worst of all", "any (exact)"]
    clean, near, far, worst, proved = rows
    assert (clean.value, clean.kind, clean.queries) == (1.0, "measured", None)
    assert (near.value, far.value, worst.value) == (0.8, 0.6, 0.6)
    assert near.interval == pytest.approx(wilson(32, 40))
    assert (near.kind, near.seen, near.budget, near.threat) == (
        "upper bound",
        True,
        0.1,
        "LInf(eps=0.1, low=0, high=1)",
    )
    assert (worst.seen, worst.budget) == (None, None)
    assert proved.kind == "certified"
    assert proved.value <= near.value
    assert near.outcomes is not None
    assert near.outcomes.count("1") == 32
    assert near.queries is not None
    assert near.queries[1] <= 10


def test_rows_over_seeds_are_wider_than_their_parts_allow(stripes: nn.Module, ladder: Data) -> None:
    runs = [evaluate(stripes, ladder, PLAN, generator=torch.Generator().manual_seed(s)) for s in range(3)]
    near = evaluation_rows(runs, model="m", seeds=[0, 1, 2])[1]
    assert near.seeds == (0, 1, 2)
    assert near.interval[0] < 0.8 < near.interval[1]
    assert near.outcomes is None
    with pytest.raises(ValueError, match="3 evaluations for 2 seeds"):
        evaluation_rows(runs, model="m", seeds=[0, 1])


def test_cascade_has_no_rows_of_its_adversaries(stripes: nn.Module, ladder: Data, generator: torch.Generator) -> None:
    quick = evaluate(stripes, ladder, PLAN, generator=generator, cascade=True)
    assert [r.adversary for r in evaluation_rows(quick, model="m", seeds=[0])] == [None, "worst of all"]


def test_radius_curve_falls_and_starts_clean(stripes: nn.Module, ladder: Data, generator: torch.Generator) -> None:
    curve = radius_curve({"m": stripes}, ladder, PLAN[0], [0, 1, 2, 5], generator=generator)
    line = curve.series[0]
    assert line.x == pytest.approx((0, 0.1, 0.2, 0.5))
    assert line.y == pytest.approx((1.0, 0.8, 0.6, 0.0))
    assert line.low is not None
    assert all(low <= y for low, y in zip(line.low, line.y, strict=True))


def test_query_curve_ends_at_the_attacks_figure(found: Evaluation) -> None:
    line = query_curve({"near": found.outcome("near")}).series[0]
    assert line.y[0] == 1.0
    assert line.y[-1] == pytest.approx(0.8)
    assert list(line.y) == sorted(line.y, reverse=True)
