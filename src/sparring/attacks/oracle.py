"""The attacked model as an attack sees it: outputs, scores and input gradients, every pass counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Self

import torch
from torch import Tensor, nn

from sparring.objectives import Criterion, Objective, dlr, two_sided
from sparring.typed import forked_rng

Model = Callable[[Tensor], Tensor]
"""Inputs `(n, *sample)` to outputs `(n, k)` or `(n,)`: an `nn.Module`, or any function that only gives scores."""


_NO_GRADIENT = "the model's outputs carry no gradient: use Square, ConstrainedSearch or DecisionSearch instead"


class NonFinite(ValueError):
    """A NaN or an infinity, named with the place where it appeared. It is never replaced."""


class NoGradient(TypeError):
    """The model's outputs carry no gradient: use Square, ConstrainedSearch or DecisionSearch."""


def check_finite(value: Tensor, place: str) -> None:
    """Raise `NonFinite` that names the place, the first bad sample and how many there are."""
    if not value.is_floating_point() or math.isfinite(float(value.sum())):
        return  # a NaN or an infinity always reaches the sum, so the usual case costs one pass
    finite = torch.isfinite(value)
    if not bool(finite.all()):
        bad = ~finite.reshape(len(value), -1).all(1) if value.ndim else ~finite.reshape(1)
        first = int(bad.nonzero()[0])
        raise NonFinite(f"non-finite {place}: {int(bad.sum())} of {len(bad)} samples, first at index {first}")


@cache
def keep_memory() -> None:
    """Once per process: let the C library keep up to 64 MB of freed memory instead of handing it back at every step.

    glibc raises its own limits when a large block is freed (mallopt(3), M_MMAP_THRESHOLD). The block is never written
    to, so it costs nothing; without it the activations of small networks are paged in anew at each pass, which can
    cost as much as the pass.
    """
    torch.empty((32 << 20) - (64 << 10), dtype=torch.uint8)


@contextmanager
def frozen(model: Model) -> Generator[None]:
    """Evaluation mode and no parameter gradients, restored exactly on the way out."""
    if not isinstance(model, nn.Module):
        yield
        return
    modes = [(m, m.training) for m in model.modules()]
    needs = [p for p in model.parameters() if p.requires_grad]
    try:
        if any(training for _, training in modes):
            model.eval()
        for p in needs:
            p.requires_grad_(False)
        yield
    finally:
        for m, training in modes:
            m.training = training
        for p in needs:
            p.requires_grad_(True)


@contextmanager
def own_randomness(generator: torch.Generator, device: torch.device) -> Generator[None]:
    """Draws that the model itself makes follow the generator; the caller's global random state stays as it was."""
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    cuda = [device] if device.type == "cuda" else []
    with forked_rng(cuda):
        torch.default_generator.manual_seed(seed)
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


@dataclass(frozen=True)
class Queries:
    """Model passes per sample: `forward` and `backward`, each `(n,)` int64."""

    forward: Tensor
    backward: Tensor


class Ledger:
    """The passes over n samples, written down in runs: equal ones in a row cost no tensor arithmetic of their own."""

    def __init__(self, n: int, device: torch.device) -> None:
        self._totals = torch.zeros(2, n, dtype=torch.int64, device=device)
        self._run: tuple[Tensor, Tensor] | None = None
        self._passes = [0, 0]

    def add(self, index: Tensor, rows: Tensor, *, forward: int = 0, backward: int = 0) -> None:
        """Passes of the samples `index[rows]`; a sample may appear many times. Neither tensor may change later."""
        if self._run is None or self._run[0] is not index or self._run[1] is not rows:
            self._settle()
            self._run = index, rows
        self._passes[0] += forward
        self._passes[1] += backward

    def queries(self) -> Queries:
        """What was counted so far."""
        self._settle()
        return Queries(self._totals[0], self._totals[1])

    def _settle(self) -> None:
        if self._run is not None:
            samples = self._run[0][self._run[1]]
            for total, passes in zip(self._totals, self._passes, strict=True):
                if passes:
                    total.index_add_(0, samples, torch.full_like(samples, passes))
        self._run, self._passes = None, [0, 0]


