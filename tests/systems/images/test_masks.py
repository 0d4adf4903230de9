import math

import pytest
import torch
from tests.systems.images.toys import SHAPE, net

from sparring.systems.images.masks import drawn, initial, masked, ratio_at, some


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_arccos_schedule_falls_from_one_to_zero():
    r = ratio_at(torch.linspace(0, 1, 11))
    assert float(r[0]) == 1
    assert float(r[-1]) == 0
    assert bool((r.diff() < 0).all())
    assert float(r[5]) == pytest.approx(math.acos(0.5) / (math.pi / 2))


def test_some_hits_exact_counts():
    counts = torch.tensor([0, 1, 5, 9])
    assert torch.equal(some(counts, 9, draws()).sum(1), counts)


def test_masked_hides_at_least_one_and_nothing_else_changes():
    tokens = torch.randint(4, (200, 4), generator=draws())
    shown, hidden = masked(tokens, 4, draws())
    assert int(hidden.sum(1).min()) == 1
    assert bool((shown[hidden] == 4).all())
    assert torch.equal(shown[~hidden], tokens[~hidden])
    assert float(hidden.float().mean()) == pytest.approx(2 / math.pi, abs=0.06)


def test_draws_follow_the_law():
    p = torch.tensor([0.5, 0.3, 0.2, 0.0])
    tokens = drawn((p + 1e-12).log().expand(20000, 4), draws())
    assert torch.allclose(torch.bincount(tokens, minlength=4) / 20000, p, atol=0.02)
    assert drawn(p, draws(), 0) == 0


def test_the_initial_state_is_mixed_and_keeps_its_variance():
    model = net()
    plain = initial(model, 500, draws(), share=0.5, sigma=0.0)
    is_mask = (plain == model.codes.weight[SHAPE.codes]).all(2)
    assert bool((is_mask.sum(1) == 2).all())
    noisy = initial(model, 500, draws(), share=1.0, sigma=0.6)
    rest = (noisy - 0.8 * model.codes.weight[SHAPE.codes]).detach()
    assert float(rest.std()) == pytest.approx(0.6, rel=0.05)
