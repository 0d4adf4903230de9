# pyright: basic
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from sparring import objectives as ob


def logits(n: int, k: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def targets(n: int, k: int, seed: int = 1) -> torch.Tensor:
    return torch.randint(0, k, (n,), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("k", [2, 3, 4, 1000])
@pytest.mark.parametrize("n", [0, 1, 7])
@pytest.mark.parametrize("objective", [ob.cross_entropy, ob.margin, ob.dlr, ob.scale_free_margin])
def test_one_value_a_sample_for_any_number_of_classes(objective, n, k):
    assert objective(logits(n, k), targets(n, k)).shape == (n,)


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
@pytest.mark.parametrize("objective", [ob.cross_entropy, ob.margin, ob.dlr, ob.scale_free_margin])
def test_one_logit_is_the_pair_of_zero_and_itself(objective, shape):
    z, y = logits(6, 1).reshape(shape), targets(6, 2)
    pair = torch.stack([torch.zeros(6, dtype=z.dtype), z.reshape(-1)], dim=1)
    torch.testing.assert_close(objective(z, y), objective(pair, y))


@given(seed=st.integers(0, 10_000), k=st.integers(2, 6))
def test_margin_and_dlr_are_positive_exactly_where_the_decision_is_wrong(seed, k):
    z, y = logits(9, k, seed), targets(9, k, seed + 1)
    wrong = ob.misclassified(z, y)
    assert torch.equal(ob.margin(z, y) > 0, wrong)
    assert torch.equal(ob.dlr(z, y) > 0, wrong)
    assert torch.equal(ob.scale_free_margin(z, y) > 0, wrong)


def test_dlr_known_value():
    z = torch.tensor([[3.0, 1.0, 0.0, -2.0]])
    # -(3 - 1) / (3 - 0) for the right class, (3 - 1) / (3 - 0) for the runner-up as target
    torch.testing.assert_close(ob.dlr(z, torch.tensor([0])), torch.tensor([-2 / 3]))
    torch.testing.assert_close(ob.dlr(z, torch.tensor([1])), torch.tensor([2 / 3]))


def test_targeted_dlr_known_value():
    z = torch.tensor([[3.0, 1.0, 0.0, -2.0]])
    value = ob.targeted_dlr(z, torch.tensor([0]), torch.tensor([2]))
    torch.testing.assert_close(value, torch.tensor([(0 - 3) / (3 - 0.5 * (0 - 2))]))


@pytest.mark.parametrize("objective", [ob.dlr, ob.scale_free_margin])
def test_ratios_do_not_feel_the_scale_or_shift_of_the_logits(objective):
    z, y = logits(8, 5), targets(8, 5)
    torch.testing.assert_close(objective(z * 1e4 + 3, y), objective(z, y), rtol=1e-6, atol=1e-9)


def test_kl_is_zero_on_itself_and_equals_torch():
    p, q = logits(5, 4), logits(5, 4, seed=3)
    torch.testing.assert_close(ob.kl_divergence(p, p), torch.zeros(5, dtype=p.dtype))
    expected = F.kl_div(F.log_softmax(q, 1), F.log_softmax(p, 1), reduction="none", log_target=True).sum(1)
    torch.testing.assert_close(ob.kl_divergence(q, p), expected)


def test_regression_payoffs():
    out, target = torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    torch.testing.assert_close(ob.squared_error(out, target), torch.tensor([2.5, 0.0]))
    torch.testing.assert_close(ob.absolute_error(out, target), torch.tensor([1.5, 0.0]))


def test_a_logit_of_exactly_zero_is_class_zero():
    assert ob.misclassified(torch.tensor([0.0, 0.0]), torch.tensor([0, 1])).tolist() == [False, True]


def test_cross_entropy_of_even_odds_is_log_k():
    torch.testing.assert_close(ob.cross_entropy(torch.zeros(1, 5), torch.tensor([2])), torch.tensor([math.log(5)]))


def test_the_binary_cross_entropy_keeps_its_gradient_where_the_sigmoid_saturates() -> None:
    z = torch.tensor([-40.0, -3.0, 0.0, 2.0, 40.0], requires_grad=True)
    for y in (torch.zeros(5), torch.ones(5), torch.full((5,), 0.3)):
        value = ob.cross_entropy(z, y)
        torch.testing.assert_close(value, F.binary_cross_entropy_with_logits(z, y, reduction="none"))
        (grad,) = torch.autograd.grad(value.sum(), z)
        torch.testing.assert_close(grad, torch.sigmoid(z.detach()) - y)
        assert bool((grad != 0).all())
