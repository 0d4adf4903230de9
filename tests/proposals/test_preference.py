import math

import pytest
import torch
import torch.nn.functional as F

from sparring.proposals import Preference, gibbs


def rows(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("beta", [0.05, 1.0, 3.0])
@pytest.mark.parametrize("temperature", [0.5, 4.0])
def test_with_soft_labels_the_gibbs_law_is_the_exact_fixed_point_whatever_was_drawn(beta, temperature):
    prior, utility = F.log_softmax(rows(0, 4, 9), 1), 2 * rows(1, 4, 9)
    law = gibbs(prior, utility, temperature).requires_grad_(True)
    moves = torch.randint(9, (4, 6), generator=torch.Generator().manual_seed(2))
    loss = Preference(temperature=temperature, beta=beta)
    for chosen in (moves, torch.arange(9).expand(4, 9)):
        out = loss(law.gather(1, chosen), prior.gather(1, chosen), utility.gather(1, chosen)).sum()
        (grad,) = torch.autograd.grad(out, law)
        assert float(grad.abs().max()) < 1e-12
    off = (law.detach() + 0.1 * rows(3, 4, 9)).requires_grad_(True)
    (grad,) = torch.autograd.grad(loss(off, prior, utility).sum(), off)
    assert float(grad.abs().max()) > 1e-3 * beta**2


def test_hard_labels_are_the_published_dpo_loss():
    log_prob, log_prior = torch.tensor([[0.4, -0.2]]), torch.tensor([[0.1, 0.3]])
    h = 0.5 * ((0.4 - 0.1) - (-0.2 - 0.3))
    loss = Preference(temperature=1.0, beta=0.5, labels="hard")
    for utility, sign in ((torch.tensor([[2.0, 1.0]]), 1), (torch.tensor([[1.0, 2.0]]), -1)):
        assert float(loss(log_prob, log_prior, utility)) == pytest.approx(math.log1p(math.exp(-sign * h)))
    wide = Preference(temperature=1.0, beta=0.5, labels="hard", margin=0.2)
    assert float(wide(log_prob, log_prior, torch.tensor([[2.0, 1.0]]))) == pytest.approx(math.log1p(math.exp(0.2 - h)))


def test_the_loss_is_the_mean_over_a_contexts_pairs_and_close_pairs_are_left_out():
    utility = torch.tensor([[0.0, 0.05, 3.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
    log_prob, log_prior = rows(0, 2, 3), rows(1, 2, 3)
    loss = Preference(temperature=1.0, labels="hard", min_gap=0.1)
    ratio = (log_prob - log_prior)[0]
    pairs = [-F.logsigmoid(ratio[2] - ratio[0]), -F.logsigmoid(ratio[2] - ratio[1])]
    assert loss(log_prob, log_prior, utility).tolist() == pytest.approx([float(sum(pairs)) / 2, 0.0])


def test_infeasible_moves_lose_to_feasible_ones_and_say_nothing_among_themselves():
    law = torch.zeros(1, 3, requires_grad=True)
    utility = torch.tensor([[1.0, -torch.inf, -torch.inf]])
    for labels in ("soft", "hard"):
        loss = Preference(temperature=1.0, labels=labels)(law, torch.zeros(1, 3), utility).sum()
        (grad,) = torch.autograd.grad(loss, law)
        assert float(loss.detach()) == pytest.approx(math.log(2))
        assert grad[0].tolist() == pytest.approx([-0.5, 0.25, 0.25])


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="temperature"):
        Preference(temperature=0.0)
    with pytest.raises(ValueError, match="hard labels"):
        Preference(temperature=1.0, margin=0.2)
    with pytest.raises(ValueError, match="soft"):
        Preference(temperature=1.0, labels="firm")
