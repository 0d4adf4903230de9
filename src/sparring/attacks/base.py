"""What every attack keeps: the caller's model, inputs and random state stay as they were.

A concrete attack is a frozen dataclass with one method, `search`; `Attack.__call__` wraps it in the
promises: model frozen and restored, passes counted, NaN named, every returned point re-checked.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sparring.attacks.oracle import Model, NonFinite, Oracle, Queries, check_finite, frozen, keep_memory, own_randomness
from sparring.game import Batch
from sparring.objectives import Criterion, Objective, cross_entropy, misclassified
from sparring.threats.base import ThreatModel

__all__ = ["Attack", "AttackResult", "Model", "NonFinite", "Oracle", "Queries", "ThreatViolation", "frozen"]


class ThreatViolation(RuntimeError):
    """An attack returned a point outside its threat model: a bug in the attack or in the threat."""


@dataclass(frozen=True)
class AttackResult:
    """What an attack found.

    `x_adv` is `(n, *sample)`, always inside the threat; `success` `(n,)` bool, True where the adversary won
    (a sample that was lost already without attack counts); `objective` `(n,)` at `x_adv`; `queries` the passes
    the attack itself made, per sample; `trace` maps figure names to `(steps,)` series of the run, e.g. the share
    of zero gradients.
    """

    x_adv: Tensor
    success: Tensor
    objective: Tensor
    queries: Queries
    trace: dict[str, list[float]] = field(default_factory=dict[str, list[float]])


@dataclass(frozen=True, kw_only=True)
class Attack(ABC):
    """An adversary that perturbs inputs, sample by sample.

    Call it as `attack(model, (x, y), threat, objective=..., generator=...)`. `criterion` says when the
    adversary has won. With `active_set` (evaluation) samples that are lost already are returned as they are and
    the others leave the batch once they have fallen; without it (training) every sample takes every step.

    Two forward passes belong to the call and not to the attack's budget: the check of the clean input (with
    `active_set` alone) and the verdict on the returned points. They are not in `queries`.
    """

    criterion: Criterion = misclassified
    active_set: bool = True

    def __call__(
        self,
        model: Model,
        batch: Batch,
        threat: ThreatModel,
        *,
        objective: Objective = cross_entropy,
        generator: torch.Generator,
    ) -> AttackResult:
        """Attack a batch. Raises `NonFinite` for NaN, `ValueError` for inputs outside the threat's own range."""
        x, y = batch[0].detach(), batch[1]
        oracle = self._oracle(model, x, objective)
        with self._guarded(model, x, generator):
            x_adv = self._checked_search(oracle, x, y, threat, generator)
            value, success = oracle.verdict(x_adv, y)
        return AttackResult(x_adv, success, value, oracle.queries, oracle.trace)

    def perturb(
        self,
        model: Model,
        batch: Batch,
        threat: ThreatModel,
        *,
        objective: Objective = cross_entropy,
        generator: torch.Generator,
    ) -> Tensor:
        """The adversarial points alone, checked as in a call but without the verdict's pass: what training uses."""
        x, y = batch[0].detach(), batch[1]
        with self._guarded(model, x, generator):
            return self._checked_search(self._oracle(model, x, objective), x, y, threat, generator)

    @abstractmethod
    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        """The adversarial points `(n, *sample)` for n ≥ 1 finite samples; all passes go through `oracle`."""

    def _oracle(self, model: Model, x: Tensor, objective: Objective) -> Oracle:
        return Oracle.of(model, len(x), objective, self.criterion, x.device)

    @contextmanager
    def _guarded(self, model: Model, x: Tensor, generator: torch.Generator) -> Generator[None]:
        check_finite(x, "input")
        if x.device.type == "cpu":
            keep_memory()
        with frozen(model), own_randomness(generator, x.device):
            yield

    def _checked_search(
        self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        if not math.isfinite(threat.radius):
            raise ValueError(f"{type(threat).__name__} bounds nothing alone: intersect it with a ball or a finite box")
        if bool((threat.violation(x, x) > 0).any()):
            raise ValueError("the clean input lies outside the threat's own range; normalise inside the model instead")
        if len(x) == 0:
            return x.clone()
        x_adv = self._search_standing(oracle, x, y, threat, generator).detach()
        violation = threat.violation(x_adv, x)
        if bool((violation > 0).any()):
            check_finite(x_adv, "adversarial input")
            raise ThreatViolation(
                f"{type(self).__name__} left {type(threat).__name__}: {int((violation > 0).sum())} samples, "
                f"by up to {float(violation.max()):.3g}"
            )
        return x_adv

    def _search_standing(
        self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator
    ) -> Tensor:
        if not self.active_set:
            return self.search(oracle, x, y, threat, generator)
        rows = (~oracle.verdict(x, y)[1]).nonzero().squeeze(1)
        if len(rows) == len(x):
            return self.search(oracle, x, y, threat, generator)
        x_adv = x.clone()
        if len(rows):
            standing, target = take(rows, x, y)
            x_adv.index_copy_(0, rows, self.search(oracle.view(rows), standing, target, threat, generator))
        return x_adv


def compact(keep: Tensor, *tensors: Tensor) -> list[Tensor]:
    """The kept samples of every tensor; `keep` is `(n,)` bool."""
    return take(keep.nonzero().squeeze(1), *tensors)


def take(rows: Tensor, *tensors: Tensor) -> list[Tensor]:
    """These rows of every tensor: several times as fast as indexing with brackets."""
    return [t.index_select(0, rows) for t in tensors]


def worth_compacting(fallen: Tensor) -> bool:
    """Whether enough samples have fallen for the copies of compaction to pay: one in twenty of the live batch."""
    return int(fallen.sum()) * 20 >= len(fallen) and bool(fallen.any())
