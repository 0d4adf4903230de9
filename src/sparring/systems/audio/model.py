"""The defender: encoder and quality head, as one or several members that are trained side by side.

A member is an ordinary module. `Members` runs S of them as one batched computation, so that an ensemble, or ten seeds
of an experiment, costs little more than one of them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from sparring.opponents.networks import linear, perceptron
from sparring.typed import solve_triangular, split

_SMALLEST = 0.05
"""Least standard deviation that the Gaussian head may claim, in standardised scores."""


class Members(nn.Module):
    """S modules of the same shape: `(n, S, *inputs)` to `(n, S, *outputs)`, each member with weights of its own."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        stacked, buffers = stack_module_state(list(modules))
        self.count = len(modules)
        self.values = nn.ParameterDict({_key(k): nn.Parameter(v.detach().clone()) for k, v in stacked.items()})
        for name, value in buffers.items():
            self.register_buffer(_key(name), value.clone())
        self._buffers_of = tuple(buffers)
        self._shape = [copy.deepcopy(modules[0]).to("meta")]  # in a list: its weights are no part of this module

    def forward(self, *inputs: Tensor) -> Tensor:
        shape = self._shape[0].train(self.training)
        values = {name.replace("/", "."): value for name, value in self.values.items()}
        values |= {name: getattr(self, _key(name)) for name in self._buffers_of}

        def one(own: dict[str, Tensor], *parts: Tensor) -> Any:
            return functional_call(shape, own, parts)

        return vmap(one, in_dims=(0, *(1 for _ in inputs)), out_dims=1, randomness="different")(values, *inputs)


class Standardise(nn.Module):
    """Features to mean 0 and deviation 1 by the members' own training data, limited to ± 5."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) / self.deviation).clamp(-5, 5)


class Pooled(nn.Module):
    """Encoder of clip statistics `(n, features)` to `(n, width)`: a perceptron with one hidden layer."""

    def __init__(self, features: int, hidden: int, width: int, dropout: float, *, generator: torch.Generator) -> None:
        super().__init__()
        self.first = linear(features, hidden, generator=generator)
        self.second = linear(hidden, width, generator=generator)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        h = F.dropout(F.relu(self.first(x)), self.dropout, self.training)
        return F.relu(self.second(h))


class Convolutional(nn.Module):
    """Encoder of frames `(n, channels + 1, time)` to `(n, width)`, for clips of any length.

    Two convolutions (kernel 5, stride 2) with normalisation over the channels of each frame alone, then the mean over
    time. The last input channel is 1 on frames and 0 on padding, which is kept out of every sum: neither the length of
    a clip nor its neighbours in a batch change what comes out. (The released code normalises over time and channels
    together, which ties the network to clips of 10 s.)
    """

    def __init__(self, channels: int, hidden: int, width: int, dropout: float, *, generator: torch.Generator) -> None:
        super().__init__()
        self.first = _convolution(channels, hidden, generator)
        self.second = _convolution(hidden, width, generator)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        h, mask = x[:, :-1], x[:, -1:]
        for layer in (self.first, self.second):
            h = layer(h * mask)
            mask = mask[:, :, ::2]
            h = F.relu(F.layer_norm(h.transpose(1, 2), h.shape[1:2]).transpose(1, 2))
            h = F.dropout(h, self.dropout, self.training)
        return (h * mask).sum(2) / mask.sum(2).clamp_min(1)


class QualityModel(nn.Module):
    """Standardise, encode, judge: `(n, *features)` or `(n, S, *features)` to `(n, S, outputs)`.

    Inputs without the member axis are shown to every member. The representation that an adversary reads is the output
    of `encoder`, `(n, S, width)`.
    """

    def __init__(self, standard: Members, encoder: Members, head: Members, *, frames: bool = False) -> None:
        super().__init__()
        self.standard, self.encoder, self.head = standard, encoder, head
        self._dimensions = 4 if frames else 3

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < self._dimensions:
            x = x.unsqueeze(1).expand(-1, self.encoder.count, *x.shape[1:])
        return self.head(self.encoder(self.standard(x)))

    def represent(self, x: Tensor) -> Tensor:
        """The representation `(n, S, width)`."""
        if x.ndim < self._dimensions:
            x = x.unsqueeze(1).expand(-1, self.encoder.count, *x.shape[1:])
        return self.encoder(self.standard(x))


def head(width: int, outputs: int, *, generator: torch.Generator) -> nn.Module:
    """The quality head: a small perceptron on the representation."""
    return perceptron([width, 32, outputs], generator=generator)


def outputs_of(axes: int, gaussian: bool) -> int:
    """How many numbers a head gives for `axes` quality axes: means, and a triangular factor where it is Gaussian."""
    return axes + axes * (axes + 1) // 2 if gaussian else axes


def gaussian_parts(outputs: Tensor, axes: int) -> tuple[Tensor, Tensor]:
    """Mean `(n, axes)` and lower triangular L `(n, axes, axes)` of the Gaussian with covariance L L^T.

    The diagonal goes through a softplus, as in the multivariate head of MultiGauss.
    """
    mean, diagonal, below = split(outputs, [axes, axes, axes * (axes - 1) // 2], dim=1)
    factor = torch.diag_embed(F.softplus(diagonal) + _SMALLEST)
    row, column = torch.tril_indices(axes, axes, -1, device=outputs.device)
    factor = factor.index_put((torch.arange(len(outputs), device=outputs.device)[:, None], row, column), below)
    return mean, factor


def gaussian_loss(outputs: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood `(n,)` of the target `(n, axes)`, without its constant.

    Unlike the released code, the log-determinant is not clamped: a small variance keeps its gradient, and cannot
    collapse, since the factor's diagonal has a floor.
    """
    mean, factor = gaussian_parts(outputs, target.shape[1])
    white = solve_triangular(factor, (target - mean).unsqueeze(2)).squeeze(2)
    return 0.5 * white.square().sum(1) + factor.diagonal(dim1=1, dim2=2).log().sum(1)


def _convolution(inputs: int, outputs: int, generator: torch.Generator) -> nn.Conv1d:
    layer = nn.Conv1d(inputs, outputs, 5, stride=2, padding=2)
    bound = 1 / math.sqrt(inputs * 5)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        assert layer.bias is not None
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def _key(name: str) -> str:
    return name.replace(".", "/")
