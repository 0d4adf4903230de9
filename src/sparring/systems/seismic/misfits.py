"""Misfits: `misfit(predicted, observed) -> (n,)` for gathers `(n, receivers, samples)`, to be made small.

Both come divided by one constant per shot, the observed gather's root mean square; nothing is ever divided by the
predicted gather's own size unless the misfit's definition says so (trace-normalised, global correlation). All are
means over receivers, so that surveys of different size compare. Frequency continuation is not in here: it filters
both sides before they come (`inversion.Stage`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.systems.seismic.filters import envelope

Misfit = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class L2:
    """Mean square of the residual."""

    def __call__(self, predicted: Tensor, observed: Tensor) -> Tensor:
        return _mean((predicted - observed).square())


@dataclass(frozen=True)
class L1:
    """Mean absolute residual."""

    def __call__(self, predicted: Tensor, observed: Tensor) -> Tensor:
        return _mean((predicted - observed).abs())


@dataclass(frozen=True)
class Huber:
    """Quadratic up to `knee` (in root mean squares of the gather), linear beyond. Guitton & Symes, Geophysics 2003."""

    knee: float = 0.5

    def __call__(self, predicted: Tensor, observed: Tensor) -> Tensor:
        return _mean(F.huber_loss(predicted, observed, reduction="none", delta=self.knee))


@dataclass(frozen=True)
class StudentT:
    """log(1 + r² / (freedom scale²)): the negative log-likelihood of Student's law. Aravkin et al., ICASSP 2011."""

    freedom: float = 2.0
    scale: float = 0.5

    def __call__(self, predicted: Tensor, observed: Tensor) -> Tensor:
        return _mean(torch.log1p((predicted - observed).square() / (self.freedom * self.scale**2)))


@dataclass(frozen=True)
class TraceNormalised:
    """L2 of traces, each divided by its own norm: blind to amplitude, by definition. Half the square."""

    def __call__(self, predicted: Tensor, observed: Tensor) -> Tensor:
        return (_unit(predicted) - _unit(observed)).square().sum(-1).mean(-1) / 2


@dataclass(frozen=True)
class GlobalCorrelation:
    """1 - the normalised zero-lag correlation of each trace. Choi & Alkhalifah, Geophysical Prospecting 2012."""

    def __call__(self, predicted: Tensor, observed: Tensor) -> Tensor:
        alive = (observed.square().sum(-1) > 0).to(observed.dtype)
        return ((1 - (_unit(predicted) * _unit(observed)).sum(-1)) * alive).mean(-1)


@dataclass(frozen=True)
class Envelope:
    """Mean square difference of the traces' envelopes. Bozdag, Trampert, Tromp, GJI 2011, equation 14."""

    def __call__(self, predicted: Tensor, observed: Tensor) -> Tensor:
        return _mean((envelope(predicted) - envelope(observed)).square())


@dataclass(frozen=True)
class W1:
    """1-D Wasserstein distance of traces made positive by one common shift and of unit sum.

    The shift is `lift` times the most negative sample of both gathers, as FWIGAN's baseline takes it; the distance is
    the mean absolute difference of the cumulative sums, in trace lengths.
    """

    lift: float = 1.1

    def __call__(self, predicted: Tensor, observed: Tensor) -> Tensor:
        low = torch.minimum(predicted.detach().amin((-2, -1)), observed.amin((-2, -1)))
        shift = -self.lift * low.clamp(max=0)[:, None, None] + 1e-12
        ours, theirs = predicted + shift, observed + shift
        ours, theirs = ours / ours.sum(-1, keepdim=True), theirs / theirs.sum(-1, keepdim=True)
        return _mean((ours.cumsum(-1) - theirs.cumsum(-1)).abs())


@dataclass(frozen=True)
class W2:
    """1-D quadratic Wasserstein distance of traces made positive by a softplus of sharpness `beta`.

    Qiu, Ramos-Martinez, Valenciano, Yang, Engquist 2017 (softplus); Yang, Engquist, Sun, Hamfeldt, Geophysics 2018
    (trace-wise W2). Inverse distribution functions by linear interpolation at `levels` masses; in trace lengths².
    """

    beta: float = 1.0
    levels: int = 256

    def __call__(self, predicted: Tensor, observed: Tensor) -> Tensor:
        level = (torch.arange(self.levels, dtype=predicted.dtype) + 0.5) / self.levels
        ours, theirs = self._quantiles(predicted, level), self._quantiles(observed, level)
        return _mean((ours - theirs).square())

    def _quantiles(self, x: Tensor, level: Tensor) -> Tensor:
        mass = F.softplus(self.beta * x) + 1e-6
        cdf = (mass / mass.sum(-1, keepdim=True)).cumsum(-1)
        at = level.expand(*cdf.shape[:-1], -1).contiguous()
        right = torch.searchsorted(cdf.detach().contiguous(), at).clamp(1, cdf.shape[-1] - 1)
        low, high = cdf.gather(-1, right - 1), cdf.gather(-1, right)
        return (right - 1 + (at - low) / (high - low).clamp_min(1e-9)) / cdf.shape[-1]


MISFITS: dict[str, Misfit] = {
    "l2": L2(),
    "l1": L1(),
    "huber": Huber(),
    "student": StudentT(),
    "trace": TraceNormalised(),
    "correlation": GlobalCorrelation(),
    "envelope": Envelope(),
    "w1": W1(),
    "w2": W2(),
}
"""The classical misfits by name; `siamese` and the critics live in `adversary.py`, since they learn."""


def _mean(x: Tensor) -> Tensor:
    return x.mean((-2, -1))


def _unit(x: Tensor) -> Tensor:
    floor = 1e-6 * x.detach().square().sum(-1).amax(-1)[..., None, None] + 1e-20
    return x / (x.square().sum(-1, keepdim=True) + floor).sqrt()
