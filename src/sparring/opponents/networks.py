"""Small networks for opponents, initialised from an explicit random generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import nn

from sparring.typed import uninitialised


def linear(inputs: int, outputs: int, *, generator: torch.Generator) -> nn.Linear:
    """An affine layer with PyTorch's default law, uniform within ± 1/√inputs, drawn from `generator`."""
    layer = uninitialised(nn.Linear, inputs, outputs)
    bound = 1.0 / math.sqrt(inputs)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def perceptron(
    sizes: Sequence[int], *, generator: torch.Generator, activation: Callable[[], nn.Module] = nn.ReLU
) -> nn.Sequential:
    """Affine layers of these sizes (inputs first, outputs last) with `activation` between them."""
    if len(sizes) < 2:
        raise ValueError(f"a perceptron needs at least inputs and outputs, got sizes {list(sizes)}")
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [linear(inputs, outputs, generator=generator), activation()]
    return nn.Sequential(*layers[:-1])
