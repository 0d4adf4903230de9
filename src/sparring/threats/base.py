"""What an adversary may do to one input: the protocol that every threat model keeps."""

from __future__ import annotations

from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class ThreatModel(Protocol):
    """The set of inputs an adversary may turn `x` into.

    Frozen and stateless. `x` and `x_adv` have shape `(n, *sample)`, where a sample may be 0-D to
    any-D and `n` may be 0; every method works sample by sample and returns the input's dtype.

    `project`, `sample` and `violation` agree: projecting is idempotent, members are fixed points,
    and whatever `project` or `sample` returns has violation exactly 0.
    """

    @property
    def radius(self) -> float:
        """Length of the longest useful step; attacks take their step sizes as fractions of it."""
        ...

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """The nearest member of the set around `x` (a repaired one where no nearest is known)."""
        ...

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        """A random member of the set around each `x`."""
        ...

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        """The direction of length 1 in this geometry that raises `<grad, direction>` the most.

        An ascent step of length t is `project(x_adv + t * steepest(grad, x_adv, x), x)`.
        """
        ...

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        """How far each sample lies outside, shape `(n,)`, float; exactly 0 on members."""
        ...

    def scaled(self, factor: float) -> Self:
        """The same threat with `factor` times the radius, for budget curves; bounds stay."""
        ...


def flat(x: Tensor) -> Tensor:
    """Samples as rows: `(n, *sample)` to `(n, d)`; works for n = 0 and for 0-D samples (d = 1)."""
    return x.unsqueeze(1) if x.ndim == 1 else x.flatten(1)


def slack(x: Tensor) -> Tensor:
    """Rounding allowance per sample, shape `(n,)`: a few units in the last place of the input.

    `x + delta` cannot be stored exactly, so a point at distance eps measures as eps ± rounding;
    the allowance grows with the input's magnitude and with the coarseness of its dtype.
    """
    rows = flat(x).abs()
    largest = rows.amax(1) if rows.shape[1] else rows.new_zeros(len(rows))
    return 4 * torch.finfo(x.dtype).eps * largest.clamp_min(1.0)
