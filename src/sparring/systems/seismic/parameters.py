"""What the inversion may change: a velocity on cells, bounded cells, or a network that draws one.

Every parameterisation is a module whose `velocity()` is `(nz, nx)` in m/s, equal to the start before the first step.
Cells where `known` is true keep their start value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.opponents import linear
from sparring.typed import on_gradient, uninitialised


@dataclass(frozen=True)
class Limits:
    """Speeds in m/s between which the inversion may move, and the cells that stay."""

    low: float
    high: float
    known: Tensor
    """`(nz, nx)` bool."""


class Parameters(nn.Module):
    """The shared part: the start, its limits, and known cells. Sub-classes draw."""

    start: Tensor
    known: Tensor

    def __init__(self, start: Tensor, limits: Limits) -> None:
        super().__init__()
        self.low, self.high = limits.low, limits.high
        self.register_buffer("start", start.detach().clone())
        self.register_buffer("known", limits.known.clone())

    def velocity(self) -> Tensor:
        """The velocity, `(nz, nx)` in m/s."""
        return torch.where(self.known, self.start, self.drawn())

    def drawn(self) -> Tensor:
        """What the parameters say, before known cells are put in."""
        raise NotImplementedError

    def forward(self) -> Tensor:
        """The velocity."""
        return self.velocity()


class Grid(Parameters):
    """One free speed per cell, put back between the limits before each use."""

    def __init__(self, start: Tensor, limits: Limits, *, generator: torch.Generator) -> None:
        super().__init__(start, limits)
        self.speed = nn.Parameter(start.detach().clone())

    def drawn(self) -> Tensor:
        with torch.no_grad():
            self.speed.clamp_(self.low, self.high)
        return self.speed


class BoundedGrid(Parameters):
    """One free number u per cell, in m/s at the start: v = low + (high - low) sigmoid(u scaled)."""

    def __init__(self, start: Tensor, limits: Limits, *, generator: torch.Generator) -> None:
        super().__init__(start, limits)
        self.width = (self.high - self.low) / 4  # so that a step of 1 in u moves v by about 1 m/s in the middle
        share = ((start - self.low) / (self.high - self.low)).clamp(1e-3, 1 - 1e-3)
        self.u = nn.Parameter(torch.logit(share) * self.width)

    def drawn(self) -> Tensor:
        return self.low + (self.high - self.low) * torch.sigmoid(self.u / self.width)


class DeepPrior(Parameters):
    """A convolutional network with a fixed random input draws what is added to the start.

    Deep image prior (Ulyanov, Vedaldi, Lempitsky, CVPR 2018): the network's shape alone favours smooth bodies with
    sharp edges over speckle. Four scales, each conv 3x3 - leaky ReLU, joined upwards; the last layer begins at 0, so
    that the first velocity is the start and nothing has to be fitted beforehand. `reach` (m/s) scales the output.
    """

    z: Tensor

    def __init__(
        self,
        start: Tensor,
        limits: Limits,
        *,
        generator: torch.Generator,
        channels: int = 24,
        scales: int = 4,
        reach: float = 1000.0,
    ) -> None:
        super().__init__(start, limits)
        nz, nx = start.shape
        self.reach = reach
        shape = (1, channels, math.ceil(nz / 2 ** (scales - 1)), math.ceil(nx / 2 ** (scales - 1)))
        self.register_buffer("z", torch.randn(shape, generator=generator))
        self.blocks = nn.ModuleList(conv(channels, channels, 3, generator=generator) for _ in range(scales))
        self.sizes = [(math.ceil(nz / 2**k), math.ceil(nx / 2**k)) for k in reversed(range(scales))]
        self.last = conv(channels, 1, 3, generator=generator)
        with torch.no_grad():
            self.last.weight.zero_()
            if self.last.bias is not None:
                self.last.bias.zero_()

    def drawn(self) -> Tensor:
        x = self.z
        for size, block in zip(self.sizes, self.blocks, strict=True):
            x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
            x = F.leaky_relu(block(x), 0.1)
            x = x / (x.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-6)
        return _softly(self.start + self.reach * self.last(x)[0, 0], self.low, self.high)


class Coordinates(Parameters):
    """A perceptron from (x, depth) to what is added to the start: a continuous velocity.

    The coordinates enter as sines and cosines of random frequencies (Tancik et al., "Fourier Features", NeurIPS
    2020), up to `cycles` over the model's longer side.
    """

    features: Tensor

    def __init__(
        self,
        start: Tensor,
        limits: Limits,
        *,
        generator: torch.Generator,
        width: int = 64,
        cycles: float = 6.0,
        reach: float = 1000.0,
    ) -> None:
        super().__init__(start, limits)
        nz, nx = start.shape
        self.reach = reach
        longer = max(nz, nx)
        z, x = torch.meshgrid(torch.arange(nz) / longer, torch.arange(nx) / longer, indexing="ij")
        waves = cycles / 2 * torch.randn((2, width), generator=generator)
        phase = 2 * math.pi * torch.stack([z, x], -1) @ waves
        self.register_buffer("features", torch.cat([phase.sin(), phase.cos()], -1))
        self.first = linear(2 * width, width, generator=generator)
        self.second = linear(width, width, generator=generator)
        self.last = linear(width, 1, generator=generator)
        with torch.no_grad():
            self.last.weight.zero_()
            self.last.bias.zero_()

    def drawn(self) -> Tensor:
        x = F.silu(self.second(F.silu(self.first(self.features))))
        return _softly(self.start + self.reach * self.last(x)[..., 0], self.low, self.high)


PARAMETERS: dict[str, Callable[..., Parameters]] = {
    "grid": Grid,
    "bounded": BoundedGrid,
    "deep-prior": DeepPrior,
    "coordinates": Coordinates,
}
RATES = {"grid": 40.0, "bounded": 40.0, "deep-prior": 4e-3, "coordinates": 4e-3}
"""Adam's rate per parameterisation: m/s a step for cells, weights otherwise."""


def conv(inputs: int, outputs: int, size: int, *, generator: torch.Generator) -> nn.Conv2d:
    """A convolution that keeps the image's size, with He's uniform law for leaky ReLU 0.1, biases 0."""
    layer = uninitialised(nn.Conv2d, inputs, outputs, size, padding=size // 2)
    bound = math.sqrt(6 / ((1 + 0.1**2) * inputs * size**2))
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer


def _softly(v: Tensor, low: float, high: float) -> Tensor:
    """Clamped; where v lies outside, only a gradient that leads back inside gets through."""
    same = v.view_as(v)
    if same.requires_grad:

        def leash(grad: Tensor) -> Tensor:
            return torch.where(((v > high) & (grad < 0)) | ((v < low) & (grad > 0)), 0.0, grad)

        on_gradient(same, leash)
    return v.detach().clamp(low, high) + (same - same.detach())
