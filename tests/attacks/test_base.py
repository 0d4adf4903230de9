from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from tests.attacks.models import Counting, Linear, Noisy, points, seeded
from torch import Tensor, nn

from sparring.attacks import PGD, Attack, NonFinite, Oracle, ThreatViolation
from sparring.attacks.base import worth_compacting
from sparring.objectives import margin
from sparring.threats import LInf, Mask, ThreatModel


@dataclass(frozen=True, kw_only=True)
class Leap(Attack):
    """Returns the input moved by `by`, right or wrong."""

    by: float = 0.0

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        return x + self.by


def _case(n: int = 8) -> tuple[Linear, Tensor, Tensor]:
    model, x = Linear(5, 3), points(n, 5)
    return model, x, model(x).argmax(1)


def test_a_point_outside_the_threat_is_a_bug_with_a_name() -> None:
    model, x, y = _case()
    with pytest.raises(ThreatViolation, match=r"Leap left LInf: 8 samples, by up to 0\.1"):
        Leap(by=0.2)(model, (x, y), LInf(0.1), generator=seeded())
    with pytest.raises(ThreatViolation):
        Leap(by=0.2).perturb(model, (x, y), LInf(0.1), generator=seeded())


def test_inputs_outside_the_range_nan_and_unbounded_threats_are_refused() -> None:
    model, x, y = _case()
    with pytest.raises(ValueError, match="range"):
        PGD()(model, (x * 3, y), LInf(0.1, 0, 1), generator=seeded())
    with pytest.raises(ValueError, match="bounds nothing"):
        PGD()(model, (x, y), Mask(torch.ones(5, dtype=torch.bool)), generator=seeded())
    x[3, 2] = torch.nan
    with pytest.raises(NonFinite, match="input: 1 of 8 samples, first at index 3"):
        PGD()(model, (x, y), LInf(0.1), generator=seeded())


def test_a_nan_from_the_model_is_named() -> None:
    _, x, y = _case()
    with pytest.raises(NonFinite, match="model output"):
        PGD()(lambda t: t * torch.nan, (x, y), LInf(0.1), generator=seeded())


def test_samples_lost_already_count_and_are_returned_untouched() -> None:
    model, x, y = _case()
    y = y.clone()
    y[::2] = (y[::2] + 1) % 3
    result = PGD(steps=3)(model, (x, y), LInf(1e-6, 0, 1), generator=seeded())
    assert result.success.tolist() == [True, False] * 4
    assert torch.equal(result.x_adv[::2], x[::2])
    assert result.queries.backward[::2].sum() == 0
    assert (result.queries.backward[1::2] == 3).all()


def test_two_passes_belong_to_the_call_and_one_in_training() -> None:
    model, x, y = _case()
    counted = Counting(model)
    result = PGD(steps=3)(counted, (x, y), LInf(1e-6), generator=seeded())
    assert counted.rows == int(result.queries.forward.sum()) + 2 * len(x)
    counted.rows = 0
    PGD(steps=3, active_set=False).perturb(counted, (x, y), LInf(1e-6), generator=seeded())
    assert counted.rows == 3 * len(x)


def test_perturb_gives_the_points_of_the_call() -> None:
    model, x, y = _case()
    attack = PGD(steps=3, active_set=False)
    result = attack(model, (x, y), LInf(0.1, 0, 1), objective=margin, generator=seeded())
    alone = attack.perturb(model, (x, y), LInf(0.1, 0, 1), objective=margin, generator=seeded())
    assert torch.equal(result.x_adv, alone)


def test_an_empty_batch_passes_through() -> None:
    model, x, y = _case()
    result = PGD()(model, (x[:0], y[:0]), LInf(0.1), generator=seeded())
    assert result.x_adv.shape == (0, 5)
    assert result.success.shape == result.objective.shape == result.queries.forward.shape == (0,)


def test_nothing_of_the_callers_changes_even_with_a_random_model() -> None:
    model, x, y = _case()
    noisy = Noisy(nn.Sequential(nn.BatchNorm1d(5).double(), model), 0.1).train()
    before = {k: v.clone() for k, v in noisy.state_dict().items()}
    kept, state = x.clone(), torch.get_rng_state()
    first = PGD(steps=3)(noisy, (x, y), LInf(0.1), generator=seeded())
    torch.rand(7)
    second = PGD(steps=3)(noisy, (x, y), LInf(0.1), generator=seeded())
    torch.set_rng_state(state)
    assert torch.equal(first.x_adv, second.x_adv)
    assert torch.equal(x, kept)
    assert noisy.training
    assert noisy.inner[0].training
    assert all(torch.equal(v, before[k]) for k, v in noisy.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in noisy.parameters())


def test_compaction_waits_for_one_in_twenty() -> None:
    fallen = torch.zeros(100, dtype=torch.bool)
    assert not worth_compacting(fallen)
    fallen[:4] = True
    assert not worth_compacting(fallen)
    fallen[4] = True
    assert worth_compacting(fallen)
    assert worth_compacting(torch.tensor([False, True]))
