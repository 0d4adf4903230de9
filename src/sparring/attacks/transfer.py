"""Points made on other models: what an adversary does who cannot see inside this one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from sparring.attacks.base import Attack, Model, Oracle
from sparring.attacks.pgd import PGD
from sparring.objectives import two_sided
from sparring.threats.base import ThreatModel


class Bank(nn.Module):
    """Several models of one task as one: the mean of their log probabilities `(n, k)`.

    Liu, Chen, Liu & Song, "Delving into Transferable Adversarial Examples and Black-box Attacks", ICLR 2017.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        super().__init__()
        if not models:
            raise ValueError("a bank needs at least one model")
        self.models: tuple[Model, ...] = tuple(models)
        self.members = nn.ModuleList(m for m in models if isinstance(m, nn.Module))  # frozen with the bank

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([two_sided(m(x)).log_softmax(1) for m in self.models]).mean(0)


@dataclass(frozen=True, kw_only=True)
class Transfer(Attack):
    """`attack` on each of the `sources` and on their mean; the attacked model is only asked which points win.

    One forward pass of the model for each candidate: `len(sources) + 1`, or 1 for a single source. The inner attack
    runs to its end on every sample, since points with room to spare transfer best; what it spends on the sources is
    not in `queries`.
    """

    sources: Sequence[Model] = field(compare=False)
    attack: Attack = field(default_factory=PGD)

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        bank: list[Model] = [*self.sources, Bank(self.sources)] if len(self.sources) > 1 else list(self.sources)
        attack = replace(self.attack, active_set=False)
        best, rows = x.clone(), torch.arange(len(x), device=x.device)
        top = torch.full((len(x),), -torch.inf, device=x.device, dtype=torch.float64)
        for source in bank:
            batch = x[rows], y[rows]
            points = attack.perturb(source, batch, threat, objective=oracle.objective, generator=generator)
            value, fallen = oracle.score(points, batch[1], rows)
            better = (value.double() > top[rows]) | fallen
            best[rows[better]], top[rows[better]] = points[better], value.double()[better]
            if self.active_set:
                rows = rows[~fallen]
            if len(rows) == 0:
                break
        return best
