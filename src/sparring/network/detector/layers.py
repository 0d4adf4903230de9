"""The layers of the detector: a stack of classifiers, and an autoencoder of benign traffic.

A layer is a module with `columns`, the input columns it sees, and `forward((n, width)) -> (n,)`, a score that is
higher for attacks. What a layer does not see cannot move its score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from sparring.network.detector.forest import Forest
from sparring.typed import uninitialised


class View(nn.Module):
    """A layer that reads only some columns of the input."""

    columns: Tensor

    def __init__(self, columns: Tensor) -> None:
        super().__init__()
        self.register_buffer("columns", columns.long())

    def seen(self, x: Tensor) -> Tensor:
        """The layer's own columns, float32."""
        return x[:, self.columns].float()


class Perceptron(nn.Module):
    """Affine layers with ReLU between them; one logit `(n,)`."""

    def __init__(self, sizes: Sequence[int], generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.affine = nn.ModuleList(_linear(a, b, generator) for a, b in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.affine[:-1]:
            x = layer(x).relu()
        return self.affine[-1](x).squeeze(1)


class Stack(View):
    """Layer 1: booster, extremely randomised trees and perceptron, weighed by a logistic regression.

    Wolpert, "Stacked generalization", Neural Networks 5(2), 1992: the regression is fitted on scores that the
    members give to rows they were not trained on. The output is the regression's logit, float64. The trees give no
    gradient; the perceptron's passes through.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, columns: Tensor, booster: Forest, trees: Forest, network: Perceptron) -> None:
        super().__init__(columns)
        self.booster, self.trees, self.network = booster, trees, network
        self.register_buffer("weight", torch.full((3,), 1 / 3, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros((), dtype=torch.float64))

    def members(self, x: Tensor) -> Tensor:
        """The three members' logits, `(n, 3)` float64."""
        seen = self.seen(x)
        return torch.stack([self.booster(seen), logit(self.trees(seen)), self.network(seen).double()], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.members(x) @ self.weight + self.bias


class Autoencoder(View):
    """Layer 2: several small autoencoders of benign rows; the score is the mean log of their squared errors.

    The members share nothing but the data: averaging removes most of what the random initial weights decide
    (a single one's recall moves by several points between seeds).
    """

    def __init__(
        self, columns: Tensor, hidden: Sequence[int], members: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(columns)
        self.hidden, self.count = tuple(hidden), members
        sizes = [len(columns), *hidden, *reversed(hidden[:-1]), len(columns)]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for inputs, outputs in pairwise(sizes):
            scale = 1 / math.sqrt(inputs)
            self.weights.append(_uniform((members, inputs, outputs), scale, generator))
            self.biases.append(_uniform((members, 1, outputs), scale, generator))

    def reconstruct(self, seen: Tensor) -> Tensor:
        """Each member's reconstruction of `(n, d)` or of its own `(members, n, d)`: `(members, n, d)`."""
        h = seen.expand(self.count, *seen.shape[-2:])
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(bias, h, weight)
            h = h.relu() if i < len(self.weights) - 1 else h
        return h

    def errors(self, x: Tensor) -> Tensor:
        """Squared error of every seen column, mean over the members, `(n, d)`: where a row is unusual."""
        seen = self.seen(x)
        return (self.reconstruct(seen) - seen).square().mean(0)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.seen(x)
        error = (self.reconstruct(seen) - seen).square().sum(2)
        return (error + 1e-4).log().mean(0).double()


def logit(probability: Tensor) -> Tensor:
    """Log odds, with 0 and 1 pulled in by 10⁻⁴ so that they stay finite and the order is kept."""
    return torch.log(probability + 1e-4) - torch.log1p(1e-4 - probability)


def _uniform(shape: tuple[int, ...], scale: float, generator: torch.Generator | None) -> nn.Parameter:
    value = torch.zeros(shape)
    return nn.Parameter(value if generator is None else value.uniform_(-scale, scale, generator=generator))


def _linear(inputs: int, outputs: int, generator: torch.Generator | None) -> nn.Linear:
    layer = uninitialised(nn.Linear, inputs, outputs)
    with torch.no_grad():
        for p in layer.parameters():
            if generator is None:
                p.zero_()
            else:
                p.uniform_(-1 / math.sqrt(inputs), 1 / math.sqrt(inputs), generator=generator)
    return layer  # type: ignore[return-value]
