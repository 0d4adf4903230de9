"""Common corruptions: what weather, sensors and compression do to images, with no adversary behind them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.threats.base import wide
from sparring.threats.finite import Finite

SEVERITIES = 5


def _noise(x: Tensor) -> Tensor:
    # One fixed pattern per shape: the same corruption every time it is asked about, whoever else is in the batch.
    generator = torch.Generator().manual_seed(0)
    return torch.randn(x.shape[1:], generator=generator).to(x)


def _gaussian_noise(x: Tensor, severity: int) -> Tensor:
    return x + (0.04, 0.06, 0.08, 0.09, 0.10)[severity - 1] * _noise(x)


def _shot_noise(x: Tensor, severity: int) -> Tensor:
    photons = (500, 250, 100, 75, 50)[severity - 1]
    return x + (x.clamp_min(0) / photons).sqrt() * _noise(x)


def _impulse_noise(x: Tensor, severity: int) -> Tensor:
    share = (0.01, 0.02, 0.03, 0.05, 0.07)[severity - 1]
    draw = 0.5 * (1 + torch.erf(_noise(x) / math.sqrt(2)))  # the noise's own quantile: uniform
    salt, pepper = draw > 1 - share / 2, draw < share / 2
    return torch.where(salt, torch.ones_like(x), torch.where(pepper, torch.zeros_like(x), x))


def _blurred(x: Tensor, kernel: Tensor) -> Tensor:
    down, across = kernel.shape[0] // 2, kernel.shape[1] // 2
    planes = x.reshape(-1, 1, *x.shape[-2:])
    padded = F.pad(planes, (across, across, down, down), mode="replicate")
    return F.conv2d(padded, kernel.to(x).reshape(1, 1, *kernel.shape)).reshape(x.shape)


def _gaussian_blur(x: Tensor, severity: int) -> Tensor:
    sigma = (0.4, 0.6, 0.7, 0.8, 1.0)[severity - 1]
    bell = torch.exp(-0.5 * (torch.arange(-4, 5, dtype=torch.float64) / sigma).square())
    bell = bell / bell.sum()
    return _blurred(x, torch.outer(bell, bell))


def _motion_blur(x: Tensor, severity: int) -> Tensor:
    length = (3, 3, 5, 5, 7)[severity - 1]
    weight = (0.6, 1.0, 0.7, 1.0, 1.0)[severity - 1]
    kernel = torch.full((1, length), weight / length, dtype=torch.float64)
    kernel[0, length // 2] += 1 - weight
    return _blurred(x, kernel)


def _brightness(x: Tensor, severity: int) -> Tensor:
    return x + (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1]


def _contrast(x: Tensor, severity: int) -> Tensor:
    keep = (0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1]
    mean = x.mean(dim=(-2, -1), keepdim=True)
    return mean + keep * (x - mean)


def _pixelate(x: Tensor, severity: int) -> Tensor:
    share = (0.95, 0.9, 0.85, 0.75, 0.65)[severity - 1]
    height, width = x.shape[-2:]
    small = (max(round(share * height), 1), max(round(share * width), 1))
    planes = x.reshape(-1, 1, height, width)
    return F.interpolate(F.interpolate(planes, size=small, mode="area"), size=(height, width)).reshape(x.shape)


CORRUPTIONS: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "gaussian noise": _gaussian_noise,
    "shot noise": _shot_noise,
    "impulse noise": _impulse_noise,
    "gaussian blur": _gaussian_blur,
    "motion blur": _motion_blur,
    "brightness": _brightness,
    "contrast": _contrast,
    "pixelate": _pixelate,
}
"""`(images in [0, 1], severity 1 to 5) -> images`, by name."""


@dataclass(frozen=True)
class Corruptions(Finite):
    """Images in [0, 1] after one of the named corruptions, at any severity from 1 up to `severity`.

    Hendrycks & Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations",
    ICLR 2019: eight of its kinds, with severities near its small-image ones (reconstructed; the paper's JPEG, weather
    and elastic kinds are not here). Noise is one fixed pattern for each shape of image. The worst over all members
    is the adversary's choice; for one figure a kind, give one name. The radius is the severity.
    """

    names: Sequence[str] = tuple(CORRUPTIONS)
    severity: float = SEVERITIES

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        for name in self.names:
            if name not in CORRUPTIONS:
                raise ValueError(f"no corruption {name!r}; choose from {', '.join(CORRUPTIONS)}")
        if self.severity < 0:
            raise ValueError(f"severity must be at least 0, got {self.severity}")

    @property
    def radius(self) -> float:
        return float(self.severity)

    def scaled(self, factor: float) -> Self:
        return replace(self, severity=self.severity * factor)

    @property
    def count(self) -> int:
        return 1 + len(self.names) * self._severities

    @property
    def _severities(self) -> int:
        return min(math.floor(self.severity + 1e-9), SEVERITIES)

    def member(self, x: Tensor, index: int) -> Tensor:
        if x.ndim < 3:
            raise TypeError(f"only images can be corrupted: samples of two or more dimensions, got {x.shape[1:]}")
        if index == 0:
            return x.clone()
        severity, kind = divmod(index - 1, len(self.names))
        return CORRUPTIONS[self.names[kind]](wide(x), severity + 1).clamp(0, 1).to(x.dtype)