@dataclass(frozen=True)
class Oracle:
    """A model with its payoff and its count of passes.

    In every method `rows` are the places of the given samples in the batch that `search` was given; a sample may
    appear many times. `view` narrows the batch or changes the payoff and shares the counts and the trace.
    """

    model: Model
    objective: Objective
    criterion: Criterion
    ledger: Ledger
    index: Tensor
    trace: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    @classmethod
    def of(cls, model: Model, n: int, objective: Objective, criterion: Criterion, device: torch.device) -> Self:
        """A fresh oracle over n samples."""
        return cls(model, objective, criterion, Ledger(n, device), torch.arange(n, device=device))

    @property
    def queries(self) -> Queries:
        """The passes so far, for each sample of the whole batch."""
        return self.ledger.queries()

    def view(
        self,
        rows: Tensor | None = None,
        *,
        objective: Objective | None = None,
        criterion: Criterion | None = None,
    ) -> Self:
        """The same oracle over some rows, or with another payoff or criterion."""
        return replace(
            self,
            index=self.index if rows is None else self.index[rows],
            objective=objective or self.objective,
            criterion=criterion or self.criterion,
        )

    def outputs(self, x: Tensor, rows: Tensor) -> Tensor:
        """Model outputs without gradient."""
        return self._once(x, rows)

    def _once(self, x: Tensor, rows: Tensor) -> Tensor:
        with torch.no_grad():
            out = self.model(x)
        self.ledger.add(self.index, rows, forward=1)
        check_finite(out, "model output")
        return out

    def score(self, x: Tensor, y: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Objective `(n,)` and whether each sample has fallen `(n,)` bool, without gradient."""
        out = self._once(x, rows)
        return self.objective(out, y), self.criterion(out, y)

    def gradient(self, x: Tensor, y: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Objective `(n,)`, fallen `(n,)` bool and the objective's gradient with respect to `x` alone.

        One forward and one backward pass. Raises `NonFinite` on a NaN in the output, and `NoGradient` (a TypeError)
        if the model gives none. The gradient goes through `watch` before it is used.
        """
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            out = self.model(x)
            value = self.objective(out, y)
            self.ledger.add(self.index, rows, forward=1)
            if not value.requires_grad:
                raise NoGradient(_NO_GRADIENT)
            grad = torch.autograd.grad(value, x, torch.ones_like(value))[0]
        self.ledger.add(self.index, rows, backward=1)
        check_finite(out.detach(), "model output")
        if self.objective is dlr and two_sided(out).shape[1] < 3:
            self.trace["dlr_is_margin"] = [1.0]  # no third logit to divide by
        return value.detach(), self.criterion(out.detach(), y), grad

    def jacobian(
        self, x: Tensor, y: Tensor, rows: Tensor, gaps: Callable[[Tensor, Tensor], Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Values `gaps(outputs, y)` `(n, m)`, fallen `(n,)` bool and their gradients `(n, m, *sample)`.

        One forward pass and m backward passes.
        """
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            out = self.model(x)
            values = gaps(out, y)
            self.ledger.add(self.index, rows, forward=1)
            if not values.requires_grad:
                raise NoGradient(_NO_GRADIENT)
            m = values.shape[1]
            grads = [torch.autograd.grad(values[:, j].sum(), x, retain_graph=j + 1 < m)[0] for j in range(m)]
        self.ledger.add(self.index, rows, backward=m)
        grad = torch.stack(grads, dim=1)
        check_finite(out.detach(), "model output")
        check_finite(grad, "input gradient")
        return values.detach(), self.criterion(out.detach(), y), grad

    def verdict(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Objective and fallen `(n,)` in one forward pass outside the attack's count: the evaluation's own."""
        if len(x) == 0:
            return x.new_zeros(0), torch.zeros(0, dtype=torch.bool, device=x.device)
        with torch.no_grad():
            out = self.model(x)
        check_finite(out, "model output")
        return self.objective(out, y), self.criterion(out, y)

    def note(self, name: str, value: float) -> None:
        """Append one figure to the trace."""
        self.trace.setdefault(name, []).append(value)

    def watch(self, grad: Tensor) -> None:
        """Raise `NonFinite` on a NaN, and trace the share of samples whose gradient is zero in every entry.

        The second is the first sign of masking. One pass over the gradient serves both: a NaN reaches its sample's
        sum, and only samples whose entries sum to zero are looked at closely.
        """
        rows = grad.reshape(len(grad), -1)
        sums = rows.sum(1)
        if not math.isfinite(float(sums.sum())):
            check_finite(grad, "input gradient")
        zeros = 0
        if int(torch.count_nonzero(sums)) < len(sums):
            zeros = int((rows[sums == 0] == 0).all(1).sum())
        self.note("zero_gradients", zeros / len(grad))
