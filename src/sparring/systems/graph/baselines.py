"""The models beside ours: a graph-blind perceptron, GCN, GAT, and RUNG, each written on the same sparse operators.

All take weighted undirected edges and are differentiable in the weights, so that every attack is adaptive through the
whole model.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.systems.graph.inputs import Inputs
from sparring.systems.graph.sparse import Features, degrees, neighbours


class Perceptron(nn.Module):
    """Layers of `sizes` (features, hidden ..., outputs) with ReLU; dropout on the sparse input and on hidden layers."""

    def __init__(self, sizes: tuple[int, ...], *, input_drop: float = 0.5, drop: float = 0.5) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise ValueError(f"a perceptron needs an input and an output size, got {sizes}")
        layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.layers = nn.ModuleList(layers)
        self.input_drop, self.drop = input_drop, drop

    def forward(self, features: Features) -> Tensor:
        first, *rest = cast(list[nn.Linear], list(self.layers))
        h = features.times(first.weight.T, drop=self.input_drop if self.training else 0.0) + first.bias
        for layer in rest:
            h = layer(F.dropout(F.relu(h), self.drop, self.training))
        return h


class MLP(nn.Module):
    """Features alone: no change of edges can move it. The floor beside every figure."""

    def __init__(self, width: int, hidden: int, classes: int, drop: float = 0.5) -> None:
        super().__init__()
        self.tower = Perceptron((width, hidden, classes), input_drop=drop, drop=drop)

    def forward(self, inputs: Inputs) -> Tensor:
        return self.tower(inputs.features)


def symmetric(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Kipf & Welling's normalisation: `w_ij / sqrt(d_i d_j)` per edge `(m,)` and `1 / d_i` for the own loop `(n,)`."""
    d = degrees(inputs.edges, inputs.weight, inputs.n) + 1
    root = d.rsqrt()
    return inputs.weight * root[inputs.edges[0]] * root[inputs.edges[1]], 1 / d


class GCN(nn.Module):
    """Two convolutions (Kipf & Welling, ICLR 2017, eq. 9)."""

    def __init__(self, width: int, hidden: int, classes: int, drop: float = 0.5) -> None:
        super().__init__()
        self.tower = Perceptron((width, hidden, classes), input_drop=drop, drop=drop)

    def forward(self, inputs: Inputs) -> Tensor:
        value, own = symmetric(inputs)
        first, second = cast(list[nn.Linear], list(self.tower.layers))
        rate = self.tower.input_drop if self.training else 0.0
        h = inputs.features.times(first.weight.T, drop=rate)
        h = neighbours(inputs.edges, value, h) + own[:, None] * h + first.bias
        h = F.dropout(F.relu(h), self.tower.drop, self.training) @ second.weight.T
        return neighbours(inputs.edges, value, h) + own[:, None] * h + second.bias


def attention(inputs: Inputs, into: Tensor, out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Softmax over each node's neighbours and itself, edges counted by weight.

    `into` `(2, m)` are the scores of what flows into `edges[0]` and into `edges[1]`, `out` `(n,)` those of the nodes'
    own loops. Returns the shares into the first ends `(m,)`, into the second ends `(m,)` and the own ones `(n,)`.
    """
    i, j = inputs.edges
    top = out.detach().clone()
    top = top.scatter_reduce(0, i, into[0].detach(), "amax").scatter_reduce(0, j, into[1].detach(), "amax")
    first = inputs.weight * torch.exp(into[0] - top[i])
    second = inputs.weight * torch.exp(into[1] - top[j])
    own = torch.exp(out - top)
    total = own.index_add(0, i, first).index_add(0, j, second)
    return first / total[i], second / total[j], own / total


class GAT(nn.Module):
    """Two layers of additive attention (Velickovic et al., ICLR 2018, eq. 3), `heads` of `hidden` channels, then
    one.
    """

    def __init__(self, width: int, hidden: int, classes: int, heads: int = 4, drop: float = 0.5) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, heads * hidden), nn.Linear(heads * hidden, classes)
        self.pairs = nn.ParameterList([_scores(heads, hidden), _scores(1, classes)])
        self.heads, self.drop = heads, drop
        for layer in (self.first, self.second):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, inputs: Inputs) -> Tensor:
        rate = self.drop if self.training else 0.0
        h = inputs.features.times(self.first.weight.T, drop=rate)
        h = F.elu(self._attend(h, self.pairs[0], inputs) + self.first.bias)
        h = F.dropout(h, self.drop, self.training) @ self.second.weight.T
        return self._attend(h, self.pairs[1], inputs) + self.second.bias

    def _attend(self, h: Tensor, pair: Tensor, inputs: Inputs) -> Tensor:
        i, j = inputs.edges
        parts = []
        for piece, (target, source) in zip(h.chunk(len(pair), 1), pair, strict=True):
            a, b = piece @ target, piece @ source
            into = torch.stack([F.leaky_relu(a[i] + b[j], 0.2), F.leaky_relu(a[j] + b[i], 0.2)])
            first, second, own = attention(inputs, into, F.leaky_relu(a + b, 0.2))
            parts.append(neighbours(inputs.edges, first, piece, second) + own[:, None] * piece)
        return torch.cat(parts, 1)


def _scores(heads: int, channels: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(heads, 2, channels) * (2 / channels) ** 0.5 / 2)


class RUNG(nn.Module):
    """A published robust model, written anew: the unbiased (MCP) penalty on edge differences, solved by QN-IRLS.

    Hou, Feng, Derr & Liu, "Robust Graph Neural Networks via Unbiased Aggregation", NeurIPS 2024. With
    `y_ij = |f_i / sqrt(d_i) - f_j / sqrt(d_j)|`, edges are reweighed by `max(0, 1/(2y) - 1/(2 gamma))` (cut off from
    `y = gamma` on), and each step is `f <- (diag(q) + lam)^-1 (W A f + lam f0)`, `q_i = sum_j W_ij a_ij / d_i`.
    """

    def __init__(
        self, width: int, hidden: int, classes: int, gamma: float = 3.0, lam: float = 0.11, steps: int = 10,
        drop: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__()
        self.tower = Perceptron((width, hidden, classes), input_drop=drop, drop=drop)
        self.gamma, self.lam, self.steps = gamma, lam, steps

    def forward(self, inputs: Inputs) -> Tensor:
        f0 = self.tower(inputs.features)
        i, j = inputs.edges
        d = degrees(inputs.edges, inputs.weight, inputs.n) + 1
        root = d.rsqrt()
        norm = inputs.weight * root[i] * root[j]
        f = f0
        for _ in range(self.steps):
            scaled = f * root[:, None]
            y = (scaled[i] - scaled[j]).square().sum(1).clamp_min(1e-6).sqrt()
            pull = (1 / (2 * y) - 1 / (2 * self.gamma)).clamp(min=0.0, max=1e3)
            q = degrees(inputs.edges, pull * inputs.weight, inputs.n) / d
            f = (neighbours(inputs.edges, pull * norm, f) + self.lam * f0) / (q + self.lam)[:, None]
        return f
