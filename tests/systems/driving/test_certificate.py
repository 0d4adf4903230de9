# pyright: basic
import math

import pytest
import torch

from sparring.proposals import gibbs
from sparring.systems.driving.certificate import TEMPERATURES, bound, crash_bound, violations, worst_law


def tables(n=200, k=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    prior = torch.randn(n, k, generator=generator).log_softmax(1)
    return prior, 20 - 15 * torch.rand(n, k, generator=generator)


def test_at_no_radius_it_is_the_mean_under_the_prior_almost():
    prior, ret = tables()
    mean = float((prior.exp() * ret).sum(1).mean())
    found = bound(prior, ret, 0.0)
    assert found.value <= mean
    assert found.value == pytest.approx(mean, abs=0.3)
    assert found.temperature == max(TEMPERATURES)


def test_it_falls_with_the_radius_and_never_below_the_worst():
    prior, ret = tables()
    values = [bound(prior, ret, r).value for r in (0.0, 0.1, 0.5, 1.0, 2.0)]
    assert values == sorted(values, reverse=True)
    assert values[-1] >= float(ret.amin(1).mean()) - 0.5 * 2.0


def test_the_worst_law_of_the_ball_touches_the_bound():
    prior, ret = tables()
    law = worst_law(prior, ret, 0.5)
    divergence = float((law.exp() * (law - prior)).sum(1).mean())
    assert divergence == pytest.approx(0.5, abs=1e-3)
    got = float((law.exp() * ret).sum(1).mean())
    assert bound(prior, ret, 0.5).value - 1e-3 <= got <= bound(prior, ret, 0.5).value + 0.5


@pytest.mark.parametrize("seed", range(5))
def test_no_law_inside_the_ball_breaks_it(seed):
    prior, ret = tables(seed=seed)
    generator = torch.Generator().manual_seed(seed)
    laws = {str(i): (prior + 0.3 * i * torch.randn(prior.shape, generator=generator)).log_softmax(1) for i in range(6)}
    laws |= {f"gibbs {t}": gibbs(prior, -ret, t) for t in (1.0, 4.0, 16.0)}
    found = violations(prior, ret, laws, (0.1, 0.5, 1.0, 2.0))
    assert found["tried"] >= 10
    assert found["broken"] == 0


def test_confidence_costs_what_hoeffding_says():
    prior, ret = tables(n=400)
    found = bound(prior, ret, 0.5)
    assert found.value - found.certified == pytest.approx(36 * math.sqrt(math.log(8 / 0.05) / 800), abs=1e-6)


def test_the_crash_bound_inverts_the_binary_divergence():
    p, q = crash_bound(10, 400, 0.0), crash_bound(10, 400, 0.1)
    assert 0.025 < p < 0.06
    assert q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p)) == pytest.approx(0.1, abs=1e-6)
    assert crash_bound(400, 400, 0.1) == 1.0
