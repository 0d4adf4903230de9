"""Domain relations between features: a mean is a sum over a count, a rate is bytes over seconds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from sparring.threats.base import distance, per_sample


@dataclass(frozen=True)
class Relations:
    """Every sample keeps the domain's relations, given as two functions.

    `repair(x_adv, x) -> x_adv` recomputes the dependent features from the free ones; `residual(x_adv) -> (n,)`
    says by how much a sample breaks the relations: 0 on valid ones, otherwise positive. Samples up to
    `tolerance` are members. Real data are dirty: a sample whose `x` breaks a relation already may break it by
    as much, and no more. Where the repair does not reach a member, `x` stands.
    """

    repair: Callable[[Tensor, Tensor], Tensor]
    residual: Callable[[Tensor], Tensor]
    tolerance: float = 0.0

    @property
    def radius(self) -> float:
        return math.inf

    def scaled(self, factor: float) -> Self:
        return self

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        kept = self.violation(x_adv, x) == 0
        if bool(kept.all()):
            return x_adv
        repaired = self.repair(x_adv, x).to(x_adv.dtype)
        valid = self.violation(repaired, x) == 0
        repaired = torch.where(per_sample(valid, x), repaired, x)
        return torch.where(per_sample(kept, x), x_adv, repaired)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        """`x` itself: relations say nothing of how far a sample may go."""
        return x.clone()

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        return grad.sign()

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        found, allowed = self.residual(x_adv), self.residual(x).clamp_min(self.tolerance)
        return distance((found - allowed).clamp_min(0))
