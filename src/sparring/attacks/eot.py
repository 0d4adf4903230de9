"""Expectation over randomness: attacks on models that answer differently each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar, cast

import torch
from torch import Tensor

from sparring.attacks.base import Attack, Model, Oracle
from sparring.objectives import Objective
from sparring.threats.base import ThreatModel

_Answer = TypeVar("_Answer", bound=tuple[Tensor, ...])


@dataclass(frozen=True)
class AveragedOracle(Oracle):
    """An oracle that asks the model `draws` times: payoffs and gradients are means, a fall needs the majority."""

    draws: int = 1

    def outputs(self, x: Tensor, rows: Tensor) -> Tensor:
        return torch.stack([self._once(x, rows) for _ in range(self.draws)]).mean(0)

    def score(self, x: Tensor, y: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        return self._over_draws(super().score, x, y, rows)

    def gradient(self, x: Tensor, y: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self._over_draws(super().gradient, x, y, rows)

    def jacobian(
        self, x: Tensor, y: Tensor, rows: Tensor, gaps: Callable[[Tensor, Tensor], Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        return self._over_draws(super().jacobian, x, y, rows, gaps)

    def verdict(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self._over_draws(super().verdict, x, y)

    def _over_draws(self, ask: Callable[..., _Answer], *args: object) -> _Answer:
        first = ask(*args)
        total = [part.to(torch.promote_types(part.dtype, torch.float32)) for part in first]
        for _ in range(self.draws - 1):
            total = [sofar + part for sofar, part in zip(total, ask(*args), strict=True)]
        means = [sofar / self.draws for sofar in total]
        parts = zip(means, first, strict=True)
        return cast(_Answer, tuple(m > 0.5 if p.dtype == torch.bool else m.to(p.dtype) for m, p in parts))


@dataclass(frozen=True)
class EOT(Attack):
    """Any attack, with every payoff and gradient averaged over `draws` answers of a randomised model.

    Athalye, Engstrom, Ilyas & Kwok, "Synthesizing Robust Adversarial Examples", ICML 2018. It serves models whose
    random layers act in evaluation mode too. A sample counts as fallen where more than half of the draws are wrong,
    in the verdict as well. Every pass costs `draws`. The model's draws follow the generator; the global random state
    of the caller stays as it was. `criterion` and `active_set` given here rule over the inner attack's
    own. 20 draws is the count of AutoAttack's "rand" version.
    """

    attack: Attack
    draws: int = 20

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"draws must be at least 1, got {self.draws}")

    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        attack = replace(self.attack, criterion=self.criterion, active_set=self.active_set)
        return attack.search(oracle, x, y, threat, generator)

    def _oracle(self, model: Model, x: Tensor, objective: Objective) -> Oracle:
        plain = super()._oracle(model, x, objective)
        return AveragedOracle(model, objective, plain.criterion, plain.ledger, plain.index, plain.trace, self.draws)
