"""A threat around a batch that will be projected onto many times."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.attacks.base import compact
from sparring.threats.base import ThreatModel
from sparring.threats.interval import Interval


class Region:
    """The threat around `x` `(live, *sample)`; where it is a product of intervals, their ends are computed once."""

    def __init__(self, threat: ThreatModel, x: Tensor) -> None:
        self.threat, self.x = threat, x
        self.ends: tuple[Tensor, Tensor] | None = None
        if isinstance(threat, Interval):
            low, high = threat.limits(x)
            self.ends = low.broadcast_to(x.shape), high.broadcast_to(x.shape)

    def project(self, x_adv: Tensor) -> Tensor:
        """As the threat's own `project`."""
        if self.ends is None:
            return self.threat.project(x_adv, self.x)
        return torch.clamp(x_adv, *self.ends)

    def steepest(self, grad: Tensor, x_adv: Tensor) -> Tensor:
        """As the threat's own `steepest`."""
        return self.threat.steepest(grad, x_adv, self.x)

    def keep(self, kept: Tensor) -> None:
        """Drop the other samples."""
        self.x, *ends = compact(kept, self.x, *(self.ends or ()))
        if self.ends is not None:
            self.ends = ends[0], ends[1]
