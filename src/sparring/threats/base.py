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
    and whatever `project` or `sample` returns has violation exactly 0. `x` itself is always a member,
    unless it lies outside the threat's absolute bounds.
    """

    @property
    def radius(self) -> float:
        """Length of the longest useful step; attacks take their step sizes as fractions of it.

        Infinite where the threat alone bounds nothing (a mask, a grid): intersect it with a ball or a box.
        """
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
        """How far each sample lies outside, shape `(n,)`, float; exactly 0 on members, inf for NaN."""
        ...

    def scaled(self, factor: float) -> Self:
        """The same threat with `factor` times the radius, for budget curves; bounds stay.

        A threat of infinite radius has nothing to scale and returns itself.
        """
        ...


def flat(x: Tensor) -> Tensor:
    """Samples as rows: `(n, *sample)` to `(n, d)`; works for n = 0 and for 0-D samples (d = 1)."""
    return x.unsqueeze(1) if x.ndim == 1 else x.flatten(1)


def largest(x: Tensor) -> Tensor:
    """The largest magnitude in each sample, `(n, *sample)` to `(n,)`; 0 for samples without entries."""
    rows = flat(x).abs()
    return rows.amax(1) if rows.shape[1] else rows.new_zeros(len(rows))


def per_sample(values: Tensor, like: Tensor) -> Tensor:
    """`(n,)` values shaped to broadcast against `(n, *sample)`."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def wide(x: Tensor) -> Tensor:
    """At least single precision, for arithmetic: half precision has too few bits to sum squares in."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def precise(x: Tensor) -> Tensor:
    """Double precision, for measuring; single on Apple's mps, which has no double."""
    return x.float() if x.device.type == "mps" else x.double()


def distance(beyond: Tensor) -> Tensor:
    """A violation to return: float, and inf in place of NaN, since no set holds a NaN."""
    return torch.where(beyond.isnan(), torch.inf, beyond).float()


def uniform(x: Tensor, generator: torch.Generator) -> Tensor:
    """Uniform draws in [0, 1) of the shape, device and dtype of `x`."""
    return torch.rand(x.shape, generator=generator, device=x.device, dtype=torch.float32).to(x.dtype)


def symmetric(x: Tensor, generator: torch.Generator, reach: float = 1.0) -> Tensor:
    """Uniform draws in [-reach, reach] of the shape, device and dtype of `x`.

    On a CPU one 64-bit draw gives four entries on a grid of 2^16 values: a fifth of the time, for random starts.
    """
    if x.device.type != "cpu":
        return (2 * uniform(x, generator) - 1) * reach
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None, generator=generator)
    return draws.view(torch.int16)[: x.numel()].reshape(x.shape).to(x.dtype).mul_(reach / 2**15)


def normal(x: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal draws of the shape, device and dtype of `x`."""
    return torch.randn(x.shape, generator=generator, device=x.device, dtype=torch.float32).to(x.dtype)


def slack(x: Tensor) -> Tensor:
    """Rounding allowance per sample, shape `(n,)`: a few units in the last place of its largest entry.

    For threats whose projection and violation round differently. `x + delta` cannot be stored exactly.
    """
    return 4 * torch.finfo(x.dtype).eps * largest(x).clamp_min(1.0)
