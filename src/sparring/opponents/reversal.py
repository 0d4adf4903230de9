"""The gradient-reversal layer: identity on the way forward, minus λ times the gradient on the way back.

With it one backward pass plays both sides of a game: what stands after the layer descends its loss, what
stands before it climbs λ times the same loss. Ganin & Lempitsky, "Unsupervised Domain Adaptation by
Backpropagation", ICML 2015. λ acts once, on the way back; the loss itself is not multiplied by it.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from sparring.schedules import Constant, Schedule


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * grads[0], None


def reverse(x: Tensor, strength: float = 1.0) -> Tensor:
    """`x` itself; the gradient that comes back through it is multiplied by `-strength`."""
    return cast(Any, _Reverse).apply(x, strength)


class Reversal(nn.Module):
    """The layer as a module, for models that hold their own adversary.

    Its strength is `schedule(progress)`; the training loop sets `progress` (0 to 1), which is kept in the
    module's state so that a resumed run goes on where it stopped.
    """

    _progress: Tensor

    def __init__(self, schedule: Schedule | None = None) -> None:
        super().__init__()
        self.schedule = schedule or Constant()
        self.register_buffer("_progress", torch.zeros((), dtype=torch.float64))

    @property
    def progress(self) -> float:
        """Share of the training done, 0 to 1."""
        return float(self._progress)

    @progress.setter
    def progress(self, value: float) -> None:
        self._progress.fill_(value)

    def forward(self, x: Tensor) -> Tensor:
        return reverse(x, self.schedule(self.progress))
