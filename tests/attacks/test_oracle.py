from __future__ import annotations

import pytest
import torch
from tests.attacks.models import Linear, points, seeded
from torch import nn

from sparring.attacks.oracle import Ledger, NoGradient, NonFinite, Oracle, check_finite, frozen, own_randomness
from sparring.objectives import cross_entropy, dlr, margin, misclassified


def _oracle(model, n: int, objective=margin) -> Oracle:
    return Oracle.of(model, n, objective, misclassified, torch.device("cpu"))


def test_passes_are_counted_by_row_of_the_whole_batch() -> None:
    model, x = Linear(3, 4), points(5, 3)
    y = torch.zeros(5, dtype=torch.long)
    oracle = _oracle(model, 5)
    oracle.score(x, y, torch.arange(5))
    inner = oracle.view(torch.tensor([4, 1])).view(torch.tensor([1]))
    inner.gradient(x[[1]], y[[1]], torch.tensor([0]))
    inner.score(x[[1, 1]], y[[1, 1]], torch.tensor([0, 0]))
    assert oracle.queries.forward.tolist() == [1, 4, 1, 1, 1]
    assert oracle.queries.backward.tolist() == [0, 1, 0, 0, 0]


def test_gradient_is_that_of_the_input_alone() -> None:
    model, x = Linear(3, 2), points(4, 3)
    y = torch.zeros(4, dtype=torch.long)
    value, fallen, grad = _oracle(model, 4).gradient(x, y, torch.arange(4))
    assert torch.allclose(grad, (model.weight[1] - model.weight[0]).expand(4, -1).detach())
    assert torch.equal(fallen, value > 0)
    assert model.weight.grad is None
    assert not value.requires_grad


def test_jacobian_counts_one_forward_and_a_backward_for_each_value() -> None:
    model, x = Linear(3, 4), points(2, 3)
    oracle = _oracle(model, 2)
    values, _, grads = oracle.jacobian(x, torch.zeros(2), torch.arange(2), lambda out, _: out[:, :3])
    assert values.shape == (2, 3)
    assert torch.allclose(grads[1], model.weight[:3].detach())
    assert oracle.queries.forward.tolist() == [1, 1]
    assert oracle.queries.backward.tolist() == [3, 3]


def test_a_model_without_gradient_is_named() -> None:
    oracle = _oracle(lambda x: torch.zeros(len(x), 3), 2)
    with pytest.raises(NoGradient, match="Square"):
        oracle.gradient(points(2, 3), torch.zeros(2), torch.arange(2))
    assert oracle.queries.forward.tolist() == [1, 1]  # the pass was made
    assert oracle.queries.backward.tolist() == [0, 0]


def test_dlr_under_three_classes_is_noted() -> None:
    oracle = _oracle(Linear(3, 2), 1, dlr)
    oracle.gradient(points(1, 3), torch.zeros(1), torch.arange(1))
    assert "dlr_is_margin" in oracle.trace
    three = _oracle(Linear(3, 3), 1, dlr)
    three.gradient(points(1, 3), torch.zeros(1), torch.arange(1))
    assert "dlr_is_margin" not in three.trace


def test_non_finite_values_are_named_with_their_place() -> None:
    value = torch.ones(4, 2)
    value[2, 1] = torch.nan
    with pytest.raises(NonFinite, match=r"model output: 1 of 4 samples, first at index 2"):
        check_finite(value, "model output")
    with pytest.raises(NonFinite, match="input: 1 of 1"):
        check_finite(torch.tensor(torch.inf), "input")
    check_finite(torch.full((3,), 3e38), "input")  # the sum overflows, the values do not
    check_finite(torch.tensor([1, 2]), "labels")


def test_frozen_restores_modes_and_gradient_flags_after_an_error() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.BatchNorm1d(2)).train()
    model[1].eval()
    model[0].bias.requires_grad_(False)

    def inside() -> None:
        with frozen(model):
            assert not any(m.training for m in model.modules())
            assert not any(p.requires_grad for p in model.parameters())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        inside()
    assert [m.training for m in model] == [True, False, True]
    assert not model[0].bias.requires_grad
    assert model[0].weight.requires_grad


def test_model_randomness_follows_the_generator_and_spares_the_global_state() -> None:
    before = torch.get_rng_state()
    draws = []
    for seed in (3, 3, 4):
        with own_randomness(seeded(seed), torch.device("cpu")):
            draws.append(torch.rand(3))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_verdict_is_outside_the_count() -> None:
    oracle = _oracle(Linear(3, 4), 2, cross_entropy)
    value, fallen = oracle.verdict(points(2, 3), torch.zeros(2, dtype=torch.long))
    assert value.shape == fallen.shape == (2,)
    assert oracle.queries.forward.tolist() == [0, 0]


def test_a_run_of_equal_passes_is_added_up_when_it_is_read() -> None:
    ledger, index, rows = Ledger(4, torch.device("cpu")), torch.tensor([3, 1]), torch.tensor([0, 0, 1])
    for _ in range(5):
        ledger.add(index, rows, forward=1)
    ledger.add(index, rows, backward=2)
    assert ledger.queries().forward.tolist() == [0, 5, 0, 10]
    ledger.add(index, torch.tensor([1]), forward=1)
    ledger.add(torch.arange(4), torch.tensor([0]), backward=1)
    assert ledger.queries().forward.tolist() == [0, 6, 0, 10]
    assert ledger.queries().backward.tolist() == [1, 2, 0, 4]
