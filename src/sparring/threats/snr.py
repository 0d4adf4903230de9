"""Sound: noise that stays so many decibels below the signal."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from sparring.threats.base import distance, flat, largest, per_sample, precise, wide
from sparring.threats.lp import beyond_ball, in_unit_ball, unit_l2, within_l2
from sparring.typed import norm


@dataclass(frozen=True)
class SNR:
    """The change keeps a signal-to-noise ratio of at least `decibels`: 20 log10(||x|| / ||change||).

    A Euclidean ball whose radius follows the loudness of each sample, cut by the range [low, high] of a waveform; a
    silent sample stays silent. The radius is the noise's length in units of the signal's, 10^(-decibels / 20), and
    `scaled(0.5)` asks for 6 dB more. (Carlini & Wagner, "Audio Adversarial Examples", 2018, bound the peak instead:
    intersect with `LInf` for that.)
    """

    decibels: float
    low: float = -1.0
    high: float = 1.0
    convex = True

    def __post_init__(self) -> None:
        if math.isnan(self.decibels) or self.decibels == -math.inf:
            raise ValueError(f"decibels must be a number, got {self.decibels}")
        if not self.low <= self.high:
            raise ValueError(f"the range [{self.low}, {self.high}] is empty")

    @property
    def radius(self) -> float:
        return 10 ** (-self.decibels / 20)

    def scaled(self, factor: float) -> Self:
        return replace(self, decibels=self.decibels - 20 * math.log10(factor) if factor else math.inf)

    def project(self, x_adv: Tensor, x: Tensor) -> Tensor:
        return within_l2(x_adv, x, self._allowed(x).to(wide(x)).unsqueeze(1), self.low, self.high)

    def sample(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        noise = in_unit_ball(x, generator) * per_sample(self._allowed(x).to(wide(x)), x)
        return self.project((wide(x) + noise).to(x.dtype), x)

    def steepest(self, grad: Tensor, x_adv: Tensor, x: Tensor) -> Tensor:
        return unit_l2(grad) * per_sample(_loudness(x), x).to(grad.dtype)

    def violation(self, x_adv: Tensor, x: Tensor) -> Tensor:
        beyond = beyond_ball(x_adv, x, self._allowed(x), 2)
        return torch.maximum(distance(beyond), distance(largest(x_adv - x_adv.clamp(self.low, self.high))))

    def _allowed(self, x: Tensor) -> Tensor:
        return self.radius * _loudness(x)


def _loudness(x: Tensor) -> Tensor:
    """The Euclidean length of each sample, `(n,)`."""
    return norm(precise(flat(x)), dim=1)
