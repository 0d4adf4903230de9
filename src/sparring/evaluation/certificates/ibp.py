"""Interval bound propagation: what every output can be when every input entry lies in an interval.

Gowal et al., "On the Effectiveness of Interval Bound Propagation for Training Verifiably Robust Models", 2018:
an affine layer maps centre and half width by W and |W|, a monotone activation maps both ends, and the last affine
layer is merged with the difference of two logits ("elision of the last layer", section 3).

Arithmetic is in float64 and every layer's interval is widened by the standard bound on the rounding errors of the
model's own floating point (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1), so the
bounds hold for the model as it computes and not only for its real-number ideal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import singledispatch
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.attacks.base import frozen
from sparring.evaluation.protocol import Proof
from sparring.threats.base import ThreatModel
from sparring.threats.lp import L1, L2, LInf

Bounds = tuple[Tensor, Tensor]


@runtime_checkable
class Bounded(Protocol):
    """A module that bounds its own outputs: how residual blocks and the user's own layers take part."""

    def interval(self, low: Tensor, high: Tensor) -> Bounds:
        """Bounds of the outputs for inputs between `low` and `high`; `bounds` serves the parts inside."""
        ...


class Residual(nn.Module):
    """`body(x) + shortcut(x)`, with bounds."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)

    def interval(self, low: Tensor, high: Tensor) -> Bounds:
        (l1, h1), (l2, h2) = bounds(self.body, low, high), bounds(self.shortcut, low, high)
        return _widened(l1 + l2, h1 + h2, torch.maximum((l1 + l2).abs(), (h1 + h2).abs()), 1)


def bounds(module: nn.Module, low: Tensor, high: Tensor) -> Bounds:
    """Bounds `(n, *out)`, float64, of the module's outputs for inputs between `low` and `high` `(n, *sample)`.

    The module is read in evaluation mode. Raises TypeError that names a layer for which no rule is known; give it
    an `interval` method, or register a rule on `propagate`.
    """
    with torch.no_grad(), frozen(module):
        if isinstance(module, Bounded):
            return module.interval(low.double(), high.double())
        return propagate(module, low.double(), high.double())


@singledispatch
def propagate(module: nn.Module, low: Tensor, high: Tensor) -> Bounds:
    """The rule of one layer; `propagate.register(Layer)` adds one."""
    raise TypeError(f"no interval rule for {type(module).__name__}: give it an `interval(low, high)` method")


@propagate.register
def _(module: nn.Sequential, low: Tensor, high: Tensor) -> Bounds:
    for part in module:
        low, high = bounds(part, low, high)
    return low, high


@propagate.register
def _(module: nn.Linear, low: Tensor, high: Tensor) -> Bounds:
    return _linear(module.weight.double(), _bias(module), low, high)


@propagate.register
def _(module: nn.Conv2d, low: Tensor, high: Tensor) -> Bounds:
    if module.padding_mode != "zeros":
        raise TypeError(f"no interval rule for Conv2d with padding_mode={module.padding_mode!r}")
    given: tuple[Any, ...] = (module.stride, module.padding, module.dilation, module.groups)

    def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(x, weight, bias, *given)

    return _affine(affine, module.weight.double(), _bias(module), low, high, terms=module.weight[0].numel())


@propagate.register
def _(module: nn.BatchNorm1d, low: Tensor, high: Tensor) -> Bounds:
    return _normalised(module, low, high)


@propagate.register
def _(module: nn.BatchNorm2d, low: Tensor, high: Tensor) -> Bounds:
    return _normalised(module, low, high)


@propagate.register
def _(module: nn.AvgPool2d, low: Tensor, high: Tensor) -> Bounds:
    size = module.kernel_size
    terms = size * size if isinstance(size, int) else size[0] * size[1]
    low, high = module(low), module(high)
    return _widened(low, high, torch.maximum(low.abs(), high.abs()), terms)


@propagate.register(nn.ReLU)
@propagate.register(nn.MaxPool2d)
@propagate.register(nn.Flatten)
@propagate.register(nn.Identity)
@propagate.register(nn.Dropout)
@propagate.register(nn.Dropout2d)
def _(module: nn.Module, low: Tensor, high: Tensor) -> Bounds:
    # Exact in floating point and monotone: dropout is the identity in evaluation mode.
    return module(low), module(high)


@propagate.register(nn.Tanh)
@propagate.register(nn.Sigmoid)
def _(module: nn.Module, low: Tensor, high: Tensor) -> Bounds:
    low, high = module(low), module(high)
    return _widened(low, high, torch.ones_like(low), 4)


@propagate.register
def _(module: nn.LeakyReLU, low: Tensor, high: Tensor) -> Bounds:
    if module.negative_slope < 0:
        raise TypeError("no interval rule for LeakyReLU with a negative slope below zero: it is not monotone")
    low, high = module(low), module(high)
    return _widened(low, high, torch.maximum(low.abs(), high.abs()), 1)


def enclosing_box(threat: ThreatModel, x: Tensor) -> Bounds:
    """The smallest box `(low, high)` known to hold the threat around each sample.

    Lp balls lie in the L∞ ball of the same radius. Any other threat may offer `box(x) -> (low, high)`.
    """
    if isinstance(threat, (LInf, L2, L1)):
        eps = threat.eps
        # Widened by what the threat forgives, so that a member by its own measure lies inside.
        slack = 8 * torch.finfo(x.dtype).eps * x.abs().double().clamp_min(1.0)
        low, high = x.double() - eps - slack, x.double() + eps + slack
        return low.clamp_min(threat.low), high.clamp_max(threat.high)
    own: Callable[[Tensor], Bounds] | None = getattr(threat, "box", None)
    if own is None:
        raise TypeError(f"{type(threat).__name__} has no box(x): interval bounds need one that encloses it")
    return own(x)


def margin_bounds(model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel) -> Tensor:
    """The least that the target's logit can lead each other class by, `(n, k)` float64, +inf at the target itself.

    Positive in every column: no member of the threat is decided wrongly. One-logit models give `(n, 1)`. The last
    layer is merged with the difference where it is an `nn.Linear` of an `nn.Sequential`.
    """
    low, high = enclosing_box(threat, x)
    layers = list(model) if isinstance(model, nn.Sequential) else [model]
    last = layers[-1]
    y = y.reshape(-1).long()
    if isinstance(last, nn.Linear) and last.out_features > 1:
        low, high = _through(layers[:-1], low, high)
        weight, bias = last.weight.detach().double(), _bias(last)
        lead = weight[y].unsqueeze(1) - weight
        offset = torch.zeros(len(y), len(weight), dtype=torch.float64, device=x.device)
        if bias is not None:
            offset = bias[y].unsqueeze(1) - bias
        centre, half = (low + high) / 2, (high - low) / 2
        found = torch.einsum("nkd,nd->nk", lead, centre) + offset - torch.einsum("nkd,nd->nk", lead.abs(), half)
        # Two logits are rounded apart before they are compared.
        size = torch.maximum(low.abs(), high.abs()) @ weight.abs().T + (0 if bias is None else bias.abs())
        found = found - _gamma(last.in_features + 1) * (size + size.gather(1, y[:, None]))
    else:
        low, high = _through(layers, low, high)
        if low.ndim == 1 or low.shape[1] == 1:
            low, high = low.reshape(-1), high.reshape(-1)
            return torch.where(y == 1, low, -high).unsqueeze(1)
        found = low.gather(1, y[:, None]) - high
    return found.scatter(1, y[:, None], torch.inf)


def certify(model: nn.Module, x: Tensor, y: Tensor, threat: ThreatModel, *, batch_size: int = 256) -> Proof:
    """Which samples `(n,)` are proved to be decided rightly for every member of the threat.

    Raises TypeError for a layer without a rule, and for a model in half precision, whose rounding is not covered.
    """
    if any(p.dtype in (torch.float16, torch.bfloat16) for p in model.parameters()):
        raise TypeError("interval bounds cover the rounding of float32 and float64 models; convert the model first")
    found = [torch.zeros(0, dtype=torch.bool, device=x.device)]
    with torch.no_grad(), frozen(model):
        for start in range(0, len(x), batch_size):
            part = slice(start, start + batch_size)
            found.append((margin_bounds(model, x[part], y[part], threat) > 0).all(1))
    return Proof("interval bounds", threat, torch.cat(found))


def _through(layers: Sequence[nn.Module], low: Tensor, high: Tensor) -> Bounds:
    for layer in layers:
        low, high = bounds(layer, low, high)
    return low, high


def _linear(weight: Tensor, bias: Tensor | None, low: Tensor, high: Tensor) -> Bounds:
    return _affine(F.linear, weight, bias, low, high, terms=weight.shape[1])


def _affine(
    affine: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    weight: Tensor,
    bias: Tensor | None,
    low: Tensor,
    high: Tensor,
    *,
    terms: int,
) -> Bounds:
    centre, half = (low + high) / 2, (high - low) / 2
    middle, spread = affine(centre, weight, bias), affine(half, weight.abs(), None)
    size = affine(torch.maximum(low.abs(), high.abs()), weight.abs(), None if bias is None else bias.abs())
    return _widened(middle - spread, middle + spread, size, terms + 1)


def _normalised(module: nn.BatchNorm1d | nn.BatchNorm2d, low: Tensor, high: Tensor) -> Bounds:
    if module.running_mean is None or module.running_var is None:
        raise TypeError("no interval rule for batch norm without running statistics: its outputs depend on the batch")
    shape = (1, -1, *[1] * (low.ndim - 2))
    factor = (module.running_var.double() + module.eps).rsqrt()
    if module.affine:
        factor = factor * module.weight.double()
    offset = -module.running_mean.double() * factor
    size = torch.maximum(low.abs(), high.abs()) * factor.abs().reshape(shape) + offset.abs().reshape(shape)
    if module.affine:
        offset = offset + module.bias.double()
        size = size + module.bias.double().abs().reshape(shape)
    one, other = low * factor.reshape(shape), high * factor.reshape(shape)
    offset = offset.reshape(shape)
    return _widened(torch.minimum(one, other) + offset, torch.maximum(one, other) + offset, size, 6)


def _bias(module: nn.Linear | nn.Conv2d) -> Tensor | None:
    return None if module.bias is None else module.bias.detach().double()


def _widened(low: Tensor, high: Tensor, size: Tensor, terms: int) -> Bounds:
    """Outwards by the rounding error of a sum of `terms` products whose absolute values sum to `size`."""
    allowance = _gamma(terms) * size
    return low - allowance, high + allowance


def _gamma(terms: int) -> float:
    # Twice the bound of plain summation in single precision, which covers the other orders of convolution routines.
    unit = torch.finfo(torch.float32).eps / 2
    return 2 * (terms + 2) * unit / (1 - (terms + 2) * unit)
