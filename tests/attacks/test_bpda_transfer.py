"""Tools against defences that hide their gradient, and points from other models."""

from __future__ import annotations

import pytest
import torch
from tests.attacks.models import Linear, points, seeded
from torch import nn

from sparring.attacks import BPDA, PGD, Bank, Transfer
from sparring.threats import LInf


def quantise(x: torch.Tensor) -> torch.Tensor:
    return (x * 7).round() / 7


def trained() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    x = points(60, 16)
    model = Linear(16, 3)
    return model, x, model(quantise(x)).argmax(1)


def test_the_values_are_exact_and_the_gradient_is_the_substitutes() -> None:
    x = points(5, 4).requires_grad_(True)
    straight = BPDA(quantise)(x)
    assert torch.equal(straight, quantise(x))
    assert torch.equal(torch.autograd.grad(straight.sum(), x)[0], torch.ones_like(x))
    smooth = BPDA(quantise, lambda t: t.square())(x)
    assert torch.equal(smooth, quantise(x))
    torch.testing.assert_close(torch.autograd.grad(smooth.sum(), x)[0], 2 * x)


def test_a_substitute_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"gives \(5, 2\)"):
        BPDA(lambda t: t[:, :2])(points(5, 4))


def test_it_breaks_a_quantised_defence_that_hides_its_gradient() -> None:
    model, x, y = trained()
    attack, threat = PGD(steps=20), LInf(0.2, 0, 1)
    hidden = nn.Sequential(_Module(quantise), model)
    blind = attack(hidden, (x, y), threat, generator=seeded())
    through = nn.Sequential(BPDA(quantise), model)
    found = attack(through, (x, y), threat, generator=seeded())
    wrong = hidden(found.x_adv).argmax(1) != y
    assert torch.equal(wrong, found.success)
    assert int(found.success.sum()) > int(blind.success.sum()) + 10


class _Module(nn.Module):
    def __init__(self, f) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.f(x)


def test_points_transfer_and_the_model_is_only_asked() -> None:
    model, x, y = trained()
    near = Linear(16, 3)
    with torch.no_grad():
        for p in near.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=seeded(), dtype=p.dtype))
    useless = Linear(16, 3)
    with torch.no_grad():
        for p in useless.parameters():
            p.neg_()
    attack, threat = PGD(steps=20), LInf(0.2, 0, 1)
    white = attack(model, (x, y), threat, generator=seeded())
    one = Transfer(sources=(useless,), attack=attack)(model, (x, y), threat, generator=seeded())
    all_ = Transfer(sources=(useless, near), attack=attack)(model, (x, y), threat, generator=seeded())
    assert int(all_.success.sum()) > int(one.success.sum())
    assert int(all_.success.sum()) >= 0.7 * int(white.success.sum())
    standing = ~all_.success
    assert bool((all_.queries.forward[standing] == 3).all())
    assert int(all_.queries.backward.sum()) == 0
    assert all(not p.requires_grad or p.grad is None for p in near.parameters())


def test_a_bank_is_the_mean_of_its_members() -> None:
    a, b, x = Linear(4, 3), Linear(4, 3), points(5, 4)
    expected = (a(x).log_softmax(1) + b(x).log_softmax(1)) / 2
    torch.testing.assert_close(Bank((a, b))(x), expected)
    one = Bank((lambda t: t.sum(1),))(x)
    assert one.shape == (5, 2)
    with pytest.raises(ValueError, match="at least one"):
        Bank(())
