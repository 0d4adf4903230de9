"""The typed faces of PyTorch's functions give what the functions give."""

from __future__ import annotations

import torch
from torch import nn

from sparring import typed

X = torch.tensor([[3.0, 1.0], [1.0, 0.0]])


def test_norms_are_the_tensor_s_own() -> None:
    assert torch.equal(typed.norm(X, dim=1, keepdim=True), X.norm(dim=1, keepdim=True))
    assert float(typed.norm(X, 1)) == 5.0


def test_distinct_values_counts_and_places() -> None:
    assert typed.numbers(typed.unique(X)) == [0.0, 1.0, 3.0]
    values, counts = typed.unique_counts(X)
    assert typed.integers(counts) == [1, 2, 1]
    values, place = typed.unique_inverse(X)
    assert torch.equal(values[place], X)


def test_a_linear_system_is_solved() -> None:
    a = torch.tensor([[2.0, 0.0], [0.0, 4.0]])
    assert torch.equal(typed.solve(a, torch.ones(2, 1)), torch.tensor([[0.5], [0.25]]))


def test_modules_are_named_and_an_optimiser_steps() -> None:
    model = nn.Sequential(typed.uninitialised(nn.Linear, 2, 1))
    assert [name for name, _ in typed.modules(model)] == ["", "0"]
    nn.init.ones_(model[0].weight)
    model[0].weight.grad = torch.ones(1, 2)
    typed.step(torch.optim.SGD(model.parameters(), lr=0.5))
    assert typed.numbers(model[0].weight[0]) == [0.5, 0.5]


def test_the_global_random_state_comes_back() -> None:
    before = torch.get_rng_state()
    with typed.forked_rng([]):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
