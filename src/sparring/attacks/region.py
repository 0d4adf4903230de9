"""A threat around a batch that will be projected onto many times."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.attacks.base import compact
from sparring.threats.base import ThreatModel
from sparring.threats.interval import Interval
from sparring.threats.lp import LInf


class Region:
    """The threat around `x` `(live, *sample)`; where it is a product of intervals, their ends are computed once.

    The steps of an attack cost little more than the memory they touch, so they are made in place: a tensor that is
    freed and asked for again at every step costs several times its own arithmetic.
    """

    def __init__(self, threat: ThreatModel, x: Tensor) -> None:
        threat = getattr(threat, "bounds", threat)  # a threat that only samples in its own way
        self.threat, self.x = threat, x
        self.ends: tuple[Tensor, Tensor] | None = None
        self._signs: Tensor | None = None
        if isinstance(threat, Interval):
            low, high = threat.limits(x)
            self.ends = low.broadcast_to(x.shape), high.broadcast_to(x.shape)

    def project(self, x_adv: Tensor, *, out: Tensor | None = None) -> Tensor:
        """As the threat's own `project`; the memory of `out` may serve for the result."""
        if self.ends is None:
            return self.threat.project(x_adv, self.x)
        return torch.clamp(x_adv, *self.ends, out=out)

    def steepest(self, grad: Tensor, x_adv: Tensor) -> Tensor:
        """As the threat's own `steepest`; the result is good until the next call."""
        if type(self.threat) is not LInf:
            return self.threat.steepest(grad, x_adv, self.x)
        if self._signs is None or self._signs.shape != grad.shape:
            self._signs = torch.empty_like(grad)
        return torch.sign(grad, out=self._signs)

    def climb_(self, x_adv: Tensor, grad: Tensor, step: float) -> Tensor:
        """`x_adv` after a projected step of length `step`; `x_adv` may be overwritten."""
        direction = self.steepest(grad, x_adv)
        if self.ends is None:  # a projection may hand out the input itself, so nothing is overwritten
            return self.threat.project(torch.add(x_adv, direction, alpha=step), self.x)
        return torch.clamp(x_adv.add_(direction, alpha=step), *self.ends, out=x_adv)

    def aim(self, x_adv: Tensor, grad: Tensor, step: Tensor) -> Tensor:
        """Where projected steps of lengths `step` (broadcastable) lead; good until the next call."""
        direction = self.steepest(grad, x_adv)
        if self.ends is None:
            return self.threat.project(torch.addcmul(x_adv, direction, step), self.x)
        reached = torch.addcmul(x_adv, direction, step, out=direction if direction is self._signs else None)
        return torch.clamp(reached, *self.ends, out=reached)

    def keep(self, kept: Tensor) -> None:
        """Drop the other samples."""
        self._signs = None
        if self.ends is None:
            self.x = compact(kept, self.x)[0]
        else:
            low, high, *x = compact(kept, *self.ends, *([] if type(self.threat) is LInf else [self.x]))
            self.ends = low, high
            self.x = x[0] if x else self.x[: len(low)]  # a sign step reads nothing of it but its shape
