"""What every attack keeps: the caller's model, inputs and random state stay as they were.

A concrete attack is a frozen dataclass with one method, `search`; `Attack.__call__` wraps it in the
promises: model frozen and restored, queries counted, NaN named, every returned point re-checked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sparring.game import Batch
from sparring.objectives import Criterion, Objective, cross_entropy, misclassified
from sparring.threats.base import ThreatModel

Model = Callable[[Tensor], Tensor]
"""Inputs `(n, *sample)` to outputs `(n, k)` or `(n,)`: an `nn.Module`, or any function that only gives scores."""


class ThreatViolation(RuntimeError):
    """An attack returned a point outside its threat model: a bug in the attack or in the threat."""


class NonFinite(ValueError):
    """A NaN or an infinity, named with the place where it appeared. It is never replaced."""


def check_finite(value: Tensor, place: str) -> None:
    """Raise `NonFinite` that names the place, the first bad sample and how many there are."""
    if value.is_floating_point() and not bool(torch.isfinite(value).all()):
        bad = (~torch.isfinite(value.reshape(len(value), -1) if value.ndim else value.reshape(1, 1))).any(1)
        first = int(bad.nonzero()[0])
        raise NonFinite(f"non-finite {place}: {int(bad.sum())} of {len(bad)} samples, first at index {first}")


@contextmanager
def frozen(model: Model) -> Iterator[None]:
    """Evaluation mode and no parameter gradients, restored exactly on the way out."""
    if not isinstance(model, nn.Module):
        yield
        return
    modes = {m: m.training for m in model.modules()}
    needs = {p: p.requires_grad for p in model.parameters()}
    try:
        model.eval()
        for p in needs:
            p.requires_grad_(False)
        yield
    finally:
        for m, training in modes.items():
            m.training = training
        for p, required in needs.items():
            p.requires_grad_(required)


@dataclass(frozen=True)
class Queries:
    """Model passes per sample: `forward` and `backward`, each `(n,)` int64."""

    forward: Tensor
    backward: Tensor


@dataclass(frozen=True)
class AttackResult:
    """What an attack found.

    `x_adv` is `(n, *sample)`, always inside the threat; `success` `(n,)` bool, True where the adversary won
    (a sample that was lost already without attack counts); `objective` `(n,)` at `x_adv`; `queries` per sample;
    `trace` maps figure names to `(steps,)` series of the run, e.g. the fraction of zero gradients.
    """

    x_adv: Tensor
    success: Tensor
    objective: Tensor
    queries: Queries
    trace: dict[str, list[float]] = field(default_factory=dict)


class Oracle:
    """The attacked model as the attack sees it: scores and input gradients, each pass counted per sample.

    `rows` are the indices of the given samples in the full batch, so that an active set is counted rightly.
    """

    def __init__(self, model: Model, n: int, objective: Objective, criterion: Criterion, device: torch.device) -> None:
        self.model, self.objective, self.criterion = model, objective, criterion
        self.forward = torch.zeros(n, dtype=torch.int64, device=device)
        self.backward = torch.zeros(n, dtype=torch.int64, device=device)
        self.trace: dict[str, list[float]] = {}

    def outputs(self, x: Tensor, rows: Tensor) -> Tensor:
        """Model outputs without gradient."""
        with torch.no_grad():
            out = self.model(x)
        self._count(self.forward, rows)
        check_finite(out, "model output")
        return out

    def score(self, x: Tensor, y: Tensor, rows: Tensor, *, objective: Objective | None = None) -> tuple[Tensor, Tensor]:
        """Objective `(n,)` and whether each sample has fallen `(n,)` bool, without gradient."""
        out = self.outputs(x, rows)
        return (objective or self.objective)(out, y), self.criterion(out, y)

    def gradient(
        self, x: Tensor, y: Tensor, rows: Tensor, *, objective: Objective | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Objective `(n,)`, fallen `(n,)` bool and the objective's gradient with respect to `x` alone.

        One forward and one backward pass. Raises `NonFinite` on a NaN in output or gradient, and TypeError
        if the model gives no gradient (use a score-based attack then).
        """
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            out = self.model(x)
            value = (objective or self.objective)(out, y)
            if not value.requires_grad and len(x):
                raise TypeError("the model's outputs carry no gradient: use Square or ConstrainedSearch instead")
            grad = torch.autograd.grad(value.sum(), x)[0] if value.requires_grad else torch.zeros_like(x)
        self._count(self.forward, rows)
        self._count(self.backward, rows)
        check_finite(out.detach(), "model output")
        check_finite(grad, "input gradient")
        return value.detach(), self.criterion(out.detach(), y), grad

    def note(self, name: str, value: float) -> None:
        """Append one figure to the trace."""
        self.trace.setdefault(name, []).append(value)

    def _count(self, counter: Tensor, rows: Tensor) -> None:
        counter.index_add_(0, rows, torch.ones_like(rows))


@dataclass(frozen=True, kw_only=True)
class Attack(ABC):
    """An adversary that perturbs inputs, sample by sample.

    Call it as `attack(model, (x, y), threat, objective=..., generator=...)`. `criterion` says when the
    adversary has won. With `active_set` (evaluation) samples leave the batch once they have fallen; without
    it (training) every sample takes every step and the last iterate is returned.
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
        """Attack a batch. Raises `NonFinite` for NaN, `ValueError` for inputs outside the threat's range."""
        x, y = batch
        x = x.detach()
        check_finite(x, "input")
        if bool((threat.violation(x, x) > 0).any()):
            raise ValueError("the clean input lies outside the threat's own range; normalise inside the model instead")
        oracle = Oracle(model, len(x), objective, self.criterion, x.device)
        with frozen(model):
            if len(x) == 0:
                x_adv = x.clone()
            else:
                x_adv = self.search(oracle, x, y, threat, generator).detach()
            check_finite(x_adv, "adversarial input")
            violation = threat.violation(x_adv, x)
            if bool((violation > 0).any()):
                raise ThreatViolation(
                    f"{type(self).__name__} left {type(threat).__name__}: {int((violation > 0).sum())} samples, "
                    f"by up to {float(violation.max()):.3g}"
                )
            return self._judge(oracle, x_adv, y)

    @abstractmethod
    def search(self, oracle: Oracle, x: Tensor, y: Tensor, threat: ThreatModel, generator: torch.Generator) -> Tensor:
        """The adversarial points `(n, *sample)` for n ≥ 1 finite samples; all passes go through `oracle`."""

    def _judge(self, oracle: Oracle, x_adv: Tensor, y: Tensor) -> AttackResult:
        # The verdict comes from one clean pass over the returned points, outside the attack's own budget.
        with torch.no_grad():
            if len(x_adv):
                out = oracle.model(x_adv)
                value, success = oracle.objective(out, y).detach(), self.criterion(out, y)
            else:
                value, success = x_adv.new_zeros(0), torch.zeros(0, dtype=torch.bool, device=x_adv.device)
        return AttackResult(x_adv, success, value, Queries(oracle.forward, oracle.backward), oracle.trace)
