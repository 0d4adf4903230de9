"""How a coefficient grows with training progress: functions of progress in [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

Schedule = Callable[[float], float]
"""Progress (steps taken over all steps, 0 to 1) to the coefficient."""


def progress(step: int, total_steps: int) -> float:
    """Share of the training done, clipped to [0, 1]; 1 where no length is known (`total_steps` ≤ 0)."""
    return min(step / total_steps, 1.0) if total_steps > 0 else 1.0


@dataclass(frozen=True)
class Constant:
    """The same value throughout."""

    value: float = 1.0

    def __call__(self, progress: float) -> float:
        return self.value


@dataclass(frozen=True)
class Ramp:
    """`final * (2 / (1 + exp(-gamma * progress)) - 1)`: from 0, steep at first, close to `final` at the end.

    Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 2016, section 5.2.2 (gamma = 10).
    """

    final: float = 1.0
    gamma: float = 10.0

    def __call__(self, progress: float) -> float:
        return self.final * (2.0 / (1.0 + math.exp(-self.gamma * progress)) - 1.0)


@dataclass(frozen=True)
class Linear:
    """In a straight line from `start` to `final`, reached at progress `until` and kept from there on."""

    final: float = 1.0
    until: float = 0.5
    start: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.until <= 1:
            raise ValueError(f"until is a share of the training, in [0, 1]; got {self.until}")

    def __call__(self, progress: float) -> float:
        if progress >= self.until:
            return self.final
        return self.start + (self.final - self.start) * progress / self.until
