import pytest
import torch
import torch.nn.functional as F

from sparring.proposals import PolicyGradient, gibbs, regularised_value


def rows(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


PRIOR, UTILITY = F.log_softmax(rows(0, 1, 5), 1), 2 * rows(1, 1, 5)


def test_at_the_gibbs_law_every_single_sample_gives_zero():
    law = gibbs(PRIOR, UTILITY, 0.8).requires_grad_(True)
    for seed in range(5):
        moves = torch.randint(5, (1, 4), generator=torch.Generator().manual_seed(seed))
        loss = PolicyGradient(temperature=0.8)(law.gather(1, moves), PRIOR.gather(1, moves), UTILITY.gather(1, moves))
        assert float(torch.autograd.grad(loss.sum(), law)[0].abs().max()) < 1e-12


def test_it_estimates_the_gradient_of_the_regularised_value_without_bias():
    free = rows(2, 1, 5).requires_grad_(True)
    law = F.log_softmax(free, 1)
    (exact,) = torch.autograd.grad(regularised_value(law, PRIOR, UTILITY, 0.8).sum(), free, retain_graph=True)
    n = 100_000
    moves = torch.multinomial(
        law.detach().exp().expand(n, 5), 3, replacement=True, generator=torch.Generator().manual_seed(0)
    )
    loss = PolicyGradient(temperature=0.8)(
        law.expand(n, 5).gather(1, moves), PRIOR.expand(n, 5).gather(1, moves), UTILITY.expand(n, 5).gather(1, moves)
    )
    (estimate,) = torch.autograd.grad(-loss.mean(), free)
    assert torch.allclose(estimate, exact, atol=0.02)
    assert float(exact.abs().max()) > 0.1


def test_the_baseline_is_the_mean_of_the_others():
    log_prob = torch.zeros(1, 3, requires_grad=True)
    loss = PolicyGradient(temperature=0.0)(log_prob, torch.zeros(1, 3), torch.tensor([[3.0, 0.0, 1.0]]))
    (grad,) = torch.autograd.grad(loss.sum(), log_prob)
    assert (-3 * grad[0]).tolist() == pytest.approx([3 - 0.5, 0 - 2.0, 1 - 1.5])


def test_wrong_use_is_named():
    with pytest.raises(ValueError, match="at least 2 candidates"):
        PolicyGradient(temperature=1.0)(torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 1))
    with pytest.raises(ValueError, match="finite price"):
        PolicyGradient(temperature=1.0)(torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([[0.0, -torch.inf]]))
    with pytest.raises(ValueError, match="temperature"):
        PolicyGradient(temperature=-1.0)
