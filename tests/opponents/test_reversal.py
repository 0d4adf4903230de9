import pytest
import torch
from torch import nn

from sparring.opponents import Reversal, reverse
from sparring.schedules import Linear


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, 7.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_forward_is_the_identity_and_the_gradient_is_minus_strength_times_the_plain_one(strength, dtype):
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_(True)
    assert torch.equal(reverse(x, strength), x)
    (plain,) = torch.autograd.grad((x.sin() * x).sum(), x)
    y = reverse(x, strength)
    (turned,) = torch.autograd.grad((y.sin() * y).sum(), x)
    assert torch.equal(turned, -strength * plain)


def test_works_without_gradient_and_on_empty_input():
    x = torch.zeros(0, 4)
    assert reverse(x, 1.0).shape == (0, 4)
    with torch.no_grad():
        assert torch.equal(reverse(torch.ones(2), 1.0), torch.ones(2))


def test_one_backward_pass_plays_both_sides():
    encoder, head = nn.Linear(3, 2), nn.Linear(2, 1)
    x = torch.ones(4, 3)
    head(encoder(x)).sum().backward()
    plain_encoder, plain_head = encoder.weight.grad.clone(), head.weight.grad.clone()
    encoder.zero_grad()
    head.zero_grad()
    head(reverse(encoder(x), 0.25)).sum().backward()
    assert torch.equal(encoder.weight.grad, -0.25 * plain_encoder)
    assert torch.equal(head.weight.grad, plain_head)


def test_the_module_follows_its_schedule_and_keeps_its_progress():
    layer = Reversal(Linear(final=2.0, until=1.0))
    layer.progress = 0.25
    x = torch.ones(3, requires_grad=True)
    layer(x).sum().backward()
    assert torch.equal(x.grad, torch.full((3,), -0.5))
    other = Reversal(Linear(final=2.0, until=1.0))
    other.load_state_dict(layer.state_dict())
    assert other.progress == 0.25
    assert Reversal().schedule(0.0) == 1.0
