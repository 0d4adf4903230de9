"""Through what has no gradient: a substitute for the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Transform = Callable[[Tensor], Tensor]


class BPDA(nn.Module):
    """`transform` on the way forward, the gradient of `substitute` on the way back.

    Athalye, Carlini & Wagner, "Obfuscated Gradients Give a False Sense of Security", ICML 2018, section 4.1:
    backward pass differentiable approximation. Without a `substitute` the gradient passes as it is (straight
    through), which asks that the transform keep the shape and be near the identity. Put it where the defence has its
    step: `nn.Sequential(BPDA(quantise), network)`.
    """

    def __init__(self, transform: Transform, substitute: Transform | None = None) -> None:
        super().__init__()
        self.transform, self.substitute = transform, substitute

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            forward = self.transform(x.detach())
        near = x if self.substitute is None else self.substitute(x)
        if near.shape != forward.shape:
            raise ValueError(f"the transform gives {tuple(forward.shape)}, its substitute {tuple(near.shape)}")
        return _Swapped.apply(near, forward)  # type: ignore[no-any-return]


class _Swapped(torch.autograd.Function):
    """The values of the second tensor with the gradient of the first."""

    @staticmethod
    def forward(ctx: Any, near: Tensor, exact: Tensor) -> Tensor:
        return exact.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None
