"""Penalties on a critic's slope: what makes the Wasserstein game well-posed and the others stable.

Each maps `(critic, real, fake)` to `(n,)`, weight included, and is differentiable a second time. A critic
under a penalty may not mix samples (no batch norm): the slope is taken sample by sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sparring.typed import norm

Score = Callable[[Tensor], Tensor]
"""A critic with its conditions already given: `(n, *sample) -> (n,)`."""


class Penalty(Protocol):
    """What the critic pays for its slope, `(n,)`; `real` and `fake` are `(n, *sample)`."""

    def __call__(self, critic: Score, real: Tensor, fake: Tensor, *, generator: torch.Generator) -> Tensor: ...


def slope(critic: Score, x: Tensor) -> Tensor:
    """The critic's input gradients at `x` as rows `(n, d)`, themselves differentiable in the critic's weights."""
    x = x.detach().requires_grad_(True)
    with torch.enable_grad():
        (grad,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return grad.unsqueeze(1) if grad.ndim == 1 else grad.flatten(1)


def interpolate(real: Tensor, fake: Tensor, *, generator: torch.Generator) -> Tensor:
    """A random point between each real sample and the fake one of the same index, uniform on the segment."""
    if real.shape != fake.shape:
        raise ValueError(f"interpolates need real and fake of one shape, got {tuple(real.shape)}, {tuple(fake.shape)}")
    share = torch.rand(len(real), generator=generator, device=real.device, dtype=torch.float32).to(real.dtype)
    share = share.reshape(-1, *[1] * (real.ndim - 1))
    return share * real + (1 - share) * fake


@dataclass(frozen=True)
class GradientPenalty:
    """weight * (||∇D|| - centre)² on random interpolates.

    centre 1, weight 10: WGAN-GP (Gulrajani et al., "Improved Training of Wasserstein GANs", NeurIPS 2017,
    equation 3). centre 0: zero-centred (Thanh-Tung et al., ICLR 2019). `one_sided` forgives slopes below the
    centre (WGAN-LP, Petzka et al., ICLR 2018).
    """

    weight: float = 10.0
    centre: float = 1.0
    one_sided: bool = False

    def __call__(self, critic: Score, real: Tensor, fake: Tensor, *, generator: torch.Generator) -> Tensor:
        # `norm` has gradient 0 at the zero vector, where a hand-written root would give NaN.
        length = norm(slope(critic, interpolate(real, fake, generator=generator)), dim=1)
        excess = length - self.centre
        return self.weight * (excess.clamp_min(0) if self.one_sided else excess).square()


@dataclass(frozen=True)
class R1:
    """weight / 2 * ||∇D||² on real samples. Mescheder et al., "Which Training Methods for GANs ...", ICML 2018."""

    weight: float = 10.0

    def __call__(self, critic: Score, real: Tensor, fake: Tensor, *, generator: torch.Generator) -> Tensor:
        return self.weight / 2 * slope(critic, real).square().sum(1)


@dataclass(frozen=True)
class R2:
    """weight / 2 * ||∇D||² on generated samples; the mirror of `R1`, from the same paper."""

    weight: float = 10.0

    def __call__(self, critic: Score, real: Tensor, fake: Tensor, *, generator: torch.Generator) -> Tensor:
        return self.weight / 2 * slope(critic, fake).square().sum(1)


@dataclass(frozen=True)
class Drift:
    """weight * D(real)²: keeps the scores of a Wasserstein critic near 0 (Karras et al., ICLR 2018, appendix A.1)."""

    weight: float = 1e-3

    def __call__(self, critic: Score, real: Tensor, fake: Tensor, *, generator: torch.Generator) -> Tensor:
        return self.weight * critic(real.detach()).square()
