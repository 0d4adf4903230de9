import pytest
import torch
import torch.nn.functional as F

from sparring.proposals import gibbs, kl, regularised_value, soft_value


def rows(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


PRIOR, UTILITY = F.log_softmax(rows(0, 5, 7), 1), 3 * rows(1, 5, 7)


def test_by_hand():
    prior, utility = torch.tensor([0.5, 0.25, 0.25]).log(), torch.tensor([0.0, 2.0, 0.0])
    weight = torch.tensor([0.5, 0.25 * torch.e, 0.25])
    assert torch.allclose(gibbs(prior, utility, 2.0).exp(), weight / weight.sum())
    assert float(soft_value(prior, utility, 2.0)) == pytest.approx(2 * float(weight.sum().log()))


def test_the_gibbs_law_is_the_best_law_and_its_value_the_soft_value():
    best = gibbs(PRIOR, UTILITY, 0.7)
    value = soft_value(PRIOR, UTILITY, 0.7)
    assert torch.allclose(regularised_value(best, PRIOR, UTILITY, 0.7), value)
    for seed in range(20):
        other = F.log_softmax(best + 0.3 * rows(seed, 5, 7), 1)
        # What another law loses is exactly its divergence from the best one, at the price τ.
        lost = value - regularised_value(other, PRIOR, UTILITY, 0.7)
        assert torch.allclose(lost, 0.7 * kl(other, best))
        assert bool((lost > 0).all())


def test_limits_of_the_temperature():
    assert torch.allclose(soft_value(PRIOR, UTILITY, 1e-4), UTILITY.amax(1), atol=1e-2)
    assert torch.allclose(gibbs(PRIOR, UTILITY, 1e9), PRIOR, atol=1e-6)
    assert torch.allclose(soft_value(PRIOR, UTILITY, 1e6), (PRIOR.exp() * UTILITY).sum(1), atol=1e-3)


def test_infeasible_and_unlikely_moves():
    utility = torch.tensor([0.0, -torch.inf])
    prior = torch.tensor([0.5, 0.5]).log()
    assert gibbs(prior, utility, 1.0).exp().tolist() == [1.0, 0.0]
    assert float(soft_value(prior, utility, 1.0)) == pytest.approx(float(torch.tensor(0.5).log()))
    sure = torch.tensor([0.0, -torch.inf])
    assert float(kl(sure, prior)) == pytest.approx(float(torch.tensor(2.0).log()))
    assert float(kl(prior, sure)) == torch.inf
    assert float(kl(sure, sure)) == 0.0


def test_the_temperature_is_positive():
    with pytest.raises(ValueError, match="temperature"):
        gibbs(PRIOR, UTILITY, 0.0)
