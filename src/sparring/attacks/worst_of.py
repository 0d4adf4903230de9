"""Asking about members of the threat, one by one: all of a finite set, random ones of any other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.attacks.base import Attack, Oracle
from sparring.threats.base import ThreatModel
from sparring.threats.finite import Finite


@dataclass(frozen=True, kw_only=True)
class WorstOf(Attack):
    """The worst of up to `queries` members by the payoff; no gradient.

    Of a `Finite` threat no larger than the budget every member is asked about, so a sample that stands is proved to
    stand (grid search, Engstrom et al., "Exploring the Landscape of Spatial Robustness", ICML 2019). Of any other
    threat, and of larger sets, the members are random ("worst of k", the same paper).
    """

    queries: int = 1000

    def __post_init__(self) -> None:
        if self.queries < 1:
            raise ValueError(f"queries must be at least 1, got {self.queries}")

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        whole = isinstance(threat, Finite) and threat.count <= self.queries
        best, rows = x.clone(), torch.arange(len(x), device=x.device)
        top = torch.full((len(x),), -torch.inf, device=x.device, dtype=torch.float64)
        for index in range(threat.count if whole and isinstance(threat, Finite) else self.queries):
            clean = x[rows]
            if whole and isinstance(threat, Finite):
                points = threat.member(clean, index)
            else:
                points = threat.sample(clean, generator=generator)
            value, fallen = oracle.score(points, y[rows], rows)
            better = (value.double() > top[rows]) | fallen
            best[rows[better]] = points[better]
            top[rows[better]] = torch.where(fallen, torch.inf, value.double())[better]
            if self.active_set and bool(fallen.any()):
                rows = rows[~fallen]
                if len(rows) == 0:
                    break
        return best
