import pytest
import torch
from torch import nn

from sparring.opponents import linear, perceptron


def test_shape_and_activations():
    net = perceptron([4, 8, 8, 2], generator=torch.Generator(), activation=nn.Tanh)
    assert [type(layer) for layer in net] == [nn.Linear, nn.Tanh, nn.Linear, nn.Tanh, nn.Linear]
    assert net(torch.zeros(3, 4)).shape == (3, 2)


def test_only_the_given_generator_is_used():
    before = torch.get_rng_state()
    one = linear(16, 4, generator=torch.Generator().manual_seed(3))
    two = linear(16, 4, generator=torch.Generator().manual_seed(3))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.weight, two.weight)
    assert torch.equal(one.bias, two.bias)
    assert 0.2 < float(one.weight.detach().abs().max()) <= 0.25


def test_needs_two_sizes():
    with pytest.raises(ValueError, match="inputs and outputs"):
        perceptron([3], generator=torch.Generator())
